/* SPDX-License-Identifier: BSD-3-Clause
 * Pages, memory figures and locks of a POSIX system. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise, mincore */
#endif
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "wsp_internal.h"

size_t wsp_os_page(void) {
  long page = sysconf(_SC_PAGESIZE);
  return page > 0 ? (size_t)page : 4096;
}

size_t wsp_os_window(void) {
  const size_t least = (size_t)1 << 28, most = (size_t)1 << 42;
  long pages = sysconf(_SC_PHYS_PAGES);
  size_t wanted = least;
  /* Eight times the memory: half for the block, so that no block that fits the machine
   * ever has to move, and the rest for spills and for blocks left to survivors. */
  while (wanted < most && pages > 0 && wanted / wsp_os_page() / 8 < (size_t)pages)
    wanted *= 2;
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    while (wanted > least && wanted > limit.rlim_cur / 16) wanted /= 2;
  }
  return wanted;
}

size_t wsp_os_resident(void *base, size_t size) {
  enum { STEP = 4096 };
  unsigned char seen[STEP];
  size_t page = wsp_os_page(), total = 0;
  for (size_t done = 0; done < size;) {
    size_t part = size - done;
    if (part > STEP * page) part = STEP * page;
    if (mincore((char *)base + done, part, (void *)seen) != 0) return total;
    for (size_t i = 0; i < (part + page - 1) / page; ++i)
      total += (seen[i] & 1u) * page;
    done += part;
  }
  return total;
}

/* ---- anonymous pages ------------------------------------------------------- */

static void *pages_reserve(void *ctx, size_t size) {
  (void)ctx;
  /* No access, hence not charged to the process until it is committed. */
  void *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return base == MAP_FAILED ? NULL : base;
}

static bool pages_commit(void *ctx, void *base, size_t size) {
  (void)ctx;
  return mprotect(base, size, PROT_READ | PROT_WRITE) == 0;
}

static void pages_purge(void *ctx, void *base, size_t size) {
  (void)ctx;
  /* Refused for locked pages; purged ranges read as zero all the same. */
  if (madvise(base, size, MADV_DONTNEED) != 0) memset(base, 0, size);
}

static void pages_release(void *ctx, void *base, size_t size) {
  (void)ctx;
  (void)munmap(base, size);
}

static void pages_advise(void *ctx, void *base, size_t size, wsp_advice advice) {
  (void)ctx;
  if (advice == WSP_ADVICE_HUGE) {
#if defined(MADV_HUGEPAGE)
    (void)madvise(base, size, MADV_HUGEPAGE);
#endif
    return;
  }
#if defined(MADV_POPULATE_WRITE)
  if (madvise(base, size, MADV_POPULATE_WRITE) == 0) return;
#endif
  /* Older systems: touch each page.  The bytes are not initialised yet, so writing the
   * zero that is there changes nothing. */
  volatile char *at = base;
  for (size_t offset = 0; offset < size; offset += wsp_os_page()) at[offset] = 0;
}

wsp_upstream wsp_upstream_pages(void) {
  wsp_upstream up = {.reserve = pages_reserve,
                     .commit = pages_commit,
                     .purge = pages_purge,
                     .release = pages_release,
                     .advise = pages_advise,
                     .page = wsp_os_page(),
                     .sparse = true,
                     .zeroed = true};
  return up;
}

/* ---- malloc ---------------------------------------------------------------- */

static void *malloc_reserve(void *ctx, size_t size) {
  (void)ctx;
  return aligned_alloc(wsp_os_page(), size);
}

static bool malloc_commit(void *ctx, void *base, size_t size) {
  (void)ctx, (void)base, (void)size;
  return true;
}

static void malloc_purge(void *ctx, void *base, size_t size) {
  (void)ctx, (void)base, (void)size;
}

static void malloc_release(void *ctx, void *base, size_t size) {
  (void)ctx, (void)size;
  free(base);
}

static void malloc_advise(void *ctx, void *base, size_t size, wsp_advice advice) {
  (void)ctx, (void)base, (void)size, (void)advice;
}

wsp_upstream wsp_upstream_malloc(void) {
  wsp_upstream up = {.reserve = malloc_reserve,
                     .commit = malloc_commit,
                     .purge = malloc_purge,
                     .release = malloc_release,
                     .advise = malloc_advise,
                     .page = wsp_os_page(),
                     .sparse = false,
                     .zeroed = false};
  return up;
}

void wsp_os_yield(void) { (void)sched_yield(); }

/* ---- locks ----------------------------------------------------------------- */

struct wsp_lock {
  pthread_mutex_t mutex;
};

wsp_lock *wsp_lock_new(void) {
  wsp_lock *lock = malloc(sizeof *lock);
  if (lock == NULL) return NULL;
  if (pthread_mutex_init(&lock->mutex, NULL) != 0) {
    free(lock);
    return NULL;
  }
  return lock;
}

void wsp_lock_free(wsp_lock *lock) {
  (void)pthread_mutex_destroy(&lock->mutex);
  free(lock);
}

void wsp_lock_take(wsp_lock *lock) { (void)pthread_mutex_lock(&lock->mutex); }

void wsp_lock_give(wsp_lock *lock) { (void)pthread_mutex_unlock(&lock->mutex); }

/* ---- ends of threads, and forks ---------------------------------------------------
 */

static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void) {
  (void)pthread_key_create(&at_end, wsp_thread_ends);
  (void)pthread_atfork(NULL, NULL, wsp_thread_forked);
}

void wsp_os_watch(void) { (void)pthread_once(&once, set_up); }

bool wsp_os_at_thread_end(void *arg) { return pthread_setspecific(at_end, arg) == 0; }
