/* SPDX-License-Identifier: BSD-3-Clause
 * Upstream fails: each of its calls in turn, once or from there on, until a program
 * runs through untouched.  Whatever fails, nobody's bytes change, the arena stays
 * sound, and everything is given back in the end. */
#include "support.h"

enum { HELD = 64 };

typedef struct program {
  wsp_arena *arena;
  watch upstream;
  struct {
    unsigned char *ptr;
    size_t size;
    bool raw;
  } held[HELD];
  size_t count, refused;
} program;

static bool is_sound(program *p) {
  bool ok = wsp_arena_check(p->arena) && !p->upstream.misused;
  for (size_t i = 0; i < p->count; ++i) {
    const unsigned char *ptr = p->held[i].ptr;
    ok = ok && wsp_arena_owns(p->arena, ptr) &&
         wsp_size(p->arena, ptr) == p->held[i].size &&
         holds(ptr, p->held[i].size, (unsigned char)(p->held[i].size * 7));
  }
  return ok;
}

/* Either it is done, or upstream gave nothing and nothing has changed. */
static void may_fail(program *p, wsp_status status) {
  p->refused += status != WSP_OK;
  CHECK(status == WSP_OK || (status == WSP_ENOMEM && p->upstream.failures != 0));
  CHECK(is_sound(p));
}

static void hold(program *p, size_t size, uint32_t flags) {
  void *ptr = &ptr;
  wsp_stats before = wsp_arena_stats(p->arena);
  wsp_status status = wsp_arena_alloc(p->arena, size, flags, 0, &ptr);
  wsp_stats after = wsp_arena_stats(p->arena);
  if (status == WSP_OK) {
    if (flags & WSP_ZERO) CHECK(holds(ptr, size, 0));
    memset(ptr, (unsigned char)(size * 7), size);
    p->held[p->count].ptr = ptr;
    p->held[p->count].size = size;
    p->held[p->count++].raw = flags & WSP_RAW;
  } else {
    CHECK(ptr == &ptr && wsp_arena_refusal(p->arena).status == status);
    CHECK_EQ(wsp_arena_refusal(p->arena).requested, size);
    CHECK(after.used == before.used && after.allocations == before.allocations);
    CHECK(after.spills == before.spills && after.spilled == before.spilled);
  }
  may_fail(p, status);
}

static void drop(program *p, size_t i) {
  if (i >= p->count) return;
  wsp_arena_free(p->arena, p->held[i].ptr);
  p->held[i] = p->held[--p->count];
  CHECK(is_sound(p));
}

static void work(program *p, size_t scale) {
  enter(p->arena);
  for (size_t i = 0; i < 6; ++i) {
    hold(p, 300 * scale * (i + 1), i % 2 == 0 ? WSP_ZERO : 0);
    if (i == 3) drop(p, p->count / 2);
  }
  hold(p, 1000 * scale, WSP_RAW);
  hold(p, 40000 * scale, WSP_ZERO);
  for (size_t i = 0; i < 3; ++i) drop(p, i);
}

/* Ends the cycle; gives the size of block that it needed. */
static size_t end(program *p) {
  wsp_cycle cycle = leave(p->arena);
  size_t kept = 0;
  for (size_t i = 0; i < p->count; ++i)
    if (!p->held[i].raw) p->held[kept++] = p->held[i];
  p->count = kept;
  CHECK(is_sound(p));
  return cycle.need;
}

static void run(program *p) {
  work(p, 1);
  may_fail(p, wsp_arena_resize(p->arena, end(p)));
  work(p, 3);
  size_t need = end(p);
  may_fail(p, wsp_arena_move(p->arena));
  work(p, 5);
  (void)end(p);
  for (size_t i = 0; i < 8; ++i) drop(p, 0);
  may_fail(p, wsp_arena_resize(p->arena, need + MIB));
  may_fail(p, wsp_arena_move(p->arena));
  work(p, 40);
  wsp_arena_abandon(p->arena);
  CHECK_EQ(wsp_arena_recover(p->arena), WSP_OK);
  for (size_t i = p->count; i-- > 0;)
    if (p->held[i].raw) p->held[i] = p->held[--p->count];
  (void)wsp_arena_trim(p->arena);
  CHECK(is_sound(p));
  CHECK_EQ(wsp_arena_release(p->arena), WSP_OK);
  work(p, 2);
  (void)end(p);
}

/* Close with survivors, and let them die. */
static void finish(program *p) {
  CHECK_EQ(wsp_arena_close(p->arena), WSP_OK);
  CHECK(is_sound(p));
  while (p->count > 0) drop(p, p->count / 2);
  wsp_stats stats = wsp_arena_stats(p->arena);
  CHECK(stats.blocks == 0 && stats.reserved == 0 && stats.retained == 0);
  CHECK_EQ(p->upstream.live, 0);
  wsp_arena_unref(p->arena);
  CHECK(p->upstream.live == 0 && !p->upstream.misused);
}

/* Fails call after call; gives how many runs were hit. */
static uint64_t exhaust(wsp_options options, wsp_upstream real, bool fail_on) {
  for (uint64_t n = 1;; ++n) {
    program p = {.count = 0};
    options.upstream = watch_upstream(&p.upstream, real);
    p.upstream.fail_at = n;
    p.upstream.fail_on = fail_on;
    p.arena = make_arena(&options);
    run(&p);
    if (p.upstream.failures == 0) CHECK_EQ(p.refused, 0);
    if (fail_on && n == 1) CHECK(p.refused > 10);
    bool untouched = p.upstream.failures == 0;
    finish(&p);
    if (untouched) return n - 1;
  }
}

static void every_call_fails_once_or_for_good(wsp_upstream real, uint64_t least) {
  static const struct {
    size_t initial;
    uint32_t flags;
  } kinds[] = {{32 * KIB, 0},
               {0, WSP_LEARN},
               {0, WSP_LEARN | WSP_RECORD | WSP_ZERO_ON_FREE},
               {100 * KIB, WSP_HUGE_PAGES}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    wsp_options options = wsp_options_default();
    options.initial = kinds[i].initial;
    options.flags = kinds[i].flags;
    options.alignment = i == 1 ? 256 : 64;
    CHECK(exhaust(options, real, false) >= least);
    CHECK(exhaust(options, real, true) >= least);
  }
}

int main(void) {
  wsp_upstream beside = wsp_upstream_pages(); /* without a window of addresses */
  beside.sparse = false;
  every_call_fails_once_or_for_good(wsp_upstream_pages(), 3);
  every_call_fails_once_or_for_good(wsp_upstream_malloc(), 6);
  every_call_fails_once_or_for_good(beside, 6);
  return CHECK_SUMMARY();
}
