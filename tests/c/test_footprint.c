/* SPDX-License-Identifier: BSD-3-Clause
 * How much of the block is ever touched, against the sum of the sizes asked for at its
 * peak; and that cycles that carry data come to touch no new page.  Nothing is timed.
 */
#include "wsp_arena.h"

#include "support.h"

/* Bars, in thousandths of the live bytes at their peak. */
enum { SIZES_REPEAT = 1200, SIZES_VARY = 1600 };

typedef struct load {
  wsp_arena *arena;
  size_t live, peak;
} load;

static load begin(void) {
  load l = {.arena = make_arena_of((size_t)1 << 30, 0)};
  enter(l.arena);
  return l;
}

static void *get(load *l, size_t size) {
  l->live += size;
  if (l->live > l->peak) l->peak = l->live;
  return take(l->arena, size);
}

static void put(load *l, void *ptr) {
  l->live -= wsp_size(l->arena, ptr);
  wsp_arena_free(l->arena, ptr);
}

static size_t touched(const wsp_arena *arena) {
  return (size_t)(arena->heap->virgin - arena->heap->first);
}

static void next_cycle(load *l) {
  (void)leave(l->arena);
  enter(l->arena);
}

static void end(load *l, size_t bar, const char *what, size_t detail) {
  size_t extent = touched(l->arena);
  CHECK_EQ(wsp_arena_stats(l->arena).spills, 0);
  if (!CHECK(extent * 1000 <= l->peak * bar))
    fprintf(stderr, "  %s, %zu: %.3f of %zu bytes\n", what, detail,
            (double)extent / (double)l->peak, l->peak);
  (void)leave(l->arena);
  wsp_arena_unref(l->arena);
}

/* ---- sizes repeat -------------------------------------------------------- */

/* c = a + b, over and over, with a temporary now and then. */
static void rebinding_needs_one_more_than_is_bound(void) {
  static const size_t sizes[] = {1 << 10, 2000, 1 << 12, 5000, 1 << 16, 70000, 1000000};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; ++s) {
    load l = begin();
    void *bound[3];
    for (size_t i = 0; i < 3; ++i) bound[i] = get(&l, sizes[s]);
    for (size_t i = 0; i < 500; ++i) {
      void *result = get(&l, sizes[s]);
      if (i % 7 == 0) put(&l, get(&l, sizes[s]));
      put(&l, bound[i % 3]);
      bound[i % 3] = result;
    }
    end(&l, SIZES_REPEAT, "rebinding", sizes[s]);
  }
}

/* Twelve operations, every third result a temporary of two thirds the size. */
static void a_chain_of_operations_is_packed(void) {
  static const size_t sizes[] = {1536, 8192, 100000, 1 << 20};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; ++s) {
    load l = begin();
    for (size_t cycle = 0; cycle < 5; ++cycle) {
      void *named[12] = {NULL};
      for (size_t i = 0; i < 12; ++i) {
        named[i] = get(&l, i % 3 == 2 ? sizes[s] / 3 * 2 : sizes[s]);
        if (i % 3 == 0 && i > 0) {
          put(&l, named[i - 1]);
          named[i - 1] = NULL;
        }
      }
      for (size_t i = 0; i < 12; ++i)
        if (named[i] != NULL) put(&l, named[i]);
      next_cycle(&l);
    }
    end(&l, SIZES_REPEAT, "chain", sizes[s]);
  }
}

/* Forward keeps what it makes; backward frees it from the end, and keeps a gradient of
 * each layer until the update.  Layers have one width: where each has its own, the
 * holes fit nothing that comes, for any allocator that cannot see what is to come. */
