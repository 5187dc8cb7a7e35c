/* SPDX-License-Identifier: BSD-3-Clause
 * Allocations of an arena: sizes, alignment, zeroing, whose an address is, resizing. */
#include "wsp_internal.h"

#include "support.h"

static const size_t sizes[] = {0,   1,    7,    63,   64,   65,    127,   128,
                               255, 256,  257,  1000, 4095, 4096,  4097,  12345,
                               100, 2048, 2047, 2049, 8192, 65536, 65537, 300000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void every_size_comes_aligned_and_apart(void) {
  for (size_t align = 1; align <= WSP_MAX_ALIGN; align *= 2) {
    wsp_options options = wsp_options_default();
    options.alignment = align;
    options.initial = 2 * MIB;
    wsp_arena *arena = make_arena(&options);
    size_t asked = align < WSP_MIN_ALIGN ? WSP_MIN_ALIGN : align;
    unsigned char *held[SIZES];
    enter(arena);
    for (size_t i = 0; i < SIZES; ++i) {
      held[i] = take(arena, sizes[i]);
      CHECK((uintptr_t)held[i] % asked == 0 && wsp_size(arena, held[i]) == sizes[i]);
      CHECK(wsp_generation(arena, held[i]) == 1 && wsp_arena_owns(arena, held[i]));
      memset(held[i], (int)i, sizes[i]);
    }
    CHECK(wsp_arena_check(arena));
    for (size_t i = 0; i < SIZES; ++i) {
      CHECK(holds(held[i], sizes[i], (unsigned char)i));
      wsp_arena_free(arena, held[i]);
    }
    CHECK(wsp_arena_check(arena) && wsp_arena_stats(arena).used == 0);
    (void)leave(arena);
    wsp_arena_unref(arena);
  }
}

static void size_0_gives_unique_pointers(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *a = take(arena, 0), *b = take(arena, 0), *c = take_flagged(arena, 0, WSP_ZERO);
  CHECK(a != b && b != c && a != c && wsp_size(arena, a) == 0);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void options_out_of_range_are_refused(void) {
  static const size_t alignments[] = {0, 3, 48, 65, 512, SIZE_MAX};
  static const size_t pages[] = {0, 1, 128, 3000, 4097};
  wsp_arena *arena = NULL;
  for (size_t i = 0; i < sizeof alignments / sizeof *alignments; ++i) {
    wsp_options options = wsp_options_default();
    options.alignment = alignments[i];
    CHECK_EQ(wsp_arena_new(&options, &arena), WSP_EINVAL);
  }
  for (size_t i = 0; i < sizeof pages / sizeof *pages; ++i) {
    wsp_options options = wsp_options_default();
    options.upstream.page = pages[i];
    CHECK_EQ(wsp_arena_new(&options, &arena), WSP_EINVAL);
  }
  wsp_options options = wsp_options_default();
  options.flags = 1u << 20;
  CHECK_EQ(wsp_arena_new(&options, &arena), WSP_EINVAL);
  CHECK(arena == NULL);
}

static void a_size_beyond_the_address_space_overflows(void) {
  static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 64, SIZE_MAX / 2, (size_t)1 << 60};
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  wsp_arena_free(arena, take(arena, 1));
  wsp_stats before = wsp_arena_stats(arena);
  for (size_t i = 0; i < sizeof huge / sizeof *huge; ++i) {
    void *ptr = &ptr;
    CHECK_EQ(wsp_arena_alloc(arena, huge[i], WSP_ZERO, 0, &ptr), WSP_EOVERFLOW);
    CHECK(ptr == &ptr && wsp_arena_bytes_for(arena, huge[i]) == 0);
    wsp_refusal refusal = wsp_arena_refusal(arena);
    CHECK(refusal.status == WSP_EOVERFLOW && refusal.requested == huge[i]);
  }
  wsp_stats after = wsp_arena_stats(arena);
  CHECK(memcmp(&before, &after, sizeof before) == 0 && wsp_arena_check(arena));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void bytes_in_use_count_header_and_rounding(void) {
  wsp_arena *arena = make_arena_of(2 * MIB, 0);
  enter(arena);
  for (size_t i = 0, used = 0; i < SIZES; ++i) {
    size_t bytes = wsp_arena_bytes_for(arena, sizes[i]);
    (void)take(arena, sizes[i]);
    CHECK(bytes >= sizes[i] + 64 && bytes % WSP_MIN_ALIGN == 0);
    CHECK_EQ(wsp_arena_stats(arena).used, used += bytes);
  }
  (void)leave(arena);
  wsp_arena_unref(arena);
}

/* ---- zeroing ------------------------------------------------------------- */

static void dirty(wsp_arena *arena, size_t size) {
  void *ptr = take(arena, size);
  memset(ptr, 0xA5, size);
  wsp_arena_free(arena, ptr);
}

static bool takes_zero(wsp_arena *arena, size_t size) {
  char *ptr = take_flagged(arena, size, WSP_ZERO);
  bool zero = holds(ptr, size, 0);
  memset(ptr, 0xA5, size);
  return zero;
}

/* Three kinds of upstream: sparse and zeroed, neither, zeroed only. */
static wsp_upstream upstream_of_kind(int kind) {
  wsp_upstream up = kind == 1 ? wsp_upstream_malloc() : wsp_upstream_pages();
  if (kind == 2) up.sparse = false;
  return up;
}

static void zeroed_memory_is_zero_wherever_it_comes_from(void) {
  for (int kind = 0; kind < 3; ++kind) {
    wsp_options options = wsp_options_default();
    options.upstream = upstream_of_kind(kind);
    options.initial = 256 * KIB;
    wsp_arena *arena = make_arena(&options);
    for (size_t cycle = 0; cycle < 6; ++cycle) {
      enter(arena);
      CHECK(takes_zero(arena, 1000)); /* fresh at first, then old */
      dirty(arena, 5000);
      CHECK(takes_zero(arena, 7000)); /* across the end of what was used before */
      dirty(arena, 20000 * (cycle + 1));
      CHECK(takes_zero(arena, 20000 * (cycle + 1) + 9000));
      CHECK(takes_zero(arena, 300000)); /* a spill */
      dirty(arena, 310000);
      CHECK(takes_zero(arena, 310000));
      (void)leave(arena); /* all of them survive the cycle, and die with the block */
      if (cycle % 2 == 1) CHECK_EQ(wsp_arena_move(arena), WSP_OK);
      if (cycle % 3 == 2) (void)wsp_arena_trim(arena);
    }
    wsp_arena_unref(arena);
  }
}

/* The boundary between used and unused memory is exact, header by header. */
static void zeroing_stops_at_memory_that_was_never_used(void) {
  for (size_t used = 0; used < 2000; used += 40) {
    wsp_arena *arena = make_arena_of(64 * KIB, 0);
    enter(arena);
    dirty(arena, used);
    CHECK(takes_zero(arena, used + 64));
    CHECK(takes_zero(arena, 64));
    (void)leave(arena);
    wsp_arena_unref(arena);
  }
}

static void freed_secrets_are_cleared(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, WSP_ZERO_ON_FREE);
  enter(arena);
  char *a = take(arena, 1000), *wall = take(arena, 1000), *top = take(arena, 1000);
  char *raw = take_flagged(arena, 1000, WSP_RAW);
  for (int i = 0; i < 4; ++i)
    memset(i == 0 ? a : i == 1 ? wall : i == 2 ? top : raw, 0xA5, 1000);
  wsp_arena_free(arena, a);
  (void)leave(arena); /* frees raw */
  enter(arena);
  wsp_unbury(a, 1000);
  wsp_unbury(raw, 1000);
  CHECK(holds(a, 1000, 0) && holds(raw, 1000, 0));
  char *shrunk = take(arena, 5000);
  memset(shrunk, 0xA5, 5000);
  CHECK(wsp_arena_try_resize(arena, shrunk, 1000));
  wsp_unbury(shrunk, 5000);
  CHECK(holds(shrunk, 1000, 0xA5) && holds(shrunk + 1000, 4000, 0));
  CHECK(holds(wall, 1000, 0xA5) && holds(top, 1000, 0xA5));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

/* ---- addresses ----------------------------------------------------------- */

static void an_arena_owns_what_it_handed_out_and_nothing_else(void) {
  for (int kind = 0; kind < 3; ++kind) {
    wsp_options options = wsp_options_default();
    options.upstream = upstream_of_kind(kind);
    options.initial = 64 * KIB;
    wsp_arena *arena = make_arena(&options), *other = make_arena(&options);
    char on_stack = 0, *on_heap = malloc(100000);
    CHECK(!wsp_arena_owns(arena, &on_stack));
    enter(arena);
    enter(other);
    char *inside = take(arena, 1000), *spill = take(arena, 200000);
    char *foreign = take(other, 1000);
    CHECK_EQ(wsp_arena_stats(arena).spills, 1);
    CHECK(wsp_arena_owns(arena, inside) && wsp_arena_owns(arena, inside + 999));
    CHECK(wsp_arena_owns(arena, spill) && wsp_arena_owns(arena, spill + 199999));
    CHECK(wsp_arena_owns(other, foreign) && !wsp_arena_owns(arena, foreign));
    CHECK(!wsp_arena_owns(other, inside) && !wsp_arena_owns(other, spill));
    CHECK(!wsp_arena_owns(arena, &on_stack) && !wsp_arena_owns(arena, on_heap));
    CHECK(!wsp_arena_owns(arena, NULL) && !wsp_arena_owns(arena, arena));
    (void)leave(arena);
    (void)leave(other);
    CHECK(wsp_arena_owns(arena, inside) && wsp_arena_owns(arena, spill));
    free(on_heap);
    wsp_arena_unref(arena);
    wsp_arena_unref(other);
  }
}

static void an_address_leads_to_its_allocation(void) {
  for (int kind = 0; kind < 3; ++kind) {
    wsp_options options = wsp_options_default();
    options.upstream = upstream_of_kind(kind);
    options.initial = 64 * KIB;
    options.alignment = kind == 1 ? 256 : 64;
    wsp_arena *arena = make_arena(&options);
    char on_stack = 0, *held[12];
    enter(arena);
    for (size_t i = 0; i < 12; ++i) held[i] = take(arena, 1000 + 1000 * i * i);
    wsp_arena_free(arena, held[3]);
    for (int open = 1; open >= 0; --open) {
      for (size_t i = 0; i < 12; ++i) {
        size_t size = 1000 + 1000 * i * i;
        const char *found = i == 3 ? NULL : held[i];
        CHECK(wsp_arena_find(arena, held[i]) == found);
        CHECK(wsp_arena_find(arena, held[i] + size / 2) == found);
        CHECK(wsp_arena_find(arena, held[i] + size - 1) == found);
        CHECK(wsp_arena_find(arena, held[i] + size) == NULL);
        CHECK(wsp_arena_find(arena, held[i] - 1) == NULL); /* a header */
      }
      CHECK(wsp_arena_find(arena, &on_stack) == NULL);
      CHECK(wsp_arena_find(arena, NULL) == NULL);
      if (open) (void)leave(arena);
    }
    wsp_arena_unref(arena);
  }
}

static void freeing_null_does_nothing(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  wsp_arena_free(arena, NULL);
  enter(arena);
  wsp_arena_free(arena, NULL);
  CHECK(wsp_arena_check(arena));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

/* ---- resizing in place --------------------------------------------------- */

static void the_allocation_on_top_grows_and_shrinks(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *below = take(arena, 1000), *top = take(arena, 1000);
  memset(below, 1, 1000);
  memset(top, 2, 1000);
  CHECK(wsp_arena_try_resize(arena, top, 30000));
  CHECK(holds(top, 1000, 2) && wsp_size(arena, top) == 30000);
  memset(top, 3, 30000);
  size_t used = wsp_arena_bytes_for(arena, 1000) + wsp_arena_bytes_for(arena, 30000);
  CHECK(wsp_arena_stats(arena).used == used && wsp_arena_check(arena));
  CHECK(!wsp_arena_try_resize(arena, top, 70000)); /* not beyond the block */
  CHECK(!wsp_arena_try_resize(arena, top, SIZE_MAX));
  CHECK(wsp_arena_try_resize(arena, top, 10) && wsp_arena_check(arena));
  CHECK(holds(top, 10, 3) && holds(below, 1000, 1) && wsp_size(arena, top) == 10);
  wsp_stats stats = wsp_arena_stats(arena);
  CHECK(stats.cycle_high_water == used && stats.allocations == 2);
  CHECK((char *)take(arena, 30000) < top + 1000); /* what it gave up is used again */
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void elsewhere_only_the_same_rounding_is_resized(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *low = take(arena, 1000), *high = take(arena, 10), *spill = take(arena, 70000);
  CHECK(wsp_arena_bytes_for(arena, 1024) == wsp_arena_bytes_for(arena, 1000));
  CHECK(wsp_arena_try_resize(arena, low, 1024) && wsp_size(arena, low) == 1024);
  CHECK(wsp_arena_try_resize(arena, low, 961) && wsp_size(arena, low) == 961);
  CHECK(!wsp_arena_try_resize(arena, low, 960) &&
        !wsp_arena_try_resize(arena, low, 1025));
  CHECK(wsp_size(arena, low) == 961);
  CHECK(wsp_arena_try_resize(arena, spill, 70001) && wsp_size(arena, spill) == 70001);
  CHECK(!wsp_arena_try_resize(arena, spill, 140000));
  memset(low, 1, 961);
  memset(high, 1, 10);
  memset(spill, 1, 70001);
  CHECK(wsp_arena_check(arena));
  (void)leave(arena);
  CHECK(!wsp_arena_try_resize(arena, high, 5000)); /* nobody's top any more */
  wsp_arena_unref(arena);
}

static void resized_survivors_are_accounted_as_they_are(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *a = take(arena, 1000), *b = take(arena, 1000);
  wsp_arena_excuse(arena, b);
  CHECK(wsp_arena_try_resize(arena, b, 4000));
  CHECK(wsp_arena_try_resize(arena, a, 1020));
  wsp_cycle cycle = leave(arena);
  CHECK(cycle.escaped == 1020 && cycle.escaped_count == 1);
  CHECK_EQ(wsp_arena_stats(arena).retained, 5020);
  wsp_arena_free(arena, a);
  wsp_arena_free(arena, b);
  CHECK(wsp_arena_stats(arena).retained == 0 && wsp_arena_stats(arena).escaped == 0);
  wsp_arena_unref(arena);
}

int main(void) {
  every_size_comes_aligned_and_apart();
  size_0_gives_unique_pointers();
  options_out_of_range_are_refused();
  a_size_beyond_the_address_space_overflows();
  bytes_in_use_count_header_and_rounding();
  zeroed_memory_is_zero_wherever_it_comes_from();
  zeroing_stops_at_memory_that_was_never_used();
  freed_secrets_are_cleared();
  an_arena_owns_what_it_handed_out_and_nothing_else();
  an_address_leads_to_its_allocation();
  freeing_null_does_nothing();
  the_allocation_on_top_grows_and_shrinks();
  elsewhere_only_the_same_rounding_is_resized();
  resized_survivors_are_accounted_as_they_are();
  return CHECK_SUMMARY();
}
