/* SPDX-License-Identifier: BSD-3-Clause
 * Raw allocations one by one: which is which, references, pins, adoption. */
#include <stdlib.h>

#include "wsp_scratch.h"

/* ---- which is which -------------------------------------------------------- */

/* In a pad, by its address first: what lies in front of a pointer of somebody else's
 * must not be read.  A header may be an old one, inside another's data; its serial
 * tells. */
static wsp_chunk *find_in_pad(const wsp_scratch *s, uint32_t i, const char *ptr) {
  const wsp_pad *pad = &s->pads[i];
  const char *cursor = i + 1 == s->pad_count ? s->cursor : pad->cursor;
  if (pad->chunk == NULL || ptr < pad->first || ptr >= cursor) return NULL;
  size_t offset = (size_t)(ptr - pad->first);
  if (offset % s->granule != sizeof(wsp_chunk) % s->granule) return NULL;
  if (offset < sizeof(wsp_chunk)) return NULL;
  wsp_chunk *chunk = (wsp_chunk *)((uintptr_t)ptr - sizeof *chunk);
  wsp_unbury(chunk, sizeof *chunk); /* for all it may be inside dead data */
  if (chunk->state != WSP_IN_PAD || chunk->next != (const void *)s) return NULL;
  return wsp_serial_is_live(s, chunk->serial) ? chunk : NULL;
}

wsp_found wsp_raw_find(wsp_scratch *s, void *ptr) {
  for (uint32_t i = s->pad_count; i-- > 0;) {
    wsp_chunk *chunk = find_in_pad(s, i, ptr);
    if (chunk != NULL) return (wsp_found){chunk, SIZE_MAX, i};
  }
  for (size_t i = s->loose_count; i-- > 0;)
    if (wsp_data(s->loose[i].chunk) == ptr)
      return (wsp_found){s->loose[i].chunk, i, UINT32_MAX};
  return (wsp_found){NULL, SIZE_MAX, UINT32_MAX};
}

bool wsp_gone_add(wsp_scratch *s, const wsp_chunk *chunk, uint64_t serial) {
  if (!(chunk->flags & WSP_REFERENCED)) return true;
  void *gone = s->gone;
  if (!wsp_reserve(&gone, s->gone_count, &s->gone_room, sizeof *s->gone)) return false;
  s->gone = gone;
  s->gone[s->gone_count++] = serial;
  return true;
}

/* ---- the end of them ------------------------------------------------------- */

/* One holder less; the last frees it.  Of the open cycle's, with its rights. */
static void loose_drop(wsp_arena *arena, wsp_loose *loose) {
  wsp_pinned *pinned = loose->pinned;
  if (pinned != NULL) {
    if (atomic_fetch_sub(&pinned->holders, 1) != 1) return;
    free(pinned);
  }
  wsp_chunk_free(arena, loose->chunk);
}

void wsp_loose_rewind(wsp_arena *arena, wsp_scratch *s, uint64_t serial) {
  size_t kept = 0;
  for (size_t i = 0; i < s->loose_count; ++i) {
    if (s->loose[i].serial > serial)
      loose_drop(arena, &s->loose[i]);
    else
      s->loose[kept++] = s->loose[i];
  }
  s->loose_count = kept;
  kept = 0;
  for (size_t i = 0; i < s->gone_count; ++i)
    if (s->gone[i] <= serial) s->gone[kept++] = s->gone[i];
  s->gone_count = kept;
}

/* Its index among the loose ones, taking its pad apart if need be. */
static wsp_status make_loose(wsp_arena *arena, wsp_scratch *s, void *ptr,
                             size_t *index) {
  wsp_found found = wsp_raw_find(s, ptr);
  if (found.chunk == NULL) return WSP_EINVAL;
  if (found.loose == SIZE_MAX) {
    if (!wsp_pad_take_apart(arena, s, found.pad)) return WSP_ENOMEM;
    found = wsp_raw_find(s, ptr);
  }
  *index = found.loose;
  return WSP_OK;
}

wsp_status wsp_raw_adopt(wsp_arena *arena, void *ptr) {
  wsp_scratch *s;
  size_t i;
  wsp_status status = wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  status = s->cleaning ? WSP_EBUSY : make_loose(arena, s, ptr, &i);
  if (status == WSP_OK && s->loose[i].pinned != NULL) status = WSP_EBUSY;
  if (status == WSP_OK) {
    wsp_chunk *chunk = s->loose[i].chunk;
    if (!wsp_gone_add(s, chunk, s->loose[i].serial)) status = WSP_ENOMEM;
    if (status == WSP_OK) {
      s->loose[i] = s->loose[--s->loose_count];
      chunk->flags &= (uint8_t)~(WSP_EXCUSED | WSP_REFERENCED);
      arena->tally.excused_live -= 1;
      arena->tally.excused_size -= chunk->size;
      if (arena->flags & WSP_RECORD) wsp_list_add(arena, chunk);
    }
  }
  wsp_arena_let_go(arena);
  return status;
}