static void a_training_step_is_packed(void) {
  enum { LAYERS = 6, WIDTH = 512 };
  for (size_t batch = 32; batch <= 2048; batch *= 4) {
    load l = begin();
    for (size_t cycle = 0; cycle < 5; ++cycle) {
      void *out[LAYERS + 1], *gradient[LAYERS];
      for (size_t i = 0; i <= LAYERS; ++i) out[i] = get(&l, 4 * batch * WIDTH);
      void *delta = get(&l, 4 * batch * WIDTH);
      for (size_t i = LAYERS; i-- > 0;) {
        gradient[i] = get(&l, 4 * WIDTH * WIDTH);
        void *next = get(&l, 4 * batch * WIDTH);
        put(&l, delta);
        put(&l, out[i + 1]);
        delta = next;
      }
      put(&l, delta);
      put(&l, out[0]);
      for (size_t i = 0; i < LAYERS; ++i) put(&l, gradient[i]);
      next_cycle(&l);
    }
    end(&l, SIZES_REPEAT, "training step, batch", batch);
  }
}

/* The oldest of eight goes when a new one comes, as frames do. */
static void a_sliding_window_is_packed(void) {
  for (size_t size = 1 << 10; size <= 1 << 20; size *= 8) {
    load l = begin();
    void *frames[8] = {NULL};
    for (size_t i = 0; i < 300; ++i) {
      void *mask = get(&l, size / 2);
      void *frame = get(&l, size);
      put(&l, mask);
      if (frames[i % 8] != NULL) put(&l, frames[i % 8]);
      frames[i % 8] = frame;
    }
    end(&l, SIZES_REPEAT, "window", size);
  }
}

/* ---- sizes vary ---------------------------------------------------------- */

/* x = concatenate([x, chunk]); the chunk is nobody's, made before, or made each time.
 */
static void growing_an_array_reuses_what_it_leaves(void) {
  for (size_t chunk = 1 << 10; chunk <= 1 << 18; chunk *= 4) {
    for (size_t kind = 0; kind < 4; ++kind) {
      load l = begin();
      void *x = get(&l, chunk), *kept = kind == 1 ? get(&l, chunk) : NULL;
      for (size_t i = 2; i < 300; ++i) {
        void *part = kind >= 2 ? get(&l, chunk) : NULL;
        void *longer = get(&l, i * chunk);
        if (kind == 2) put(&l, part);
        put(&l, x);
        if (kind == 3) put(&l, part);
        x = longer;
      }
      if (kept != NULL) put(&l, kept);
      end(&l, SIZES_VARY, "growing by", chunk);
    }
  }
}

static size_t any_size(uint64_t *random, int kind) {
  size_t power = random_below(random, 10);
  if (kind == 0) return 1024 + random_below(random, 100000);
  if (kind == 1) return ((size_t)1024 << power) + random_below(random, 1000);
  if (kind == 2) return 1024 + random_below(random, (size_t)1024 << power);
  return 1024 + random_below(random, power == 0 ? 1000000 : 4000);
}

/* Any of `count` arrays is replaced by one of another size. */
static void replace_at_random(int kind, size_t count, uint64_t seed) {
  static void *held[320];
  load l = begin();
  memset(held, 0, sizeof held);
  for (size_t i = 0; i < 10000; ++i) {
    size_t j = random_below(&seed, count);
    if (held[j] != NULL) put(&l, held[j]);
    held[j] = get(&l, any_size(&seed, kind));
  }
  static const char *const names[] = {
      "random, up to 100 KB, live", "random, about powers of two, live",
      "random, below powers of two, live", "random, one in ten up to 1 MB, live"};
  end(&l, SIZES_VARY, names[kind], count);
}

static void random_sizes_fit_into_what_others_leave(void) {
  for (int kind = 0; kind < 4; ++kind)
    for (size_t count = 20; count <= 320; count *= 4)
      for (uint64_t seed = 1; seed <= 4; ++seed)
        replace_at_random(kind, count, seed * UINT64_C(0x9E3779B97F4A7C15));
}

/* ---- data carried from cycle to cycle ------------------------------------ */

enum { ARRAYS = 60, CYCLES = 30, RESTS = 5 };

/* A program that is the same in every cycle: its arrays, and which of them survive. */
typedef struct program {
  size_t size[ARRAYS];
  bool survives[ARRAYS];
} program;

