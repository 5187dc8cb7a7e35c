/* SPDX-License-Identifier: BSD-3-Clause
 * fork: in the child every inherited arena is disabled and what it holds stays
 * readable. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* Runs `body` in a child and checks that it checked something and nothing failed.  A
 * child that waits for a lock of the parent is killed. */
static void in_child(void (*body)(void *), void *argument) {
  (void)fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    (void)alarm(20);
    unsigned long before = atomic_load(&check_count);
    body(argument);
    _exit(atomic_load(&check_failures) != 0 || atomic_load(&check_count) == before);
  }
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

typedef struct family {
  wsp_arena *idle, *open;
  char *survivor, *current;
} family;

static void check_is_disabled(wsp_arena *arena) {
  void *ptr = NULL;
  wsp_cycle cycle;
  wsp_mark mark = {.generation = 1, .serial = 1};
  CHECK_EQ(wsp_arena_enter(arena), WSP_EFORKED);
  CHECK_EQ(wsp_arena_alloc(arena, 10, 0, 0, &ptr), WSP_EFORKED);
  CHECK(ptr == NULL && !wsp_arena_is_mine(arena) && !wsp_arena_is_open(arena));
  CHECK(wsp_arena_reset(arena, &cycle) != WSP_OK);
  CHECK(wsp_checkpoint(arena, &mark) != WSP_OK && wsp_rewind(arena, &mark) != WSP_OK);
  CHECK(wsp_arena_release(arena) != WSP_OK && wsp_arena_close(arena) != WSP_OK);
  CHECK(wsp_arena_resize(arena, MIB) != WSP_OK && wsp_arena_move(arena) != WSP_OK);
  CHECK(wsp_arena_recover(arena) != WSP_OK && wsp_arena_trim(arena) == 0);
  wsp_arena_abandon(arena);
}

static void use_inherited(void *ctx) {
  family *f = ctx;
  check_is_disabled(f->idle);
  check_is_disabled(f->open);
  CHECK(holds(f->survivor, 1000, 1) && holds(f->current, 2000, 2));
  CHECK(wsp_arena_owns(f->idle, f->survivor) && wsp_arena_owns(f->open, f->current));
  CHECK(!wsp_arena_try_resize(f->open, f->current, 4000));
  wsp_stats before = wsp_arena_stats(f->idle);
  wsp_arena_free(f->idle, f->survivor);
  wsp_arena_free(f->open, f->current);
  wsp_stats after = wsp_arena_stats(f->idle);
  CHECK(memcmp(&before, &after, sizeof before) == 0);
  wsp_arena_unref(f->idle); /* the last one: leaves the pages alone */
  wsp_arena_unref(f->open);
  CHECK(holds(f->survivor, 1000, 1) && holds(f->current, 2000, 2));
}

static void use_grandparents(void *ctx) {
  wsp_arena *arena = ctx;
  CHECK_EQ(wsp_arena_enter(arena), WSP_EFORKED);
}

static void make_its_own(void *ctx) {
  (void)ctx;
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *ptr = take(arena, 5000);
  memset(ptr, 1, 5000);
  in_child(use_grandparents, arena);
  wsp_arena_free(arena, ptr);
  (void)leave(arena);
  CHECK(wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

static void a_child_may_only_read_what_it_inherits(void) {
  for (int kind = 0; kind < 2; ++kind) {
    wsp_options options = wsp_options_default();
    if (kind == 1) options.upstream = wsp_upstream_malloc();
    options.initial = 64 * KIB;
    family f = {.idle = make_arena(&options), .open = make_arena(&options)};
    enter(f.idle);
    memset(f.survivor = take(f.idle, 1000), 1, 1000);
    (void)leave(f.idle);
    enter(f.open);
    memset(f.current = take(f.open, 2000), 2, 2000);
    in_child(use_inherited, &f);
    CHECK(wsp_arena_is_mine(f.open)); /* nothing changes for the parent */
    (void)take(f.open, 100);
    CHECK(holds(f.current, 2000, 2));
    (void)leave(f.open);
    wsp_arena_free(f.idle, f.survivor);
    CHECK(wsp_arena_check(f.idle) && wsp_arena_check(f.open));
    wsp_arena_unref(f.idle);
    wsp_arena_unref(f.open);
  }
}

static void a_child_may_make_arenas(void) { in_child(make_its_own, NULL); }

typedef struct busy {
  wsp_arena *arena;
  char *survivor;
  atomic_bool stop;
} busy;

/* Takes the lock all the time. */
static void *keep_locking(void *ctx) {
  busy *b = ctx;
  bool owned = true;
  while (!atomic_load(&b->stop)) {
    owned = owned && wsp_arena_owns(b->arena, b->survivor);
    wsp_arena_abandon(b->arena);
  }
  CHECK(owned);
  return NULL;
}

static void use_what_may_be_locked(void *ctx) {
  busy *b = ctx;
  CHECK(wsp_arena_owns(b->arena, b->survivor) && holds(b->survivor, 1000, 1));
  CHECK_EQ(wsp_arena_enter(b->arena), WSP_EFORKED);
  CHECK(wsp_arena_stats(b->arena).retained == 1000);
  CHECK(wsp_arena_resident(b->arena) > 0);
  wsp_arena_free(b->arena, b->survivor);
  wsp_arena_unref(b->arena);
}

static void a_lock_held_by_a_thread_of_the_parent_is_no_trap(void) {
  wsp_options options = wsp_options_default();
  options.upstream = wsp_upstream_malloc();
  options.initial = 64 * KIB;
  busy b = {.arena = make_arena(&options)};
  enter(b.arena);
  memset(b.survivor = take(b.arena, 1000), 1, 1000);
  (void)leave(b.arena);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, keep_locking, &b), 0);
  for (int i = 0; i < 20; ++i) in_child(use_what_may_be_locked, &b);
  atomic_store(&b.stop, true);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  wsp_arena_unref(b.arena);
}

int main(void) {
  a_child_may_only_read_what_it_inherits();
  a_child_may_make_arenas();
  a_lock_held_by_a_thread_of_the_parent_is_no_trap();
  return CHECK_SUMMARY();
}
