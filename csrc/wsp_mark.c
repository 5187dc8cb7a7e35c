/* SPDX-License-Identifier: BSD-3-Clause
 * Marks and cleanups; and the list of single raw allocations (WSP_RAW), and with
 * WSP_RECORD of all others of the cycle. */
#include "wsp_scratch.h"

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

/* ---- marks ----------------------------------------------------------------- */

static void mark_of(const wsp_arena *arena, const wsp_scratch *s, uint32_t depth,
                    wsp_mark *out) {
  *out = (wsp_mark){.arena = arena->id,
                    .generation = arena->open_generation,
                    .serial = s->levels[depth].name,
                    .depth = depth};
}

/* Nothing is in the level yet: let it begin now, under a new name. */
static void level_begin(wsp_scratch *s, uint32_t depth) {
  wsp_level *level = &s->levels[depth];
  level->name = level->stamp = ++s->serial;
  level->born = s->serial + 1;
}

/* A level that begins here; its index, or 0: no memory. */
static uint32_t level_push(wsp_arena *arena, wsp_scratch *s) {
  void *levels = s->levels;
  if (!wsp_reserve(&levels, s->level_count, &s->level_room, sizeof(wsp_level)))
    return 0;
  s->levels = levels;
  s->levels[s->level_count] =
      (wsp_level){.serial = s->serial,
                  .single = ++arena->serial,
                  .used = wsp_scratch_used(s),
                  .pad = s->pad_count == 0 ? 0 : s->pad_count - 1,
                  .outer = UINT32_MAX,
                  .cursor = s->cursor,
                  .last = s->last};
  level_begin(s, s->level_count);
  return s->level_count++;
}

/* Nothing was made since the level began. */
static bool is_fresh(const wsp_arena *arena, const wsp_scratch *s, uint32_t depth) {
  const wsp_level *level = &s->levels[depth];
  const wsp_chunk *single = arena->listed;
  while (single != NULL && !(single->flags & WSP_IS_RAW)) single = single->next;
  return depth != 0 && level->stamp == s->serial &&
         (single == NULL || single->serial <= level->single);
}

static wsp_status set_mark(wsp_arena *arena, bool scoped, wsp_mark *out) {
  wsp_scratch *s;
  wsp_status status = out == NULL ? WSP_EINVAL : wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  uint32_t depth = s->level_count - 1;
  /* A fresh level serves again, or a loop that marks and rewinds would add one each
   * time; for a scope only if nobody has a mark of it, since it ends with the scope. */
  if (!is_fresh(arena, s, depth) || (scoped && s->levels[depth].name != 0))
    depth = level_push(arena, s);
  if (depth != 0) {
    if (s->levels[depth].name == 0) level_begin(s, depth);
    mark_of(arena, s, depth, out);
    if (scoped) {
      s->levels[depth].outer = s->scope;
      s->scope = depth;
    }
  }
  wsp_arena_let_go(arena);
  return depth == 0 ? WSP_ENOMEM : WSP_OK;
}

wsp_status wsp_checkpoint(wsp_arena *arena, wsp_mark *out) {
  return set_mark(arena, false, out);
}

wsp_status wsp_scope_push(wsp_arena *arena, wsp_mark *out) {
  return set_mark(arena, true, out);
}

static wsp_status mark_check(const wsp_arena *arena, const wsp_scratch *s,
                             const wsp_mark *mark) {
  if (mark->arena != arena->id || mark->generation != arena->open_generation)
    return WSP_ESTALE;
  if (mark->depth == 0 || mark->depth >= s->level_count) return WSP_ESTALE;
  if (mark->serial == 0 || s->levels[mark->depth].name != mark->serial)
    return WSP_ESTALE;
  return s->cleaning ? WSP_EBUSY : WSP_OK;
}

