/* SPDX-License-Identifier: BSD-3-Clause
 * Taking a pad apart.  Its allocations become chunks where they lie, their headers
 * being of that shape already; in front of them a bare header is left, behind them a
 * smaller pad, and what that leaves is free.
 *
 *   before   | header | H data | H data | ................... |
 *   after    | bare   | chunk  | chunk  | pad ......... | free | */
#include "wsp_scratch.h"

/* A part of the pad's chunk becomes a live chunk of its own, and is counted. */
static void part_live(wsp_arena *arena, const wsp_chunk *whole, wsp_chunk *part,
                      size_t size) {
  part->size = size;
  part->generation = whole->generation;
  part->heap = whole->heap;
  part->site = 0;
  part->cls = (uint16_t)wsp_class_of_span(part->span, arena->granule);
  part->state = WSP_LIVE;
  part->flags = (uint8_t)((part->flags & WSP_REFERENCED) | WSP_EXCUSED |
                          (whole->flags & WSP_SPILL));
  WSP_ADD(arena->heaps[whole->heap]->live, 1);
  wsp_tally *tally = &arena->tally;
  tally->live += 1;
  tally->excused_live += 1;
  tally->size += size;
  tally->excused_size += size;
}

/* A part that serves nothing goes back to the heap. */
static void part_free(wsp_arena *arena, wsp_heap *heap, wsp_chunk *part, bool spill) {
  size_t span = part->span;
  WSP_SUB(heap->used, span);
  WSP_SUB(arena->tally.used, span);
  if (heap->outside) {
    heap->touched = true;
    WSP_SUB(arena->outside_used, span);
    if (spill) WSP_SUB(arena->spilled, span);
  }
  wsp_bury(wsp_data(part), span - sizeof *part);
  (void)wsp_heap_merge(heap, part);
}

/* The whole is no live chunk any more; its bytes stay counted. */
static void uncount_whole(wsp_arena *arena, wsp_heap *heap, wsp_chunk *whole) {
  if (whole->flags & WSP_LISTED) wsp_list_remove(arena, whole);
  WSP_SUB(heap->live, 1);
  wsp_tally *tally = &arena->tally;
  tally->live -= 1;
  tally->excused_live -= 1;
  tally->size -= whole->size;
  tally->excused_size -= whole->size;
}

/* The largest span of an exact class in `room` bytes; 0: too small to be of use. */
static size_t class_within(size_t room, size_t granule) {
  if (room < 4 * granule) return 0;
  size_t data = room - granule;
  if (data >= granule * WSP_EXACT) {
    size_t step = (size_t)1 << (wsp_highest_bit(data) - WSP_STEPS_LOG2);
    data &= ~(step - 1);
  }
  return data + granule;
}

/* Write the header of a part at `at`, behind one of `prev_span` bytes. */
static wsp_chunk *part_at(char *at, size_t span, size_t prev_span) {
  wsp_chunk *part = (wsp_chunk *)at;
  wsp_unbury(part, sizeof *part);
  part->span = span;
  part->prev_span = prev_span;
  part->flags = 0;
  return part;
}

static size_t loosen(wsp_arena *arena, wsp_scratch *s, const wsp_chunk *whole,
                     char *from, const char *to, size_t prev_span) {
  while (from < to) {
    wsp_chunk *chunk = (wsp_chunk *)from;
    s->loose[s->loose_count++] =
        (wsp_loose){.chunk = chunk, .serial = chunk->serial, .pinned = NULL};
    chunk->prev_span = prev_span;
    part_live(arena, whole, chunk, chunk->size);
    prev_span = chunk->span;
    from += prev_span;
  }
  return prev_span;
}

static bool reserve_loose(wsp_scratch *s, const char *from, const char *to) {
  size_t count = s->loose_count;
  for (; from < to; from += ((const wsp_chunk *)(const void *)from)->span) {
    void *loose = s->loose;
    if (!wsp_reserve(&loose, count++, &s->loose_room, sizeof(wsp_loose))) return false;
    s->loose = loose;
  }
  return true;
}

/* Where levels that began in the pad stand now: before all that follows. */
static void move_levels(wsp_scratch *s, uint32_t pad) {
  for (uint32_t i = 0; i < s->level_count; ++i) {
    if (s->levels[i].pad != pad) continue;
    s->levels[i].cursor = s->pads[pad].first;
    s->levels[i].last = NULL;
  }
}

bool wsp_pad_take_apart(wsp_arena *arena, wsp_scratch *s, uint32_t index) {
  (void)wsp_scratch_used(s);
  wsp_pad_refresh(s);
  wsp_pad *pad = &s->pads[index];
  wsp_chunk *whole = pad->chunk, *rest = NULL;
  wsp_heap *heap = arena->heaps[whole->heap];
  char *end = (char *)whole + whole->span;
  bool spill = whole->flags & WSP_SPILL, on_top = end == heap->bump;
  if (!reserve_loose(s, pad->first, pad->cursor)) return false;
  size_t prev = loosen(arena, s, whole, pad->first, pad->cursor, arena->granule);
  size_t room = (size_t)(end - pad->cursor), span = class_within(room, arena->granule);
  char *at = pad->cursor;
  *pad = (wsp_pad){.chunk = NULL};
  if (span != 0) {
    wsp_chunk *chunk = part_at(at, span, prev);
    part_live(arena, whole, chunk, span - arena->granule);
    pad->chunk = chunk;
    pad->first = pad->cursor = at + arena->granule;
    pad->end = at + span;
    prev = span;
    at += span;
  }
  if (at < end) rest = part_at(at, (size_t)(end - at), prev), prev = rest->span;
  if (on_top)
    heap->top_prev = prev;
  else
    ((wsp_chunk *)end)->prev_span = prev;
  uncount_whole(arena, heap, whole);
  whole->span = arena->granule;
  if (rest != NULL) part_free(arena, heap, rest, spill);
  part_free(arena, heap, whole, spill);
  move_levels(s, index);
  wsp_pad_resume(s);
  return true;
}
