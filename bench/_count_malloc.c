/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Preloaded, counts what a process asks of malloc in pieces of COUNT_FROM bytes or
 * more, and what it asks of the system's memory.  glibc only: its second names for
 * malloc spare looking the first ones up.  malloc's own calls of the system are inside
 * glibc and not seen here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

enum { COUNT_FROM = 1024 };

atomic_ulong bench_mallocs, bench_maps;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t align, size_t size);

static void count(size_t size) {
  if (size >= COUNT_FROM) bench_mallocs += 1;
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t items, size_t size) {
  count(size != 0 && items > (size_t)-1 / size ? COUNT_FROM : items * size);
  return __libc_calloc(items, size);
}

void *realloc(void *ptr, size_t size) {
  count(size);
  return __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t align, size_t size) {
  count(size);
  return __libc_memalign(align, size);
}

void *memalign(size_t align, size_t size) {
  count(size);
  return __libc_memalign(align, size);
}

int posix_memalign(void **out, size_t align, size_t size) {
  count(size);
  void *ptr = __libc_memalign(align, size);
  if (ptr == NULL) return ENOMEM;
  *out = ptr;
  return 0;
}

/* sys/mman.h may make mmap64 a second name of mmap. */
void *mmap(void *base, size_t size, int access, int flags, int file, off_t from);

static void *real(const char *name) {
  bench_maps += 1;
  return dlsym(RTLD_NEXT, name);
}

void *mmap(void *base, size_t size, int access, int flags, int file, off_t from) {
  void *(*call)(void *, size_t, int, int, int, off_t) = real("mmap");
  return call(base, size, access, flags, file, from);
}

void *mmap64(void *base, size_t size, int access, int flags, int file, off_t from) {
  return mmap(base, size, access, flags, file, from); /* off_t has 64 bits */
}

int munmap(void *base, size_t size) {
  int (*call)(void *, size_t) = real("munmap");
  return call(base, size);
}

int mprotect(void *base, size_t size, int access) {
  int (*call)(void *, size_t, int) = real("mprotect");
  return call(base, size, access);
}

int madvise(void *base, size_t size, int advice) {
  int (*call)(void *, size_t, int) = real("madvise");
  return call(base, size, advice);
}
