/* SPDX-License-Identifier: BSD-3-Clause
 * Size classes and bins: what a request is rounded to, and which chunk serves it. */
#include "wsp_heap.h"

#include "support.h"

static const size_t granules[] = {64, 128, 256};
enum { GRANULES = 3 };

/* ---- classes ------------------------------------------------------------- */

static bool is_rounded_well(size_t size, size_t granule) {
  wsp_need need;
  if (!wsp_need_of(size, granule, &need)) return false;
  size_t room = need.span - granule;
  return need.span % granule == 0 && room >= size &&
         room - size <= size / 16 + granule &&
         wsp_class_of_span(need.span, granule) == need.cls && need.cls < WSP_CLASSES;
}

static void every_size_is_rounded_up_by_little(void) {
  for (size_t g = 0; g < GRANULES; ++g) {
    size_t bad = 0;
    for (size_t size = 0; size < 300000; ++size)
      bad += !is_rounded_well(size, granules[g]);
    for (unsigned bit = 10; bit < 47; ++bit) {
      for (size_t near = 0; near <= 2 * granules[g]; ++near) {
        bad += !is_rounded_well(((size_t)1 << bit) + near - granules[g], granules[g]);
        bad += !is_rounded_well(((size_t)3 << bit) + near - granules[g], granules[g]);
      }
    }
    CHECK_EQ(bad, 0);
  }
}

static void powers_of_two_are_not_rounded(void) {
  for (size_t g = 0; g < GRANULES; ++g) {
    for (size_t size = granules[g]; size < (size_t)1 << 47; size *= 2) {
      wsp_need need;
      CHECK(wsp_need_of(size, granules[g], &need) && need.span == size + granules[g]);
    }
  }
}

/* Walks all classes: one byte more than a class holds needs the next one. */
static void spans_grow_with_their_class(void) {
  for (size_t g = 0; g < GRANULES; ++g) {
    wsp_need need, last = {.span = granules[g], .cls = 0};
    unsigned count = 0;
    for (size_t size = 0; wsp_need_of(size, granules[g], &need); ++count) {
      if (!CHECK_EQ(need.cls, count) || !CHECK(need.span > last.span)) return;
      last = need;
      size = need.span - granules[g] + 1;
    }
    CHECK_EQ(count, WSP_CLASSES);
    CHECK(last.span > (size_t)1 << 47);
  }
}

static void a_span_between_two_classes_belongs_to_the_lower(void) {
  wsp_need need, next;
  for (size_t size = 64; size < MIB; size = next.span - 64) {
    if (!CHECK(wsp_need_of(size, 64, &need))) return;
    if (!CHECK(wsp_need_of(need.span - 64 + 1, 64, &next))) return;
    for (size_t span = need.span; span < next.span; span += 64)
      CHECK_EQ(wsp_class_of_span(span, 64), need.cls);
  }
}

static void sizes_beyond_an_address_space_are_refused(void) {
  static const size_t sizes[] = {SIZE_MAX,        SIZE_MAX - 1,        SIZE_MAX - 63,
                                 SIZE_MAX - 64,   SIZE_MAX - 255,      SIZE_MAX / 2 + 1,
                                 PTRDIFF_MAX,     PTRDIFF_MAX / 2 + 1, (size_t)1 << 62,
                                 (size_t)1 << 61, (size_t)1 << 52};
  for (size_t g = 0; g < GRANULES; ++g) {
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
      wsp_need need = {.span = 7, .cls = 7};
      CHECK(!wsp_need_of(sizes[i], granules[g], &need));
      CHECK(need.span == 7 && need.cls == 7);
    }
  }
}

static void rounding_up_refuses_to_wrap(void) {
  size_t out = 1;
  CHECK(wsp_align_up(0, 64, &out) && out == 0);
  CHECK(wsp_align_up(1, 64, &out) && out == 64);
  CHECK(wsp_align_up(64, 64, &out) && out == 64);
  CHECK(wsp_align_up(5, 8, &out) && out == 8);
  CHECK(wsp_align_up(SIZE_MAX - 63, 64, &out) && out == SIZE_MAX - 63);
  CHECK(!wsp_align_up(SIZE_MAX - 62, 64, &out) && out == SIZE_MAX - 63);
  CHECK(!wsp_align_up(SIZE_MAX, 4096, &out));
}

/* ---- bins ---------------------------------------------------------------- */

