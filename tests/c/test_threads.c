/* SPDX-License-Identifier: BSD-3-Clause
 * Threads: one owner at a time, frees from anywhere, owners that die.  Clean under
 * TSan. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "support.h"

static pthread_t start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  if (!CHECK_EQ(pthread_create(&thread, NULL, body, argument), 0))
    exit(CHECK_SUMMARY());
  return thread;
}

static void join(pthread_t thread) { CHECK_EQ(pthread_join(thread, NULL), 0); }

/* Runs it to its end on a thread of its own. */
static void elsewhere(void *(*body)(void *), void *argument) {
  join(start(body, argument));
}

/* ---- statuses ------------------------------------------------------------ */

static void *use_what_another_has_open(void *ctx) {
  wsp_arena *arena = ctx;
  void *ptr = NULL;
  wsp_cycle cycle = {.generation = 77};
  wsp_mark mark = {.generation = 1, .serial = 1};
  CHECK_EQ(wsp_arena_enter(arena), WSP_ETHREAD);
  CHECK_EQ(wsp_arena_alloc(arena, 10, 0, 0, &ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_arena_reset(arena, &cycle), WSP_ETHREAD);
  CHECK_EQ(wsp_checkpoint(arena, &mark), WSP_ETHREAD);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_ETHREAD);
  CHECK_EQ(wsp_arena_release(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_close(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_EBUSY);
  CHECK_EQ(wsp_arena_move(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_recover(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_trim(arena), 0);
  CHECK(!wsp_arena_is_mine(arena) && wsp_arena_is_open(arena));
  CHECK(ptr == NULL && cycle.generation == 77 && mark.serial == 1);
  return NULL;
}

static void an_arena_is_open_on_one_thread_only(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *ptr = take(arena, 1000);
  wsp_stats before = wsp_arena_stats(arena);
  elsewhere(use_what_another_has_open, arena);
  wsp_stats after = wsp_arena_stats(arena);
  CHECK(memcmp(&before, &after, sizeof before) == 0 && wsp_arena_is_mine(arena));
  wsp_arena_free(arena, ptr);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

/* ---- one after the other ------------------------------------------------- */

enum { TURNS = 6, THREADS = 4 };

typedef struct relay {
  wsp_arena *arena;
  pthread_mutex_t mutex;
  char *baton; /* what the turn before has left */
  unsigned turns;
} relay;

static void *take_turns(void *ctx) {
  relay *r = ctx;
  for (unsigned i = 0; i < TURNS; ++i) {
    (void)pthread_mutex_lock(&r->mutex);
    enter(r->arena);
    CHECK_EQ(wsp_arena_generation(r->arena), ++r->turns);
    if (r->baton != NULL) CHECK(holds(r->baton, 3000, (unsigned char)(r->turns - 1)));
    wsp_arena_free(r->arena, r->baton);
    r->baton = take(r->arena, 3000);
    memset(r->baton, (int)r->turns, 3000);
    for (size_t n = 1; n < 8; ++n) wsp_arena_free(r->arena, take(r->arena, 5000 * n));
    (void)take_flagged(r->arena, 100, WSP_RAW);
    (void)leave(r->arena);
    CHECK(wsp_arena_check(r->arena));
    (void)pthread_mutex_unlock(&r->mutex);
  }
  return NULL;
}

static void threads_take_turns(void) {
  relay r = {.arena = make_arena_of(64 * KIB, 0)};
  (void)pthread_mutex_init(&r.mutex, NULL);
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; ++i) threads[i] = start(take_turns, &r);
  for (size_t i = 0; i < THREADS; ++i) join(threads[i]);
  CHECK_EQ(wsp_arena_stats(r.arena).cycles, TURNS * THREADS);
  CHECK_EQ(wsp_arena_stats(r.arena).retained, 3000);
  wsp_arena_free(r.arena, r.baton);
  CHECK(wsp_arena_stats(r.arena).retained == 0 && wsp_arena_check(r.arena));
  wsp_arena_unref(r.arena);
  (void)pthread_mutex_destroy(&r.mutex);
}

/* ---- frees from other threads -------------------------------------------- */

enum { QUEUE = 32, PIECES = 10000 };

/* Pieces on their way to the threads that free them. */
typedef struct queue {
  wsp_arena *arena;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  unsigned char *pieces[QUEUE];
  size_t count;
  bool done;
} queue;

static void push(queue *q, unsigned char *piece) {
  (void)pthread_mutex_lock(&q->mutex);
  while (q->count == QUEUE) (void)pthread_cond_wait(&q->changed, &q->mutex);
  q->pieces[q->count++] = piece;
  (void)pthread_cond_broadcast(&q->changed);
  (void)pthread_mutex_unlock(&q->mutex);
}

/* NULL: there will be no more. */
static unsigned char *pop(queue *q) {
  unsigned char *piece = NULL;
  (void)pthread_mutex_lock(&q->mutex);
  while (q->count == 0 && !q->done) (void)pthread_cond_wait(&q->changed, &q->mutex);
  if (q->count > 0) piece = q->pieces[--q->count];
  (void)pthread_cond_broadcast(&q->changed);
  (void)pthread_mutex_unlock(&q->mutex);
  return piece;
}

static void *free_what_comes(void *ctx) {
  queue *q = ctx;
  size_t wrong = 0;
  for (unsigned char *piece; (piece = pop(q)) != NULL;) {
    size_t size = wsp_size(q->arena, piece);
    wrong +=
        !wsp_arena_owns(q->arena, piece) || !holds(piece, size, (unsigned char)size);
    wrong += wsp_arena_stats(q->arena).allocations == 0;
    wsp_arena_free(q->arena, piece);
  }
  CHECK_EQ(wrong, 0);
  return NULL;
}

/* Cycles that hand most of what they allocate to others, who free it in its cycle or in
 * a later one, or between two. */
static void hand_out(queue *q, uint64_t random) {
  for (size_t done = 0; done < PIECES;) {
    enter(q->arena);
    size_t end = done + 1 + random_below(&random, 200);
    for (; done < end; ++done) {
      size_t size = random_below(&random, random_chance(&random, 2) ? 60000 : 3000);
      unsigned char *piece = take(q->arena, size);
      memset(piece, (unsigned char)size, size);
      if (random_chance(&random, 70))
        push(q, piece);
      else
        wsp_arena_free(q->arena, piece);
    }
    CHECK(wsp_arena_check(q->arena));
    (void)leave(q->arena);
    if (random_chance(&random, 20)) CHECK_EQ(wsp_arena_move(q->arena), WSP_OK);
    if (random_chance(&random, 20)) (void)wsp_arena_trim(q->arena);
  }
}

static void others_free_while_the_owner_works(void) {
  for (int kind = 0; kind < 2; ++kind) {
    wsp_options options = wsp_options_default();
    if (kind == 1) options.upstream = wsp_upstream_malloc();
    options.initial = 128 * KIB;
    queue q = {.arena = make_arena(&options)};
    (void)pthread_mutex_init(&q.mutex, NULL);
    (void)pthread_cond_init(&q.changed, NULL);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; ++i) threads[i] = start(free_what_comes, &q);
    hand_out(&q, 5 + (uint64_t)kind);
    (void)pthread_mutex_lock(&q.mutex);
    q.done = true;
    (void)pthread_cond_broadcast(&q.changed);
    (void)pthread_mutex_unlock(&q.mutex);
    for (size_t i = 0; i < 3; ++i) join(threads[i]);
    enter(q.arena); /* takes in what came last */
    (void)leave(q.arena);
    wsp_stats stats = wsp_arena_stats(q.arena);
    CHECK(stats.retained == 0 && stats.used == 0 && stats.spilled == 0);
    CHECK(stats.escaped == 0 && wsp_arena_check(q.arena));
    CHECK_EQ(wsp_arena_close(q.arena), WSP_OK);
    CHECK_EQ(wsp_arena_stats(q.arena).blocks, 0);
    wsp_arena_unref(q.arena);
    (void)pthread_cond_destroy(&q.changed);
    (void)pthread_mutex_destroy(&q.mutex);
  }
}

typedef struct pair {
  wsp_arena *arena;
  void *ptr;
} pair;

static void *free_it(void *ctx) {
  pair *p = ctx;
  wsp_arena_free(p->arena, p->ptr);
  return NULL;
}

/* A raw allocation dies on another thread, and once only. */
static void what_others_freed_is_not_freed_by_a_rewind(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  wsp_mark mark;
  CHECK_EQ(wsp_checkpoint(arena, &mark), WSP_OK);
  pair p = {arena, take_flagged(arena, 1000, WSP_RAW)};
  (void)take_flagged(arena, 1000, WSP_RAW);
  elsewhere(free_it, &p);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  CHECK(wsp_arena_stats(arena).used == 0 && wsp_arena_check(arena));
  char *a = take(arena, 1000), *b = take(arena, 1000), *c = take(arena, 80000);
  CHECK(a != b && a != c && b != c);
  CHECK(wsp_arena_check(arena));
  wsp_arena_free(arena, a);
  wsp_arena_free(arena, b);
  wsp_arena_free(arena, c);
  (void)leave(arena);
  CHECK(wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

static void what_others_freed_is_no_survivor(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, WSP_RECORD);
  enter(arena);
  pair p = {arena, take(arena, 1000)}, raw = {arena, take_flagged(arena, 500, WSP_RAW)};
  char *stays = take(arena, 10);
  elsewhere(free_it, &p);
  elsewhere(free_it, &raw);
  wsp_cycle cycle = leave(arena);
  CHECK(cycle.escaped == 10 && cycle.escaped_count == 1 && wsp_arena_check(arena));
  p.ptr = stays;
  elsewhere(free_it, &p); /* idle: at once */
  CHECK(wsp_arena_stats(arena).retained == 0 && wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

/* ---- owners that die ----------------------------------------------------- */

static void *enter_and_die(void *ctx) {
  pair *p = ctx;
  enter(p->arena);
  p->ptr = take(p->arena, 2000);
  memset(p->ptr, 9, 2000);
  (void)take_flagged(p->arena, 300, WSP_RAW);
  return NULL;
}

static void the_cycle_of_a_dead_owner_ends_at_the_next_enter(void) {
  for (int recover = 0; recover < 2; ++recover) {
    pair p = {.arena = make_arena_of(64 * KIB, 0)};
    elsewhere(enter_and_die, &p);
    CHECK(!wsp_arena_is_open(p.arena) && !wsp_arena_is_mine(p.arena));
    CHECK(wsp_arena_in_cycle(p.arena) && holds(p.ptr, 2000, 9));
    void *ptr = NULL;
    CHECK_EQ(wsp_arena_alloc(p.arena, 10, 0, 0, &ptr), WSP_ETHREAD);
    if (recover) CHECK_EQ(wsp_arena_recover(p.arena), WSP_OK);
    enter(p.arena);
    wsp_stats stats = wsp_arena_stats(p.arena);
    CHECK(stats.generation == 2 && stats.cycles == 1 && stats.retained == 2000);
    CHECK(stats.used == 0 && holds(p.ptr, 2000, 9) && wsp_arena_check(p.arena));
    wsp_arena_free(p.arena, p.ptr);
    (void)leave(p.arena);
    wsp_arena_unref(p.arena);
  }
}

static void what_a_dead_owner_left_can_be_freed(void) {
  pair p = {.arena = make_arena_of(64 * KIB, 0)};
  elsewhere(enter_and_die, &p);
  wsp_arena_free(p.arena, p.ptr);
  CHECK_EQ(wsp_arena_close(p.arena), WSP_OK);
  wsp_stats stats = wsp_arena_stats(p.arena);
  CHECK(stats.retained == 0 && stats.blocks == 0 && stats.escaped_count == 0);
  wsp_arena_unref(p.arena);
}

typedef struct host {
  wsp_arena *arena;
  wsp_thread *thread;
  pthread_barrier_t barrier;
} host;

static void *enter_and_stay(void *ctx) {
  host *h = ctx;
  enter(h->arena);
  (void)take(h->arena, 2000);
  h->thread = wsp_thread_self();
  wsp_thread_ref(h->thread);
  (void)pthread_barrier_wait(&h->barrier); /* has entered */
  (void)pthread_barrier_wait(&h->barrier); /* has been ended */
  CHECK_EQ(wsp_arena_generation(h->arena), 2);
  return NULL;
}

static void a_host_may_say_that_a_thread_has_ended(void) {
  host h = {.arena = make_arena_of(64 * KIB, 0)};
  (void)pthread_barrier_init(&h.barrier, NULL, 2);
  pthread_t thread = start(enter_and_stay, &h);
  (void)pthread_barrier_wait(&h.barrier);
  CHECK(wsp_arena_is_open(h.arena));
  CHECK_EQ(wsp_arena_enter(h.arena), WSP_ETHREAD);
  wsp_thread_end(h.thread);
  CHECK(!wsp_arena_is_open(h.arena) && wsp_arena_in_cycle(h.arena));
  enter(h.arena);
  CHECK(wsp_arena_stats(h.arena).cycles == 1 &&
        wsp_arena_stats(h.arena).retained == 2000);
  (void)pthread_barrier_wait(&h.barrier);
  join(thread);
  (void)leave(h.arena);
  wsp_arena_unref(h.arena);
  (void)pthread_barrier_destroy(&h.barrier);
}

/* On its own thread, too: what it does afterwards it does as another one. */
static void *end_itself(void *ctx) {
  wsp_arena *arena = ctx;
  enter(arena);
  wsp_thread *self = wsp_thread_self();
  wsp_thread_ref(self);
  wsp_thread_end(self);
  CHECK(!wsp_arena_is_mine(arena) && !wsp_arena_is_open(arena));
  enter(arena);
  CHECK(wsp_arena_generation(arena) == 2 && wsp_arena_is_mine(arena));
  (void)leave(arena);
  return NULL;
}

static void a_thread_that_has_ended_goes_on_as_another(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  elsewhere(end_itself, arena);
  wsp_arena_unref(arena);
}

static void *drop_reference(void *ctx) {
  wsp_arena_unref(ctx);
  return NULL;
}

static void the_last_reference_may_go_anywhere(void) {
  pair p = {.arena = make_arena_of(64 * KIB, 0)};
  elsewhere(enter_and_die, &p);
  wsp_arena_ref(p.arena);
  pthread_t other = start(drop_reference, p.arena);
  wsp_arena_unref(p.arena);
  join(other);
  p.arena = make_arena_of(64 * KIB, 0);
  enter(p.arena);
  p.ptr = take(p.arena, 100);
  elsewhere(free_it, &p); /* never taken in */
  elsewhere(drop_reference, p.arena);
}

int main(void) {
  an_arena_is_open_on_one_thread_only();
  threads_take_turns();
  others_free_while_the_owner_works();
  what_others_freed_is_not_freed_by_a_rewind();
  what_others_freed_is_no_survivor();
  the_cycle_of_a_dead_owner_ends_at_the_next_enter();
  what_a_dead_owner_left_can_be_freed();
  a_host_may_say_that_a_thread_has_ended();
  a_thread_that_has_ended_goes_on_as_another();
  the_last_reference_may_go_anywhere();
  return CHECK_SUMMARY();
}