static program make_program(int sizes, unsigned percent) {
  program p = {.size = {0}};
  uint64_t random = 99;
  size_t total = 0, surviving = 0;
  for (size_t i = 0; i < ARRAYS; ++i) {
    size_t any = 1024 + random_below(&random, 100000);
    p.size[i] = sizes == 0 ? 10000 : sizes == 1 ? (size_t)1024 << any % 8 : any;
    total += p.size[i];
  }
  while (surviving * 100 < total * percent) {
    size_t i = random_below(&random, ARRAYS);
    if (!p.survives[i]) surviving += p.size[i];
    p.survives[i] = true;
  }
  return p;
}

static char *take_and_touch(wsp_arena *arena, size_t size) {
  char *ptr = take(arena, size);
  for (size_t at = 0; at < size; at += 1024) ptr[at] = 1;
  return ptr;
}

/* One cycle.  What the cycle before has left is freed one by one, or at the end. */
/* One cycle, and after it what the policy of the Python layer does: a block is sized
 * and warmed for what is carried through it when that is first seen. */
static void run(wsp_arena *arena, const program *p, bool at_the_end, char **carried,
                bool *warmed) {
  char *made[ARRAYS];
  enter(arena);
  for (size_t i = 0; i < ARRAYS; ++i) {
    made[i] = take_and_touch(arena, p->size[i]);
    wsp_arena_free(arena, take_and_touch(arena, p->size[i]));
    if (!at_the_end) wsp_arena_free(arena, carried[i]);
  }
  for (size_t i = 0; i < ARRAYS; ++i) {
    if (at_the_end) wsp_arena_free(arena, carried[i]);
    carried[i] = p->survives[i] ? made[i] : NULL;
    if (!p->survives[i]) wsp_arena_free(arena, made[i]);
  }
  wsp_cycle cycle = leave(arena);
  size_t walls = (cycle.high_water + cycle.carried) / 10 * 12;
  size_t need = cycle.carried != 0 && walls > cycle.need ? walls : cycle.need;
  bool sees_walls = cycle.carried != 0 && !*warmed;
  if (!cycle.outside && cycle.spilled == 0 && !sees_walls) return;
  CHECK_EQ(wsp_arena_resize(arena, need / 10 * 13), WSP_OK);
  *warmed = *warmed || sees_walls;
  if (*warmed) CHECK_EQ(wsp_arena_warm(arena, SIZE_MAX), WSP_OK);
}

static void carry(int sizes, unsigned percent, bool at_the_end) {
  program p = make_program(sizes, percent);
  wsp_arena *arena = make_arena_of(0, WSP_LEARN);
  char *carried[ARRAYS] = {NULL};
  size_t resident = 0, grew = 0, called = 0;
  uint64_t calls = 0;
  bool warmed = false;
  for (size_t cycle = 1; cycle <= CYCLES; ++cycle) {
    run(arena, &p, at_the_end, carried, &warmed);
    if (wsp_arena_resident(arena) > resident) grew = cycle;
    if (wsp_arena_stats(arena).upstream_calls != calls) called = cycle;
    resident = wsp_arena_resident(arena);
    calls = wsp_arena_stats(arena).upstream_calls;
  }
  bool rests = CHECK(grew <= RESTS);
  rests = CHECK(called <= RESTS) && rests;
  if (!rests)
    fprintf(stderr,
            "  %u %%, %s, freed %s: new pages last in cycle %zu, calls in %zu\n",
            percent,
            sizes == 0   ? "one size"
            : sizes == 1 ? "powers of two"
                         : "many sizes",
            at_the_end ? "at the end" : "one by one", grew, called);
  wsp_arena_unref(arena);
}

static void carried_data_comes_to_rest(void) {
  static const unsigned percent[] = {5, 30, 60};
  for (int sizes = 0; sizes < 3; ++sizes)
    for (size_t i = 0; i < 3; ++i)
      for (int at_the_end = 0; at_the_end < 2; ++at_the_end)
        carry(sizes, percent[i], at_the_end);
}

int main(void) {
  rebinding_needs_one_more_than_is_bound();
  a_chain_of_operations_is_packed();
  a_training_step_is_packed();
  a_sliding_window_is_packed();
  growing_an_array_reuses_what_it_leaves();
  random_sizes_fit_into_what_others_leave();
  carried_data_comes_to_rest();
  return CHECK_SUMMARY();
}
