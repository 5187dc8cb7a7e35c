/* SPDX-License-Identifier: BSD-3-Clause
 * Checkpoints, and the list of allocations that they need: raw ones, which end with a
 * rewind or with the cycle, and with WSP_RECORD all others of the cycle. */
#include "wsp_arena.h"

void wsp_list_add(wsp_arena *arena, wsp_chunk *chunk) {
  chunk->flags |= WSP_LISTED;
  chunk->prev = NULL;
  chunk->next = arena->listed;
  if (chunk->next != NULL) chunk->next->prev = chunk;
  arena->listed = chunk;
}

void wsp_list_remove(wsp_arena *arena, wsp_chunk *chunk) {
  if (chunk->next != NULL) chunk->next->prev = chunk->prev;
  if (chunk->prev != NULL)
    chunk->prev->next = chunk->next;
  else
    arena->listed = chunk->next;
  chunk->flags &= (uint8_t)~WSP_LISTED;
}

void wsp_list_rewind(wsp_arena *arena, uint64_t serial) {
  wsp_chunk *chunk = arena->listed;
  while (chunk != NULL && chunk->serial > serial) {
    wsp_chunk *next = chunk->next;
    if (chunk->flags & WSP_IS_RAW) wsp_chunk_free(arena, chunk);
    chunk = next;
  }
}

void wsp_list_forget(wsp_arena *arena) {
  while (arena->listed != NULL) wsp_list_remove(arena, arena->listed);
}

wsp_status wsp_checkpoint(wsp_arena *arena, wsp_mark *out) {
  if (!wsp_owned_by_me(arena)) return WSP_ETHREAD;
  /* A serial of its own, so that rewinding to an older mark makes this one stale. */
  out->generation = arena->open_generation;
  out->serial = ++arena->serial;
  return WSP_OK;
}

wsp_status wsp_rewind(wsp_arena *arena, const wsp_mark *mark) {
  if (!wsp_owned_by_me(arena)) return WSP_ETHREAD;
  if (mark->generation != arena->open_generation || mark->serial > arena->serial)
    return WSP_ESTALE;
  wsp_drain(arena); /* what others have freed is still in the list */
  wsp_list_rewind(arena, mark->serial);
  return WSP_OK;
}

void wsp_arena_visit(wsp_arena *arena, wsp_visit_fn visit, void *ctx) {
  if (!wsp_owned_by_me(arena) || !(arena->flags & WSP_RECORD)) return;
  for (const wsp_chunk *c = arena->listed; c != NULL; c = c->next)
    if (!(c->flags & WSP_EXCUSED)) visit(ctx, c->size, c->site);
}
