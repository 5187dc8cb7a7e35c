/* SPDX-License-Identifier: BSD-3-Clause
 * What several C tests need: random numbers that repeat, patterns in memory, arenas
 * with room, and an upstream that counts, watches its caller, and fails on demand. */
#ifndef WSP_SUPPORT_H
#define WSP_SUPPORT_H

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "wsp.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static inline uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state * UINT64_C(2685821657736338717);
}

/* 0 to below - 1 */
static inline size_t random_below(uint64_t *state, size_t below) {
  return (size_t)((next_random(state) >> 16) % below);
}

static inline bool random_chance(uint64_t *state, unsigned percent) {
  return random_below(state, 100) < percent;
}

/* All bytes are `byte`. */
static inline bool holds(const void *memory, size_t size, unsigned char byte) {
  const unsigned char *bytes = memory;
  return size == 0 || (bytes[0] == byte && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* ---- arenas -------------------------------------------------------------- */

static inline wsp_arena *make_arena(const wsp_options *options) {
  wsp_arena *arena = NULL;
  if (!CHECK_EQ(wsp_arena_new(options, &arena), WSP_OK)) exit(CHECK_SUMMARY());
  return arena;
}

/* An arena whose first allocation makes a block of `initial` bytes. */
static inline wsp_arena *make_arena_of(size_t initial, uint32_t flags) {
  wsp_options options = wsp_options_default();
  options.initial = initial;
  options.flags = flags;
  return make_arena(&options);
}

static inline void enter(wsp_arena *arena) { CHECK_EQ(wsp_arena_enter(arena), WSP_OK); }

static inline wsp_cycle leave(wsp_arena *arena) {
  wsp_cycle cycle = {.generation = 0};
  CHECK_EQ(wsp_arena_reset(arena, &cycle), WSP_OK);
  return cycle;
}

static inline void *take_flagged(wsp_arena *arena, size_t size, uint32_t flags) {
  void *ptr = NULL;
  if (!CHECK_EQ(wsp_arena_alloc(arena, size, flags, 0, &ptr), WSP_OK))
    exit(CHECK_SUMMARY());
  return ptr;
}

static inline void *take(wsp_arena *arena, size_t size) {
  return take_flagged(arena, size, 0);
}

/* ---- an upstream under observation --------------------------------------- */

enum { WATCHED = 64 };

/* Passes calls on to `real` and keeps a list of what it has reserved. */
typedef struct watch {
  wsp_upstream real;
  struct {
    char *base;
    size_t size;
  } ranges[WATCHED];
  size_t live;         /* bytes reserved and not released */
  uint64_t attempts;   /* calls that can fail */
  uint64_t fail_at;    /* the number of the attempt that fails, from 1; 0: none */
  bool fail_on;        /* all that follow fail, too */
  uint64_t failures;   /* attempts that were made to fail */
  uint64_t advised[2]; /* calls, by advice */
  uint64_t purges;
  bool misused;
} watch;

static inline bool watch_fails(watch *w) {
  w->attempts += 1;
  bool fails = w->fail_at != 0 &&
               (w->fail_on ? w->attempts >= w->fail_at : w->attempts == w->fail_at);
  w->failures += fails;
  return fails;
}

/* The slot of the reservation that holds the range, whose bounds are pages. */
static inline size_t watch_find(watch *w, const char *base, size_t size) {
  size_t page = w->real.page;
  for (size_t i = 0; i < WATCHED && size % page == 0 && (uintptr_t)base % page == 0;
       ++i) {
    const char *from = w->ranges[i].base;
    if (from != NULL && base >= from && base + size <= from + w->ranges[i].size)
      return i;
  }
  w->misused = true;
  return WATCHED;
}

static inline void *watch_reserve(void *ctx, size_t size) {
  watch *w = ctx;
  if (size == 0 || size % w->real.page != 0) w->misused = true;
  if (watch_fails(w)) return NULL;
  size_t slot = 0;
  while (slot < WATCHED && w->ranges[slot].base != NULL) ++slot;
  char *base = slot < WATCHED ? w->real.reserve(w->real.ctx, size) : NULL;
  if (base == NULL) return NULL;
  w->ranges[slot].base = base;
  w->ranges[slot].size = size;
  w->live += size;
  return base;
}

static inline bool watch_commit(void *ctx, void *base, size_t size) {
  watch *w = ctx;
  (void)watch_find(w, base, size);
  return !watch_fails(w) && w->real.commit(w->real.ctx, base, size);
}

static inline void watch_purge(void *ctx, void *base, size_t size) {
  watch *w = ctx;
  (void)watch_find(w, base, size);
  w->purges += 1;
  w->real.purge(w->real.ctx, base, size);
}

static inline void watch_release(void *ctx, void *base, size_t size) {
  watch *w = ctx;
  size_t slot = watch_find(w, base, size);
  if (slot == WATCHED || w->ranges[slot].base != base || w->ranges[slot].size != size) {
    w->misused = true;
    return;
  }
  w->ranges[slot].base = NULL;
  w->live -= size;
  w->real.release(w->real.ctx, base, size);
}

static inline void watch_advise(void *ctx, void *base, size_t size, wsp_advice advice) {
  watch *w = ctx;
  (void)watch_find(w, base, size);
  w->advised[advice] += 1;
  w->real.advise(w->real.ctx, base, size, advice);
}

static inline wsp_upstream watch_upstream(watch *w, wsp_upstream real) {
  *w = (watch){.real = real};
  return (wsp_upstream){.ctx = w,
                        .reserve = watch_reserve,
                        .commit = watch_commit,
                        .purge = watch_purge,
                        .release = watch_release,
                        .advise = watch_advise,
                        .page = real.page,
                        .sparse = real.sparse,
                        .zeroed = real.zeroed};
}

#endif
