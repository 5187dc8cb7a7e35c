/* SPDX-License-Identifier: BSD-3-Clause
 * Arenas for threads that work side by side. */
#include <stdlib.h>

#include "wsp_arena.h"

struct wsp_pool {
  wsp_lock *lock;
  uint32_t epoch;
  size_t initial;
  size_t learned;  /* most that a cycle of any of them needed */
  wsp_arena **all; /* owned; [0, idle) lie idle, the rest are taken */
  size_t idle, count, room;
};

wsp_status wsp_pool_new(size_t initial, wsp_pool **out) {
  if (out == NULL) return WSP_EINVAL;
  wsp_pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return WSP_ENOMEM;
  pool->lock = wsp_lock_new();
  if (pool->lock == NULL || wsp_thread_self() == NULL) { /* the watch for forks */
    if (pool->lock != NULL) wsp_lock_free(pool->lock);
    free(pool);
    return WSP_ENOMEM;
  }
  pool->epoch = wsp_fork_epoch();
  pool->initial = initial;
  *out = pool;
  return WSP_OK;
}

static bool is_forked(const wsp_pool *pool) { return pool->epoch != wsp_fork_epoch(); }

/* With the lock: one more arena, taken. */
static wsp_status pool_grow(wsp_pool *pool) {
  if (pool->count == pool->room) {
    size_t room = pool->room == 0 ? 8 : pool->room * 2;
    wsp_arena **all = realloc(pool->all, room * sizeof(wsp_arena *));
    if (all == NULL) return WSP_ENOMEM;
    pool->all = all;
    pool->room = room;
  }
  wsp_options options = wsp_options_default();
  options.initial = pool->initial;
  if (pool->initial == 0) options.flags = WSP_LEARN;
  wsp_status status = wsp_arena_new(&options, &pool->all[pool->count]);
  if (status == WSP_OK) pool->count += 1;
  return status;
}

static void swap(wsp_pool *pool, size_t i, size_t k) {
  wsp_arena *arena = pool->all[i];
  pool->all[i] = pool->all[k];
  pool->all[k] = arena;
}

wsp_status wsp_pool_take(wsp_pool *pool, wsp_arena **out) {
  if (pool == NULL || out == NULL) return WSP_EINVAL;
  if (is_forked(pool)) return WSP_EFORKED;
  wsp_status status = WSP_OK;
  wsp_lock_take(pool->lock);
  if (pool->idle == 0) {
    status = pool_grow(pool);
    if (status == WSP_OK) swap(pool, pool->idle++, pool->count - 1);
  }
  size_t learned = pool->learned;
  wsp_arena *arena = status == WSP_OK ? pool->all[--pool->idle] : NULL;
  wsp_lock_give(pool->lock);
  if (status != WSP_OK) return status;
  /* What one has learned serves all. */
  if (WSP_GET(arena->capacity) < learned && wsp_arena_resize(arena, learned) != WSP_OK)
    learned = 0; /* what does not fit is spilled */
  status = wsp_arena_enter(arena);
  if (status == WSP_OK) {
    *out = arena;
    return WSP_OK;
  }
  wsp_lock_take(pool->lock);
  for (size_t i = pool->idle; i < pool->count; ++i)
    if (pool->all[i] == arena) swap(pool, i, pool->idle);
  pool->idle += 1;
  wsp_lock_give(pool->lock);
  return status;
}

/* With the lock: where a taken arena stands; SIZE_MAX: it is none of the pool's. */
static size_t taken_index(const wsp_pool *pool, const wsp_arena *arena) {
  for (size_t i = pool->idle; i < pool->count; ++i)
    if (pool->all[i] == arena) return i;
  return SIZE_MAX;
}

wsp_status wsp_pool_give(wsp_pool *pool, wsp_arena *arena) {
  if (pool == NULL || arena == NULL) return WSP_EINVAL;
  if (is_forked(pool)) return WSP_EFORKED;
  wsp_lock_take(pool->lock);
  size_t i = taken_index(pool, arena);
  wsp_lock_give(pool->lock);
  if (i == SIZE_MAX) return WSP_EINVAL;
  wsp_cycle cycle;
  wsp_status status = wsp_arena_reset(arena, &cycle);
  if (status != WSP_OK) return status;
  wsp_lock_take(pool->lock);
  /* A little more than was needed, or each slightly larger cycle would grow it again.
   */
  if (cycle.need > pool->learned && cycle.need > WSP_GET(arena->capacity))
    pool->learned = cycle.need + cycle.need / 4;
  i = taken_index(pool, arena);
  swap(pool, i, pool->idle);
  pool->idle += 1;
  wsp_lock_give(pool->lock);
  return WSP_OK;
}

wsp_status wsp_pool_free(wsp_pool *pool) {
  if (pool == NULL) return WSP_OK;
  if (is_forked(pool)) return WSP_EFORKED;
  wsp_lock_take(pool->lock);
  bool busy = false;
  for (size_t i = pool->idle; i < pool->count; ++i)
    busy = busy || wsp_arena_is_open(pool->all[i]);
  wsp_lock_give(pool->lock);
  if (busy) return WSP_EBUSY;
  for (size_t i = 0; i < pool->count; ++i) {
    if (wsp_arena_close(pool->all[i]) != WSP_OK) return WSP_EBUSY;
  }
  for (size_t i = 0; i < pool->count; ++i) wsp_arena_unref(pool->all[i]);
  wsp_lock_free(pool->lock);
  free(pool->all);
  free(pool);
  return WSP_OK;
}
