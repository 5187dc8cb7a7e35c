/* SPDX-License-Identifier: BSD-3-Clause
 * Helpers of the core: checked rounding, counters, burial of dead memory, the operating
 * system and thread identity.  Not installed. */
#ifndef WSP_INTERNAL_H
#define WSP_INTERNAL_H

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "wsp.h"

#if defined(__GNUC__)
#define WSP_LIKELY(x) __builtin_expect(!!(x), 1)
#define WSP_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define WSP_NOINLINE __attribute__((noinline))
#else
#define WSP_LIKELY(x) (x)
#define WSP_UNLIKELY(x) (x)
#define WSP_NOINLINE
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WSP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WSP_ASAN 1
#endif
#endif
#ifndef WSP_ASAN
#define WSP_ASAN 0
#endif
#if WSP_ASAN
#include <sanitizer/asan_interface.h>
#endif
/* Tell Valgrind, too: defined by builds that have its headers (see setup.py). */
#if defined(WSP_VALGRIND)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_NOACCESS(ptr, size) ((void)0)
#define VALGRIND_MAKE_MEM_UNDEFINED(ptr, size) ((void)0)
#define VALGRIND_MAKE_MEM_DEFINED(ptr, size) ((void)0)
#endif

/* Round `size` up to a multiple of `align`, a power of two; false when it would wrap.
 */
static inline bool wsp_align_up(size_t size, size_t align, size_t *out) {
  size_t mask = align - 1;
  if (size > SIZE_MAX - mask) return false;
  *out = (size + mask) & ~mask;
  return true;
}

/* The number of the lowest bit that is set; word must not be 0. */
static inline unsigned wsp_lowest_bit(uint64_t word) {
#if defined(__GNUC__)
  return (unsigned)__builtin_ctzll(word);
#else
  unsigned bit = 0;
  while (!(word & 1u)) word >>= 1, ++bit;
  return bit;
#endif
}

/* The number of the highest bit that is set; word must not be 0. */
static inline unsigned wsp_highest_bit(uint64_t word) {
#if defined(__GNUC__)
  return 63u - (unsigned)__builtin_clzll(word);
#else
  unsigned bit = 0;
  while (word >>= 1) ++bit;
  return bit;
#endif
}

/* Counters have one writer at a time (the owner, or who holds the lock) and any number
 * of readers, so a relaxed load and store do where `+=` would be a locked instruction.
 */
#define WSP_GET(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define WSP_SET(field, value) \
  atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define WSP_ADD(field, n) WSP_SET(field, WSP_GET(field) + (n))
#define WSP_SUB(field, n) WSP_SET(field, WSP_GET(field) - (n))

/* Have ASan and Valgrind tell of any touch. */
static inline void wsp_forbid(void *ptr, size_t size) {
#if WSP_ASAN
  __asan_poison_memory_region(ptr, size);
#else
  (void)ptr, (void)size;
#endif
  VALGRIND_MAKE_MEM_NOACCESS(ptr, size);
}

/* Dead memory: forbidden, and filled in checking builds. */
static inline void wsp_bury(void *ptr, size_t size) {
#if !WSP_ASAN && !defined(NDEBUG)
  memset(ptr, 0xDD, size);
#endif
  wsp_forbid(ptr, size);
}

/* Memory that is somebody's again; what it holds is as it was. */
static inline void wsp_unbury(void *ptr, size_t size) {
#if WSP_ASAN
  __asan_unpoison_memory_region(ptr, size);
#else
  (void)ptr, (void)size;
#endif
  VALGRIND_MAKE_MEM_DEFINED(ptr, size);
}

/* The same for an allocation: nothing was written into it yet. */
static inline void wsp_unbury_fresh(void *ptr, size_t size) {
  wsp_unbury(ptr, size);
  VALGRIND_MAKE_MEM_UNDEFINED(ptr, size);
}

/* ---- wsp_os.c: the only file that calls the operating system --------------- */

size_t wsp_os_page(void);
/* Bytes of address space an arena reserves: a multiple of the machine's memory, less
 * under a limit of the address space. */
size_t wsp_os_window(void);
size_t wsp_os_resident(void *base, size_t size);
void wsp_os_yield(void); /* let another thread run */

/* Map a file, and as much memory for headers plus `more`, of which only what is touched
 * costs; false: refused.  Takes a reference to the file. */
typedef struct wsp_mapping {
  wsp_file *file; /* NULL: none */
  char *data, *headers;
  size_t data_size, headers_size; /* whole pages */
} wsp_mapping;
WSP_NODISCARD bool wsp_os_map(wsp_file *file, size_t more, wsp_mapping *out);
void wsp_os_unmap(const wsp_mapping *mapping);
void wsp_os_file_ref(wsp_file *file);

/* Have wsp_thread_ends called with what _at_thread_end was given last on a thread, when
 * it ends, and wsp_thread_forked in the child of each fork.  Once or more. */
void wsp_os_watch(void);
bool wsp_os_at_thread_end(void *arg);

typedef struct wsp_lock wsp_lock;
wsp_lock *wsp_lock_new(void); /* NULL: no memory */
void wsp_lock_free(wsp_lock *lock);
void wsp_lock_take(wsp_lock *lock);
void wsp_lock_give(wsp_lock *lock);

/* ---- wsp_thread.c: who is calling ------------------------------------------ */

/* The record of the calling thread; NULL: none was made yet.  Read where allocations
 * are made, so with the access model that costs one instruction. */
#if defined(__GNUC__) && defined(__ELF__)
__attribute__((tls_model("initial-exec"), visibility("hidden")))
#endif
extern _Thread_local wsp_thread *wsp_self;
void wsp_thread_ends(void *thread);
void wsp_thread_forked(void);
void wsp_thread_unref(wsp_thread *thread);
bool wsp_thread_is_alive(const wsp_thread *thread);
/* Goes up in the child of each fork. */
uint32_t wsp_fork_epoch(void);
/* A number that no other arena of this process has had. */
uint64_t wsp_new_id(void);

#endif
