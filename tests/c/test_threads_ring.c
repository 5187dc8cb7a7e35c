/* SPDX-License-Identifier: BSD-3-Clause
 * Rings between threads: one makes, others look at what was made and free it. */
#include <pthread.h>
#include <sched.h>

#include "support.h"

enum { SLOTS = 3, CYCLES = 400, CONSUMERS = 2 };

typedef struct pipe {
  wsp_arena *arena;
  _Atomic(unsigned char *) queue[SLOTS]; /* what waits for a consumer */
  atomic_int made, seen;
} pipe;

static void *consume(void *arg) {
  pipe *p = arg;
  while (atomic_load(&p->seen) < CYCLES) {
    for (size_t i = 0; i < SLOTS; ++i) {
      unsigned char *batch = atomic_exchange(&p->queue[i], NULL);
      if (batch == NULL) continue;
      size_t size = wsp_size(p->arena, batch);
      CHECK(holds(batch, size, batch[0]));
      wsp_arena_free(p->arena, batch);
      atomic_fetch_add(&p->seen, 1);
    }
    sched_yield();
  }
  return NULL;
}

static void offer(pipe *p, unsigned char *batch) {
  for (size_t i = 0;; i = (i + 1) % SLOTS) {
    unsigned char *empty = NULL;
    if (atomic_compare_exchange_strong(&p->queue[i], &empty, batch)) return;
    if (i == SLOTS - 1) sched_yield();
  }
}

static void produce(pipe *p, unsigned n) {
  wsp_status status;
  while ((status = wsp_arena_enter(p->arena)) == WSP_EHELD) sched_yield();
  CHECK_EQ(status, WSP_OK);
  size_t size = 1000 + n * 37 % 5000;
  unsigned char *local = take(p->arena, size), *batch = take(p->arena, size);
  memset(batch, (int)(n % 251), size);
  memset(local, 255, size);
  if (n % 2 == 0) offer(p, batch); /* while the cycle is open */
  wsp_arena_free(p->arena, local);
  (void)leave(p->arena);
  if (n % 2 == 1) offer(p, batch);
}

static void consumers_hold_their_batches(uint32_t flags) {
  wsp_options options = wsp_options_default();
  options.slots = SLOTS;
  options.initial = 64 * KIB;
  options.flags = flags;
  pipe p = {.arena = make_arena(&options)};
  pthread_t threads[CONSUMERS];
  for (size_t i = 0; i < CONSUMERS; ++i)
    CHECK_EQ(pthread_create(&threads[i], NULL, consume, &p), 0);
  for (unsigned n = 0; n < CYCLES; ++n) {
    produce(&p, n);
    if (n % 16 == 0) (void)wsp_arena_slot(p.arena, n % SLOTS);
  }
  for (size_t i = 0; i < CONSUMERS; ++i) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  if (flags & WSP_RING_REFUSE) CHECK_EQ(wsp_arena_stats(p.arena).spills, 0);
  enter(p.arena);
  (void)leave(p.arena);
  CHECK_EQ(wsp_arena_stats(p.arena).retained, 0);
  CHECK(wsp_arena_check(p.arena));
  wsp_arena_unref(p.arena);
}

int main(void) {
  consumers_hold_their_batches(WSP_RING_REFUSE);
  consumers_hold_their_batches(WSP_RING_SKIP);
  consumers_hold_their_batches(0);
  return CHECK_SUMMARY();
}
