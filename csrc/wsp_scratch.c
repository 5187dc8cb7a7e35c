/* SPDX-License-Identifier: BSD-3-Clause
 * The life of a scratch, and its pads. */
#include "wsp_scratch.h"

#include <stdlib.h>

enum { LEAST_PAD = 64 << 10 }; /* bytes */

bool wsp_reserve(void **items, size_t count, uint32_t *room, size_t size) {
  if (count < *room) return true;
  size_t more = *room == 0 ? 16 : (size_t)*room * 2;
  if (more > UINT32_MAX) return false;
  void *grown = realloc(*items, more * size);
  if (grown == NULL) return false;
  *items = grown;
  *room = (uint32_t)more;
  return true;
}

/* ---- life ------------------------------------------------------------------ */

static wsp_thread *nobody(wsp_scratch *s) { return (wsp_thread *)(void *)s; }

static wsp_scratch *scratch_new(wsp_arena *arena) {
  wsp_scratch *s = calloc(1, sizeof *s);
  void *levels = NULL;
  if (s == NULL || !wsp_reserve(&levels, 0, &s->level_room, sizeof(wsp_level))) {
    free(s);
    return NULL;
  }
  s->levels = levels;
  s->granule = arena->granule;
  atomic_init(&s->owner, nobody(s));
  atomic_store_explicit(&arena->scratch, s, memory_order_release);
  return s;
}

static void scratch_open(wsp_scratch *s) {
  wsp_thread_ref(wsp_self);
  s->limit = SIZE_MAX;
  s->count = 0;
  s->high = 0;
  s->scope = 0;
  s->levels[0] =
      (wsp_level){.serial = s->serial, .born = s->serial + 1, .stamp = s->serial};
  s->level_count = 1;
  WSP_SET(s->owner, wsp_self);
}

wsp_status wsp_scratch_hold(wsp_arena *arena, wsp_scratch **out) {
  if (arena == NULL) return WSP_EINVAL;
  if (wsp_is_forked(arena)) return WSP_EFORKED;
  wsp_arena_hold(arena);
  wsp_status status = WSP_ETHREAD;
  if (wsp_owned_by_me(arena)) {
    wsp_scratch *s = WSP_GET(arena->scratch);
    if (s == NULL) s = scratch_new(arena);
    status = s == NULL ? WSP_ENOMEM : WSP_OK;
    if (s != NULL && !wsp_scratch_is_mine(s)) scratch_open(s);
    *out = s;
  }
  if (status != WSP_OK) wsp_arena_let_go(arena);
  return status;
}

void wsp_scratch_end(wsp_arena *arena) {
  wsp_scratch *s = WSP_GET(arena->scratch);
  if (s == NULL || WSP_GET(s->owner) == nobody(s)) return;
  wsp_clean(s, 0);
  (void)wsp_scratch_used(s);
  wsp_loose_rewind(arena, s, 0);
  wsp_pads_drop(arena, s, 0);
  arena->tally.allocations += s->count;
  WSP_ADD(arena->allocations, s->count);
  /* So that the next cycle has one pad; a smaller one only when it stays smaller. */
  size_t less = s->want - s->want / 8;
  s->want = s->high > less ? s->high : less;
  s->level_count = 0;
  wsp_thread *owner = WSP_GET(s->owner);
  WSP_SET(s->owner, nobody(s));
  wsp_thread_unref(owner);
}

void wsp_scratch_orphan(wsp_arena *arena) {
  wsp_scratch *s = WSP_GET(arena->scratch);
  if (s == NULL || WSP_GET(s->owner) == nobody(s)) return;
  WSP_SET(arena->scratch, NULL);
  s->next = arena->orphans;
  arena->orphans = s;
}

static void scratch_free(wsp_scratch *s) {
  wsp_clean(s, 0);
  wsp_thread *owner = WSP_GET(s->owner);
  if (owner != nobody(s)) wsp_thread_unref(owner);
  for (size_t i = 0; i < s->loose_count; ++i) free(s->loose[i].pinned);
  free(s->pads);
  free(s->levels);
  free(s->loose);
  free(s->gone);
  free(s);
}

void wsp_scratch_free_all(wsp_arena *arena) {
  wsp_scratch *s = WSP_GET(arena->scratch);
  if (s != NULL) scratch_free(s);
  while ((s = arena->orphans) != NULL) {
    arena->orphans = s->next;
    scratch_free(s);
  }
}

/* ---- pads ------------------------------------------------------------------ */

size_t wsp_scratch_used(wsp_scratch *s) {
  size_t used = s->below;
  if (s->pad_count != 0) used += (size_t)(s->cursor - s->pads[s->pad_count - 1].first);
  if (used > s->high) s->high = used;
  return used;
}

void wsp_pad_resume(wsp_scratch *s) {
  s->cursor = s->end = NULL;
  s->last = NULL;
  s->below = 0;
  for (uint32_t i = 0; i + 1 < s->pad_count; ++i)
    s->below += (size_t)(s->pads[i].cursor - s->pads[i].first);
  if (s->pad_count == 0) return;
  const wsp_pad *pad = &s->pads[s->pad_count - 1];
  s->cursor = pad->cursor;
  s->end = pad->end;
  s->last = pad->last;
  /* The limit cuts the end off, so that the fast path need not know of it. */
  size_t left = s->limit - (s->below < s->limit ? s->below : s->limit);
  if (left < (size_t)(pad->end - pad->first)) s->end = pad->first + left;
  if (s->end < s->cursor || s->cleaning) s->end = s->cursor;
}