static bool is_consistent(const wsp_fit *fit) {
  for (unsigned word = 0; word < WSP_WORDS; ++word)
    if ((fit->map[word] != 0) != ((fit->summary >> word) & 1u)) return false;
  for (unsigned cls = 0; cls < WSP_CLASSES; ++cls) {
    bool bit = (fit->map[cls / 64] >> (cls % 64)) & 1u;
    if (bit != (fit->bins[cls] != NULL)) return false;
  }
  return fit->summary >> WSP_WORDS == 0;
}

enum { CHUNKS = 60 };
static wsp_chunk chunks[CHUNKS];
static bool is_in[CHUNKS];

/* The smallest span that is enough for every request of `need`'s class. */
static bool find_is_right(const wsp_fit *fit, wsp_need need) {
  const wsp_chunk *found = wsp_fit_find(fit, need.cls);
  size_t best = SIZE_MAX;
  for (size_t i = 0; i < CHUNKS; ++i)
    if (is_in[i] && chunks[i].span >= need.span && chunks[i].span < best)
      best = chunks[i].span;
  if (best == SIZE_MAX) return found == NULL;
  return found != NULL && is_in[found - chunks] && found->span >= need.span &&
         wsp_class_of_span(found->span, 64) == wsp_class_of_span(best, 64);
}

static size_t random_size(uint64_t *random) {
  return random_below(random, (size_t)1 << (6 + random_below(random, 38)));
}

static void find_gives_a_chunk_that_is_big_enough(void) {
  uint64_t random = 1;
  wsp_fit fit = {.summary = 0};
  for (unsigned step = 0; step < 40000; ++step) {
    size_t i = random_below(&random, CHUNKS);
    if (is_in[i]) {
      wsp_fit_remove(&fit, &chunks[i], 64);
    } else {
      chunks[i].span = 64 + random_size(&random) / 64 * 64;
      wsp_fit_insert(&fit, &chunks[i], 64);
    }
    is_in[i] = !is_in[i];
    wsp_need need;
    bool ok = wsp_need_of(random_size(&random), 64, &need) &&
              find_is_right(&fit, need) && (step % 16 != 0 || is_consistent(&fit));
    if (!CHECK(ok)) return;
  }
  wsp_fit_clear(&fit);
  CHECK(is_consistent(&fit) && fit.summary == 0 && wsp_fit_find(&fit, 0) == NULL);
  memset(is_in, 0, sizeof is_in);
}

static void a_header_without_room_is_in_no_bin(void) {
  for (size_t g = 0; g < GRANULES; ++g) {
    wsp_fit fit = {.summary = 0};
    wsp_chunk bare = {.span = granules[g]}, least = {.span = 2 * granules[g]};
    wsp_fit_insert(&fit, &bare, granules[g]);
    CHECK(fit.summary == 0 && wsp_fit_find(&fit, 0) == NULL);
    wsp_fit_remove(&fit, &bare, granules[g]);
    wsp_fit_insert(&fit, &least, granules[g]);
    CHECK(wsp_fit_find(&fit, 0) == &least);
    wsp_fit_remove(&fit, &least, granules[g]);
    CHECK(is_consistent(&fit) && fit.summary == 0);
  }
}

/* Finding looks beyond its own word of the map, to the last class of all. */
static void every_class_finds_every_higher_class(void) {
  wsp_need need;
  for (size_t size = 0; wsp_need_of(size, 64, &need); size = need.span - 64 + 1) {
    wsp_fit fit = {.summary = 0};
    wsp_chunk only = {.span = need.span};
    wsp_fit_insert(&fit, &only, 64);
    unsigned found = 0;
    for (unsigned cls = 0; cls < WSP_CLASSES; ++cls)
      found += wsp_fit_find(&fit, cls) == &only;
    if (!CHECK_EQ(found, need.cls + 1)) return;
  }
}

int main(void) {
  every_size_is_rounded_up_by_little();
  powers_of_two_are_not_rounded();
  spans_grow_with_their_class();
  a_span_between_two_classes_belongs_to_the_lower();
  sizes_beyond_an_address_space_are_refused();
  rounding_up_refuses_to_wrap();
  find_gives_a_chunk_that_is_big_enough();
  a_header_without_room_is_in_no_bin();
  every_class_finds_every_higher_class();
  return CHECK_SUMMARY();
}