/* ---- references ------------------------------------------------------------ */

wsp_status wsp_ref_make(wsp_arena *arena, void *ptr, wsp_ref *out) {
  wsp_scratch *s;
  wsp_status status = out == NULL ? WSP_EINVAL : wsp_scratch_hold(arena, &s);
  if (status != WSP_OK) return status;
  wsp_found found = wsp_raw_find(s, ptr);
  if (found.chunk == NULL) {
    status = WSP_EINVAL;
  } else {
    bool in_pad = found.loose == SIZE_MAX;
    found.chunk->flags |= WSP_REFERENCED;
    wsp_arena_ref(arena);
    *out = (wsp_ref){
        .arena = arena,
        .ptr = ptr,
        .generation = arena->open_generation,
        .serial = in_pad ? found.chunk->serial : s->loose[found.loose].serial};
  }
  wsp_arena_let_go(arena);
  return status;
}

wsp_status wsp_ref_alive(const wsp_ref *ref) {
  if (ref == NULL) return WSP_EINVAL;
  if (ref->arena == NULL) return WSP_ESTALE;
  if (ref->pins != 0) return WSP_OK;
  wsp_arena *arena = ref->arena;
  if (WSP_GET(arena->generation) != ref->generation) return WSP_ESTALE;
  wsp_scratch *s = WSP_GET(arena->scratch);
  if (!wsp_scratch_is_mine(s))
    return wsp_arena_is_open(arena) ? WSP_ETHREAD : WSP_ESTALE;
  return wsp_serial_is_live(s, ref->serial) ? WSP_OK : WSP_ESTALE;
}

wsp_status wsp_pin(wsp_ref *ref) {
  if (ref == NULL) return WSP_EINVAL;
  if (ref->pins == UINT32_MAX) return WSP_EOVERFLOW;
  wsp_pinned *pinned = ref->pin;
  if (ref->pins != 0) { /* it holds one already */
    ref->pins += 1;
    return WSP_OK;
  }
  wsp_status status = wsp_ref_alive(ref);
  if (status != WSP_OK) return status;
  wsp_scratch *s;
  size_t i;
  status = wsp_scratch_hold(ref->arena, &s);
  if (status != WSP_OK) return status;
  status = make_loose(ref->arena, s, ref->ptr, &i);
  if (status == WSP_OK && s->loose[i].serial != ref->serial) status = WSP_ESTALE;
  if (status == WSP_OK) {
    pinned = s->loose[i].pinned;
    if (pinned == NULL && (pinned = malloc(sizeof *pinned)) != NULL) {
      atomic_init(&pinned->holders, 1);
      pinned->arena = ref->arena;
      pinned->ptr = ref->ptr;
      s->loose[i].pinned = pinned;
    }
    if (pinned == NULL) status = WSP_ENOMEM;
  }
  if (status == WSP_OK) {
    atomic_fetch_add(&pinned->holders, 1);
    ref->pin = pinned;
    ref->pins = 1;
  }
  wsp_arena_let_go(ref->arena);
  return status;
}

wsp_status wsp_unpin(wsp_ref *ref) {
  if (ref == NULL || ref->pins == 0) return WSP_EINVAL;
  ref->pins -= 1;
  if (ref->pins != 0) return WSP_OK;
  wsp_pinned *pinned = ref->pin;
  ref->pin = NULL;
  /* In the child of a fork the parent's threads may stand in the middle of it. */
  if (wsp_is_forked(ref->arena)) return WSP_OK;
  if (atomic_fetch_sub(&pinned->holders, 1) == 1) {
    wsp_arena_free(pinned->arena, pinned->ptr);
    free(pinned);
  }
  return WSP_OK;
}

void wsp_ref_drop(wsp_ref *ref) {
  if (ref == NULL || ref->arena == NULL) return;
  wsp_arena *arena = ref->arena;
  if (ref->pins != 0) {
    ref->pins = 1;
    (void)!wsp_unpin(ref);
  }
  *ref = (wsp_ref){.arena = NULL};
  wsp_arena_unref(arena);
}