/* Remember where the last pad stands. */
static void pad_leave(wsp_scratch *s) {
  if (s->pad_count == 0) return;
  wsp_pad *pad = &s->pads[s->pad_count - 1];
  pad->cursor = s->cursor;
  pad->last = s->last;
}

void wsp_pad_refresh(wsp_scratch *s) {
  pad_leave(s);
  wsp_pad_resume(s);
}

void wsp_pad_bury(const wsp_arena *arena, char *from, size_t size) {
  if (arena->flags & WSP_ZERO_ON_FREE) {
    wsp_unbury(from, size); /* what lies between allocations is dead already */
    memset(from, 0, size);
  }
  wsp_bury(from, size);
}

static void pad_rewind(wsp_arena *arena, wsp_pad *pad, char *cursor, wsp_chunk *last) {
  if (cursor == NULL) cursor = pad->first;
  if (cursor < pad->cursor) wsp_pad_bury(arena, cursor, (size_t)(pad->cursor - cursor));
  pad->cursor = cursor;
  pad->last = last;
}

/* Of the pads above that index one stays, empty, if it holds what was used at most: a
 * loop that needs it would take it anew each time. */
static void keep_one(wsp_arena *arena, wsp_scratch *s, uint32_t index) {
  uint32_t spare = index + 1;
  for (uint32_t i = spare + 1; i < s->pad_count; ++i) {
    if (s->pads[i].end - s->pads[i].first > s->pads[spare].end - s->pads[spare].first) {
      wsp_pad larger = s->pads[i];
      s->pads[i] = s->pads[spare];
      s->pads[spare] = larger;
    }
  }
  wsp_pads_drop(arena, s, spare + 1);
  if (s->pad_count <= spare) return;
  wsp_pad *pad = &s->pads[spare];
  pad_leave(s);
  pad_rewind(arena, pad, NULL, NULL);
  wsp_pad_resume(s);
  size_t below = wsp_scratch_used(s);
  if (pad->chunk == NULL || (size_t)(pad->end - pad->first) < s->high - below)
    wsp_pads_drop(arena, s, spare);
}

void wsp_pads_rewind(wsp_arena *arena, wsp_scratch *s, uint32_t index, char *cursor,
                     wsp_chunk *last) {
  if (index >= s->pad_count) return; /* it was given up while it was empty */
  pad_leave(s);
  pad_rewind(arena, &s->pads[index], cursor, last);
  wsp_pad_resume(s);
  keep_one(arena, s, index);
}

void wsp_pads_drop(wsp_arena *arena, wsp_scratch *s, uint32_t keep) {
  if (s->pad_count <= keep) return;
  while (s->pad_count > keep) {
    wsp_chunk *chunk = s->pads[--s->pad_count].chunk;
    if (chunk == NULL) continue;
    wsp_unbury(wsp_data(chunk), chunk->size); /* as of any allocation that is freed */
    wsp_chunk_free(arena, chunk);
  }
  wsp_pad_resume(s);
}

/* A pad over a fresh allocation of `bytes`. */
static wsp_status pad_add(wsp_arena *arena, wsp_scratch *s, size_t bytes) {
  wsp_chunk *chunk;
  wsp_status status = wsp_chunk_take(arena, bytes, &chunk);
  if (status != WSP_OK) return status;
  pad_leave(s);
  char *first = (char *)chunk + arena->granule, *end = (char *)chunk + chunk->span;
  wsp_bury(first, (size_t)(end - first));
  s->pads[s->pad_count++] =
      (wsp_pad){.chunk = chunk, .first = first, .cursor = first, .end = end};
  wsp_pad_resume(s);
  return WSP_OK;
}

/* A last pad that is empty and too small makes room for a larger one. */
static void give_up_empty(wsp_arena *arena, wsp_scratch *s) {
  uint32_t last = s->pad_count - 1;
  if (s->pad_count == 0 || s->cursor != s->pads[last].first) return;
  for (uint32_t i = 0; i < s->level_count; ++i)
    if (s->levels[i].pad == last) s->levels[i].cursor = NULL, s->levels[i].last = NULL;
  wsp_pads_drop(arena, s, last);
}

wsp_status wsp_pad_push(wsp_arena *arena, wsp_scratch *s, size_t size) {
  size_t span = wsp_span_of(size, s->granule), used = wsp_scratch_used(s);
  if (span > s->limit - (used < s->limit ? used : s->limit)) return WSP_EFULL;
  void *pads = s->pads;
  if (!wsp_reserve(&pads, s->pad_count, &s->pad_room, sizeof(wsp_pad)))
    return WSP_ENOMEM;
  s->pads = pads;
  give_up_empty(arena, s);
  /* As much as was used before, so that a rewind to the last mark can keep it for all
   * that follows; else as much as all pads so far. */
  size_t most = s->want > s->high ? s->want : s->high;
  size_t base = s->levels[s->level_count - 1].used;
  size_t bytes = most > base ? most - base : 0;
  if (bytes < used) bytes = used;
  if (bytes < LEAST_PAD) bytes = LEAST_PAD;
  if (bytes > s->limit - used) bytes = s->limit - used;
  size_t least = span + s->granule;
  if (bytes + s->granule > least) {
    wsp_status status = pad_add(arena, s, bytes + s->granule);
    if (status == WSP_OK) return status;
  }
  return pad_add(arena, s, least);
}
