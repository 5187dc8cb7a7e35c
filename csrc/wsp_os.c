/* SPDX-License-Identifier: BSD-3-Clause
 * Pages, files, memory figures and locks of a POSIX system. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise, mincore */
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

/* ---- files ----------------------------------------------------------------- */

struct wsp_file {
  atomic_uint refs;
  int fd;
  size_t size;
};

static int open_temporary(const char *directory) {
#if defined(O_TMPFILE)
  int fd = open(directory, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
#endif
  char name[PATH_MAX];
  int length = snprintf(name, sizeof name, "%s/wspace-XXXXXX", directory);
  if (length < 0 || (size_t)length >= sizeof name) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int made = mkstemp(name);
  if (made < 0) return -1;
  (void)fcntl(made, F_SETFD, FD_CLOEXEC);
  (void)unlink(name);
  return made;
}

/* O_NONBLOCK: a FIFO is refused later, and must not be waited for. */
static int open_named(const char *path, bool *is_new) {
  const int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK;
  int fd = open(path, flags | O_CREAT | O_EXCL, 0666);
  *is_new = fd >= 0;
  return fd >= 0 || errno != EEXIST ? fd : open(path, flags);
}

/* Give the file at least `size` bytes, all on the disk; the system's reason, 0: done.
 */
static int allocate(int fd, size_t before, size_t size) {
  int reason;
  if (size > (size_t)INT64_MAX) return EFBIG;
  do reason = posix_fallocate(fd, 0, (off_t)size);
  while (reason == EINTR);
  if (reason != 0 && ftruncate(fd, (off_t)before) != 0) return reason;
  return reason;
}

/* Lock and size an open file, and set *size to what it has then. */
static wsp_status prepare(int fd, size_t *size, int *reason) {
  struct stat about;
  if (fstat(fd, &about) != 0) {
    *reason = errno;
    return WSP_EFILE;
  }
  if (!S_ISREG(about.st_mode)) return WSP_EINVAL;
  /* Of an open file and not of a process, so that one process cannot have it twice. */
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    *reason = errno;
    return errno == EWOULDBLOCK ? WSP_EBUSY : WSP_EFILE;
  }
  if (fstat(fd, &about) != 0) { /* again: who had it may have changed it */
    *reason = errno;
    return WSP_EFILE;
  }
  size_t before = (size_t)about.st_size;
  if (*size < before) *size = before;
  if (*size == 0) return WSP_EINVAL;
  *reason = allocate(fd, before, *size);
  return *reason == 0 ? WSP_OK : WSP_EFILE;
}

wsp_status wsp_file_open(const char *path, bool temporary, size_t size, wsp_file **out,
                         int *reason) {
  bool is_new = false;
  wsp_file *file = malloc(sizeof *file);
  if (file == NULL) return WSP_ENOMEM;
  *reason = 0;
  int fd = temporary ? open_temporary(path) : open_named(path, &is_new);
  if (fd < 0) {
    *reason = errno;
    free(file);
    return WSP_EFILE;
  }
  wsp_status status = prepare(fd, &size, reason);
  if (status != WSP_OK) {
    if (is_new && status != WSP_EBUSY) (void)unlink(path);
    (void)close(fd);
    free(file);
    return status;
  }
  atomic_init(&file->refs, 1);
  file->fd = fd;
  file->size = size;
  *out = file;
  return WSP_OK;
}

size_t wsp_file_size(const wsp_file *file) { return file->size; }

void wsp_os_file_ref(wsp_file *file) {
  atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
}

void wsp_file_unref(wsp_file *file) {
  if (atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) != 1) return;
  /* Closing would leave the lock to the children that have inherited it. */
  (void)flock(file->fd, LOCK_UN);
  (void)close(file->fd);
  free(file);
}

bool wsp_os_map(wsp_file *file, size_t more, wsp_mapping *out) {
  wsp_mapping map = {.file = file};
  size_t page = wsp_os_page();
  if (file->size > SIZE_MAX / 4) return false;
  if (!wsp_align_up(file->size, page, &map.data_size)) return false;
  if (!wsp_align_up(file->size + more, page, &map.headers_size)) return false;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
  flags |= MAP_NORESERVE; /* little of it is ever touched */
#endif
  void *headers = mmap(NULL, map.headers_size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (headers == MAP_FAILED) return false;
  void *data =
      mmap(NULL, map.data_size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
  if (data == MAP_FAILED) {
    (void)munmap(headers, map.headers_size);
    return false;
  }
  map.headers = headers;
  map.data = data;
  wsp_os_file_ref(file);
  *out = map;
  return true;
}

void wsp_os_unmap(const wsp_mapping *map) {
  (void)munmap(map->data, map->data_size);
  (void)munmap(map->headers, map->headers_size);
  wsp_file_unref(map->file);
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
