/* SPDX-License-Identifier: BSD-3-Clause
 * Identity of threads, and of the process after a fork.
 *
 * `wsp_self`, `fork_epoch` and `last_id` are, with the key in wsp_os.c, the only
 * mutable globals of the core: who a thread is and which process this is are facts of
 * the process, not of an arena. */
#include <stdlib.h>

#include "wsp_internal.h"

struct wsp_thread {
  atomic_uint refs; /* one for the thread itself, one for each arena it has open */
  atomic_bool alive;
};

_Thread_local wsp_thread *wsp_self;
static atomic_uint fork_epoch;
static _Atomic uint64_t last_id;

void wsp_thread_ref(wsp_thread *thread) {
  atomic_fetch_add_explicit(&thread->refs, 1, memory_order_relaxed);
}

void wsp_thread_unref(wsp_thread *thread) {
  if (atomic_fetch_sub_explicit(&thread->refs, 1, memory_order_acq_rel) == 1)
    free(thread);
}

/* The reference is the one that the thread itself has held. */
void wsp_thread_ends(void *thread) {
  wsp_self = NULL;
  wsp_thread_end(thread);
}

void wsp_thread_end(wsp_thread *thread) {
  atomic_store_explicit(&thread->alive, false, memory_order_release);
  if (wsp_self == thread) { /* what it does from now on, it does as another one */
    wsp_self = NULL;
    (void)wsp_os_at_thread_end(NULL);
    wsp_thread_unref(thread);
  }
  wsp_thread_unref(thread);
}

/* The child's only thread is a new one: it owns nothing that the parent's had open. */
void wsp_thread_forked(void) {
  atomic_fetch_add_explicit(&fork_epoch, 1, memory_order_relaxed);
  wsp_self = NULL;
  (void)wsp_os_at_thread_end(NULL);
}

static WSP_NOINLINE wsp_thread *thread_new(void) {
  wsp_os_watch();
  wsp_thread *thread = malloc(sizeof *thread);
  if (thread == NULL) return NULL;
  atomic_init(&thread->refs, 1);
  atomic_init(&thread->alive, true);
  if (!wsp_os_at_thread_end(thread)) {
    free(thread);
    return NULL;
  }
  wsp_self = thread;
  return thread;
}

wsp_thread *wsp_thread_self(void) {
  wsp_thread *thread = wsp_self;
  return WSP_LIKELY(thread != NULL) ? thread : thread_new();
}

bool wsp_thread_is_alive(const wsp_thread *thread) {
  return atomic_load_explicit(&thread->alive, memory_order_acquire);
}

uint32_t wsp_fork_epoch(void) {
  return atomic_load_explicit(&fork_epoch, memory_order_relaxed);
}

uint64_t wsp_new_id(void) {
  return atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
}
