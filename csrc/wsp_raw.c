/* SPDX-License-Identifier: BSD-3-Clause
 * Raw allocations: take, resize, free the last. */
#include "wsp_raw.h"

#include "wsp_scratch.h"

/* NULL: no room.  All that the fast path does; the reasons are in wsp_scratch.h. */
static inline void *bump(wsp_scratch *s, size_t size) {
  size_t room = (size_t)(s->end - s->cursor);
  if (WSP_UNLIKELY(size >= room)) return NULL; /* so what follows cannot wrap */
  size_t span = wsp_span_of(size, s->granule);
  if (WSP_UNLIKELY(span > room)) return NULL;
  wsp_chunk *chunk = (wsp_chunk *)s->cursor;
  wsp_unbury(chunk, sizeof *chunk);
  chunk->span = span;
  chunk->prev_span = s->last == NULL ? 0 : (size_t)((char *)chunk - (char *)s->last);
  chunk->size = size;
  chunk->serial = ++s->serial;
  chunk->next = (wsp_chunk *)(void *)s;
  chunk->state = WSP_IN_PAD;
  chunk->flags = 0;
  s->last = chunk;
  s->count += 1;
  s->cursor += span;
  void *data = wsp_data(chunk);
  wsp_unbury(data, size);
  return data;
}

static WSP_NOINLINE wsp_status alloc_slow(wsp_arena *arena, size_t size, void **out) {
  wsp_scratch *s;
  wsp_status status = wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  if (s->cleaning)
    status = WSP_EBUSY;
  else if (size > WSP_SIZE_MOST)
    status = WSP_EOVERFLOW;
  else
    status = wsp_pad_push(arena, s, size);
  if (status == WSP_OK) *out = bump(s, size);
  wsp_arena_let_go(arena);
  return status;
}

wsp_status wsp_raw_alloc(wsp_arena *arena, size_t size, void **out) {
  if (WSP_UNLIKELY(arena == NULL || out == NULL)) return WSP_EINVAL;
  wsp_scratch *s = WSP_GET(arena->scratch);
  if (WSP_LIKELY(wsp_scratch_is_mine(s))) {
    void *data = bump(s, size);
    if (WSP_LIKELY(data != NULL)) {
      *out = data;
      return WSP_OK;
    }
  }
  return alloc_slow(arena, size, out);
}

wsp_status wsp_raw_zeroed(wsp_arena *arena, size_t size, void **out) {
  void *data;
  wsp_status status = out == NULL ? WSP_EINVAL : wsp_raw_alloc(arena, size, &data);
  if (status != WSP_OK) return status;
  memset(data, 0, size);
  *out = data;
  return WSP_OK;
}

wsp_status wsp_raw_array(wsp_arena *arena, size_t count, size_t size, void **out) {
  if (size != 0 && count > SIZE_MAX / size) return WSP_EOVERFLOW;
  return wsp_raw_alloc(arena, count * size, out);
}

void *wsp_raw_take(wsp_arena *arena, size_t size) {
  void *data;
  return wsp_raw_alloc(arena, size, &data) == WSP_OK ? data : NULL;
}

/* ---- the last one ---------------------------------------------------------- */

/* Is it the last, with no mark made since.  An empty pad on top is given up for that.
 */
static bool is_last(wsp_arena *arena, wsp_scratch *s, const wsp_chunk *chunk) {
  const wsp_level *top = &s->levels[s->level_count - 1];
  if (chunk->serial <= top->serial) return false;
  if (s->last == NULL && s->pad_count > 1 && top->pad < s->pad_count - 1)
    wsp_pads_drop(arena, s, s->pad_count - 1);
  return chunk == s->last;
}

static wsp_status resize_last(const wsp_arena *arena, wsp_scratch *s, wsp_chunk *chunk,
                              size_t size) {
  if (size > WSP_SIZE_MOST) return WSP_EOVERFLOW;
  size_t span = wsp_span_of(size, s->granule);
  if (span > chunk->span && span - chunk->span > (size_t)(s->end - s->cursor))
    return WSP_EFULL;
  char *data = wsp_data(chunk);
  if (size > chunk->size) {
    wsp_unbury(data + chunk->size, size - chunk->size);
  } else {
    size_t held = chunk->span - (size_t)(data - (char *)chunk);
    wsp_pad_bury(arena, data + size, held - size);
  }
  chunk->span = span;
  chunk->size = size;
  s->cursor = (char *)chunk + span;
  return WSP_OK;
}