static void rewind_to(wsp_arena *arena, wsp_scratch *s, uint32_t depth) {
  wsp_level *level = &s->levels[depth];
  wsp_clean(s, level->serial);
  (void)wsp_scratch_used(s);
  (void)wsp_drain(arena); /* what others have freed is still in the list */
  wsp_list_rewind(arena, level->single);
  wsp_loose_rewind(arena, s, level->serial);
  wsp_pads_rewind(arena, s, level->pad, level->cursor, level->last);
  level->born = s->serial + 1;
  level->stamp = s->serial;
  s->level_count = depth + 1;
}

static wsp_status unwind(wsp_arena *arena, bool scoped, const wsp_mark *mark) {
  wsp_scratch *s;
  wsp_status status = mark == NULL ? WSP_EINVAL : wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  status = mark_check(arena, s, mark);
  uint32_t depth = mark->depth;
  if (status == WSP_OK && (scoped ? depth != s->scope : depth < s->scope))
    status = WSP_EORDER;
  if (status == WSP_OK) {
    rewind_to(arena, s, depth);
    if (scoped) {
      /* The level stays, without a mark, since it tells what has died in it. */
      s->scope = s->levels[depth].outer;
      s->levels[depth].name = 0;
    }
  }
  wsp_arena_let_go(arena);
  return status;
}

wsp_status wsp_rewind(wsp_arena *arena, const wsp_mark *mark) {
  return unwind(arena, false, mark);
}

wsp_status wsp_scope_pop(wsp_arena *arena, const wsp_mark *mark) {
  return unwind(arena, true, mark);
}

void wsp_level_settle(wsp_scratch *s) {
  wsp_level *top = &s->levels[s->level_count - 1];
  bool later = s->cleanups != NULL && s->cleanups->serial > top->serial;
  if (top->pad != s->pad_count - 1 || later) return;
  const char *begin = top->cursor != NULL ? top->cursor : s->pads[top->pad].first;
  if (s->cursor != begin) return;
  if (s->loose_count != 0) return;
  top->born = s->serial + 1;
  top->stamp = s->serial;
}

bool wsp_serial_is_live(const wsp_scratch *s, uint64_t serial) {
  uint32_t low = 0, high = s->level_count; /* the level is in [low, high) */
  if (high == 0 || serial > s->serial) return false;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (s->levels[middle].serial < serial)
      low = middle;
    else
      high = middle;
  }
  if (serial < s->levels[low].born) return false;
  for (size_t i = 0; i < s->gone_count; ++i)
    if (s->gone[i] == serial) return false;
  return true;
}

/* ---- cleanups -------------------------------------------------------------- */

void wsp_clean(wsp_scratch *s, uint64_t serial) {
  if (s->cleanups == NULL || s->cleaning) return;
  s->cleaning = true;
  wsp_pad_refresh(s); /* the fast path refuses, too */
  while (s->cleanups != NULL && s->cleanups->serial > serial) {
    wsp_cleanup *node = s->cleanups;
    s->cleanups = node->next;
    node->fn(node->arg); /* the node may be gone after this */
  }
  s->cleaning = false;
  wsp_pad_refresh(s);
}

wsp_status wsp_on_end(wsp_arena *arena, wsp_cleanup *node) {
  wsp_scratch *s;
  wsp_status status =
      node == NULL || node->fn == NULL ? WSP_EINVAL : wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  if (s->cleaning) {
    status = WSP_EBUSY;
  } else {
    node->serial = ++s->serial;
    node->next = s->cleanups;
    s->cleanups = node;
  }
  wsp_arena_let_go(arena);
  return status;
}

void wsp_run_cleanups(wsp_arena *arena) {
  wsp_scratch *s = arena == NULL ? NULL : WSP_GET(arena->scratch);
  if (wsp_scratch_is_mine(s)) wsp_clean(s, 0);
}

void wsp_arena_visit(wsp_arena *arena, wsp_visit_fn visit, void *ctx) {
  if (!wsp_owned_by_me(arena) || !(arena->flags & WSP_RECORD)) return;
  for (const wsp_chunk *c = arena->listed; c != NULL; c = c->next)
    if (!(c->flags & WSP_EXCUSED)) visit(ctx, c->size, c->site);
}
