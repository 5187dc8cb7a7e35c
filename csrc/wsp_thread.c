/* SPDX-License-Identifier: BSD-3-Clause
 * Identity of threads, and of the process after a fork.
 *
 * The three statics below are the only mutable globals of the core: who a thread is and
 * which process this is are facts of the process, not of an arena. */
#include <pthread.h>
#include <stdlib.h>

#include "wsp_internal.h"

struct wsp_thread {
  atomic_uint refs; /* one for the thread itself, one for each arena it has open */
  atomic_bool alive;
};

static _Thread_local wsp_thread *self;
static atomic_uint fork_epoch;
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void wsp_thread_ref(wsp_thread *thread) {
  atomic_fetch_add_explicit(&thread->refs, 1, memory_order_relaxed);
}

void wsp_thread_unref(wsp_thread *thread) {
  if (atomic_fetch_sub_explicit(&thread->refs, 1, memory_order_acq_rel) == 1)
    free(thread);
}

/* The reference is the one that the thread itself has held. */
static void thread_ends(void *thread) {
  self = NULL;
  wsp_thread_end(thread);
}

void wsp_thread_end(wsp_thread *thread) {
  atomic_store_explicit(&thread->alive, false, memory_order_release);
  if (self == thread) { /* what it does from now on, it does as another one */
    self = NULL;
    (void)pthread_setspecific(at_end, NULL);
    wsp_thread_unref(thread);
  }
  wsp_thread_unref(thread);
}

/* The child's only thread is a new one: it owns nothing that the parent's had open. */
static void in_child(void) {
  atomic_fetch_add_explicit(&fork_epoch, 1, memory_order_relaxed);
  self = NULL;
  (void)pthread_setspecific(at_end, NULL);
}

static void set_up(void) {
  (void)pthread_key_create(&at_end, thread_ends);
  (void)pthread_atfork(NULL, NULL, in_child);
}

static WSP_NOINLINE wsp_thread *thread_new(void) {
  (void)pthread_once(&once, set_up);
  wsp_thread *thread = malloc(sizeof *thread);
  if (thread == NULL) return NULL;
  atomic_init(&thread->refs, 1);
  atomic_init(&thread->alive, true);
  if (pthread_setspecific(at_end, thread) != 0) {
    free(thread);
    return NULL;
  }
  self = thread;
  return thread;
}

wsp_thread *wsp_thread_self(void) {
  wsp_thread *thread = self;
  return WSP_LIKELY(thread != NULL) ? thread : thread_new();
}

bool wsp_thread_is_alive(const wsp_thread *thread) {
  return atomic_load_explicit(&thread->alive, memory_order_acquire);
}

uint32_t wsp_fork_epoch(void) {
  return atomic_load_explicit(&fork_epoch, memory_order_relaxed);
}
