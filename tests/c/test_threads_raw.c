/* SPDX-License-Identifier: BSD-3-Clause
 * Raw allocations and threads: strangers get a status, pins are dropped anywhere, a
 * cycle may be ended under its owner's hands, pools serve many at once. */
#include <pthread.h>

#include "support.h"

static void *raw(wsp_arena *arena, size_t size) {
  void *ptr = NULL;
  if (!CHECK_EQ(wsp_raw_alloc(arena, size, &ptr), WSP_OK)) exit(CHECK_SUMMARY());
  return ptr;
}

static void in_thread(void *(*function)(void *), void *arg) {
  pthread_t thread;
  if (!CHECK_EQ(pthread_create(&thread, NULL, function, arg), 0)) exit(1);
  pthread_join(thread, NULL);
}

typedef struct guest {
  wsp_arena *arena;
  char *ptr;
  wsp_mark mark;
  wsp_ref ref;
} guest;

static void *strange(void *arg) {
  guest *g = arg;
  void *ptr = NULL;
  wsp_mark mark;
  wsp_ref ref;
  wsp_cleanup node = {.fn = free};
  size_t size;
  CHECK_EQ(wsp_raw_alloc(g->arena, 10, &ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_raw_zeroed(g->arena, 10, &ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_raw_realloc(g->arena, g->ptr, 10, &ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_raw_extend(g->arena, g->ptr, 10), WSP_ETHREAD);
  CHECK_EQ(wsp_raw_free_last(g->arena, g->ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_raw_size(g->arena, g->ptr, &size), WSP_ETHREAD);
  CHECK_EQ(wsp_raw_limit(g->arena, 10), WSP_ETHREAD);
  CHECK_EQ(wsp_raw_adopt(g->arena, g->ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_checkpoint(g->arena, &mark), WSP_ETHREAD);
  CHECK_EQ(wsp_scope_push(g->arena, &mark), WSP_ETHREAD);
  CHECK_EQ(wsp_rewind(g->arena, &g->mark), WSP_ETHREAD);
  CHECK_EQ(wsp_scope_pop(g->arena, &g->mark), WSP_ETHREAD);
  CHECK_EQ(wsp_ref_make(g->arena, g->ptr, &ref), WSP_ETHREAD);
  CHECK_EQ(wsp_on_end(g->arena, &node), WSP_ETHREAD);
  wsp_run_cleanups(g->arena);
  CHECK_EQ(wsp_raw_stats(g->arena).used, 0);
  wsp_status alive = wsp_ref_alive(&g->ref);
  if (wsp_arena_is_open(g->arena)) {
    CHECK(alive == WSP_ETHREAD && wsp_pin(&g->ref) == WSP_ETHREAD);
  } else {
    CHECK(alive == WSP_ESTALE && wsp_pin(&g->ref) == WSP_ESTALE);
  }
  return NULL;
}

static void a_stranger_changes_nothing(void) {
  guest g = {.arena = make_arena_of(MIB, 0)};
  enter(g.arena);
  CHECK_EQ(wsp_checkpoint(g.arena, &g.mark), WSP_OK);
  g.ptr = raw(g.arena, 100);
  memset(g.ptr, 1, 100);
  CHECK_EQ(wsp_ref_make(g.arena, g.ptr, &g.ref), WSP_OK);
  size_t used = wsp_raw_stats(g.arena).used;
  in_thread(strange, &g);
  CHECK(wsp_raw_stats(g.arena).used == used && holds(g.ptr, 100, 1));
  (void)leave(g.arena);
  in_thread(strange, &g); /* open nowhere */
  wsp_ref_drop(&g.ref);
  wsp_arena_unref(g.arena);
}

static void *drop(void *arg) {
  guest *g = arg;
  CHECK(wsp_ref_alive(&g->ref) == WSP_OK && holds(g->ptr, 3000, 6));
  wsp_ref_drop(&g->ref);
  return NULL;
}

static void pins_are_dropped_on_any_thread(void) {
  for (int open = 0; open < 2; ++open) {
    guest g = {.arena = make_arena_of(MIB, 0)};
    enter(g.arena);
    g.ptr = raw(g.arena, 3000);
    memset(g.ptr, 6, 3000);
    CHECK_EQ(wsp_ref_make(g.arena, g.ptr, &g.ref), WSP_OK);
    CHECK_EQ(wsp_pin(&g.ref), WSP_OK);
    (void)leave(g.arena);
    if (open) enter(g.arena);
    in_thread(drop, &g);
    if (open) (void)leave(g.arena);
    CHECK_EQ(wsp_arena_stats(g.arena).retained, 0);
    CHECK(wsp_arena_check(g.arena));
    wsp_arena_unref(g.arena);
  }
}

/* ---- a cycle that another thread ends ------------------------------------ */

typedef struct race {
  wsp_arena *arena;
  atomic_int stage;
} race;

static void await(race *r, int stage) {
  while (atomic_load(&r->stage) < stage) continue;
}

/* Allocates until it is told that the cycle is over, and then still writes. */
static void *work_on(void *arg) {
  race *r = arg;
  enter(r->arena);
  char *first = raw(r->arena, 4096), *last = first;
  memset(first, 3, 4096);
  atomic_store(&r->stage, 1);
  void *ptr;
  wsp_status status;
  while ((status = wsp_raw_alloc(r->arena, 4096, &ptr)) == WSP_OK) last = ptr;
  CHECK_EQ(status, WSP_ETHREAD);
  await(r, 2);
  for (int i = 0; i < 100; ++i) memset(first, 3, 4096), memset(last, 3, 4096);
  CHECK(holds(first, 4096, 3) && holds(last, 4096, 3));
  atomic_store(&r->stage, 3);
  return NULL;
}

static void memory_of_a_cycle_ended_by_another_is_set_aside(void) {
  race r = {.arena = make_arena_of(256 * KIB, 0)};
  pthread_t thread;
  if (!CHECK_EQ(pthread_create(&thread, NULL, work_on, &r), 0)) return;
  await(&r, 1);
  wsp_arena_abandon(r.arena);
  enter(r.arena);
  char *mine[50];
  for (size_t i = 0; i < 50; ++i) {
    mine[i] = raw(r.arena, 2000);
    memset(mine[i], 9, 2000);
  }
  atomic_store(&r.stage, 2);
  await(&r, 3);
  for (size_t i = 0; i < 50; ++i) CHECK(holds(mine[i], 2000, 9));
  pthread_join(thread, NULL);
  (void)leave(r.arena);
  CHECK(wsp_arena_check(r.arena));
  wsp_arena_unref(r.arena);
}

static void *die_in_a_cycle(void *arg) {
  guest *g = arg;
  enter(g->arena);
  (void)raw(g->arena, 1000);
  return NULL;
}

static void a_dead_thread_leaves_nothing(void) {
  guest g = {.arena = make_arena_of(MIB, 0)};
  for (int i = 0; i < 5; ++i) in_thread(die_in_a_cycle, &g);
  CHECK_EQ(wsp_arena_recover(g.arena), WSP_OK);
  wsp_stats stats = wsp_arena_stats(g.arena);
  CHECK(stats.used == 0 && stats.retained == 0 && stats.allocations == 5);
  wsp_arena_unref(g.arena);
}

/* ---- pools --------------------------------------------------------------- */

static void *borrow(void *arg) {
  wsp_pool *pool = arg;
  for (size_t i = 0; i < 200; ++i) {
    wsp_arena *arena;
    if (!CHECK_EQ(wsp_pool_take(pool, &arena), WSP_OK)) return NULL;
    size_t size = 100 * i;
    char *ptr = raw(arena, size);
    memset(ptr, (int)i, size);
    CHECK(holds(ptr, size, (unsigned char)i));
    CHECK_EQ(wsp_pool_give(pool, arena), WSP_OK);
  }
  return NULL;
}

static void a_pool_serves_many_threads(void) {
  enum { THREADS = 6 };
  wsp_pool *pool;
  pthread_t threads[THREADS];
  if (!CHECK_EQ(wsp_pool_new(0, &pool), WSP_OK)) return;
  for (size_t i = 0; i < THREADS; ++i)
    CHECK_EQ(pthread_create(&threads[i], NULL, borrow, pool), 0);
  for (size_t i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  CHECK_EQ(wsp_pool_free(pool), WSP_OK);
}

static void *take_and_die(void *arg) {
  wsp_arena *arena;
  CHECK_EQ(wsp_pool_take(arg, &arena), WSP_OK);
  (void)raw(arena, 1000);
  return NULL;
}

static void a_pool_takes_back_what_the_dead_had(void) {
  wsp_pool *pool;
  if (!CHECK_EQ(wsp_pool_new(MIB, &pool), WSP_OK)) return;
  in_thread(take_and_die, pool);
  CHECK_EQ(wsp_pool_free(pool), WSP_OK);
}

int main(void) {
  a_stranger_changes_nothing();
  pins_are_dropped_on_any_thread();
  memory_of_a_cycle_ended_by_another_is_set_aside();
  a_dead_thread_leaves_nothing();
  a_pool_serves_many_threads();
  a_pool_takes_back_what_the_dead_had();
  return CHECK_SUMMARY();
}