/* In place, or a status that says why not. */
static wsp_status extend(wsp_arena *arena, wsp_scratch *s, wsp_chunk *chunk,
                         size_t size) {
  if (s->cleaning) return WSP_EBUSY;
  (void)wsp_scratch_used(s);
  if (chunk->state == WSP_IN_PAD && is_last(arena, s, chunk))
    return resize_last(arena, s, chunk, size);
  return size > WSP_SIZE_MOST ? WSP_EOVERFLOW : WSP_EORDER;
}

wsp_status wsp_raw_extend(wsp_arena *arena, void *ptr, size_t size) {
  wsp_scratch *s;
  wsp_status status = wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  wsp_found found = wsp_raw_find(s, ptr);
  status = found.chunk == NULL ? WSP_EINVAL : extend(arena, s, found.chunk, size);
  wsp_arena_let_go(arena);
  return status;
}

wsp_status wsp_raw_realloc(wsp_arena *arena, void *ptr, size_t size, void **out) {
  if (out == NULL) return WSP_EINVAL;
  if (ptr == NULL) return wsp_raw_alloc(arena, size, out);
  wsp_scratch *s;
  wsp_status status = wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  wsp_found found = wsp_raw_find(s, ptr);
  size_t old = found.chunk == NULL ? 0 : found.chunk->size;
  bool pinned = found.loose != SIZE_MAX && s->loose[found.loose].pinned != NULL;
  status = found.chunk == NULL ? WSP_EINVAL
           : pinned            ? WSP_EBUSY
                               : extend(arena, s, found.chunk, size);
  wsp_arena_let_go(arena);
  if (status == WSP_OK) *out = ptr;
  if (status != WSP_EORDER && status != WSP_EFULL) return status;
  void *data;
  status = wsp_raw_alloc(arena, size, &data);
  if (status != WSP_OK) return status;
  memcpy(data, ptr, old < size ? old : size);
  *out = data;
  return WSP_OK;
}

static wsp_status free_last(wsp_arena *arena, wsp_scratch *s, wsp_chunk *chunk) {
  if (s->cleaning) return WSP_EBUSY;
  (void)wsp_scratch_used(s);
  if (chunk->state != WSP_IN_PAD || !is_last(arena, s, chunk)) return WSP_EORDER;
  if (!wsp_gone_add(s, chunk, chunk->serial)) return WSP_ENOMEM;
  size_t back = chunk->prev_span;
  s->last = back == 0 ? NULL : (wsp_chunk *)((char *)chunk - back);
  s->cursor = (char *)chunk;
  chunk->state = WSP_FREE; /* it may be read as one again, inside another's data */
  wsp_pad_bury(arena, wsp_data(chunk), chunk->span - sizeof *chunk);
  wsp_level_settle(s);
  return WSP_OK;
}

wsp_status wsp_raw_free_last(wsp_arena *arena, void *ptr) {
  wsp_scratch *s;
  wsp_status status = wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  wsp_found found = wsp_raw_find(s, ptr);
  status = found.chunk == NULL ? WSP_EINVAL : free_last(arena, s, found.chunk);
  wsp_arena_let_go(arena);
  return status;
}

/* ---- bounds and figures ---------------------------------------------------- */

wsp_status wsp_raw_limit(wsp_arena *arena, size_t bytes) {
  wsp_scratch *s;
  wsp_status status = wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  s->limit = bytes;
  wsp_pad_refresh(s);
  wsp_arena_let_go(arena);
  return WSP_OK;
}

wsp_status wsp_raw_size(wsp_arena *arena, void *ptr, size_t *out) {
  wsp_scratch *s;
  wsp_status status = out == NULL ? WSP_EINVAL : wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  wsp_found found = wsp_raw_find(s, ptr);
  if (found.chunk != NULL) *out = found.chunk->size;
  wsp_arena_let_go(arena);
  return found.chunk == NULL ? WSP_EINVAL : WSP_OK;
}

wsp_raw_figures wsp_raw_stats(wsp_arena *arena) {
  wsp_raw_figures none = {.used = 0};
  wsp_scratch *s = arena == NULL ? NULL : WSP_GET(arena->scratch);
  if (!wsp_scratch_is_mine(s)) return none;
  size_t used = wsp_scratch_used(s);
  return (wsp_raw_figures){.used = used,
                           .high_water = s->high,
                           .limit = s->limit,
                           .allocations = s->count,
                           .pads = s->pad_count,
                           .depth = s->level_count - 1};
}
