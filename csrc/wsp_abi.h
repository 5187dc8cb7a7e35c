// clang-format off
/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wsp_abi.h - what crosses the boundary between separately compiled programs: the core's
 * statuses, and the structures that callers keep.  C11 and C++17.
 *
 * Their sizes, offsets and numbers never change within an ABI major version; statuses
 * are only appended. */
// clang-format on
#ifndef WSP_ABI_H
#define WSP_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum wsp_status {
  WSP_OK = 0,
  WSP_ENOMEM,    /* upstream gave nothing */
  WSP_EFULL,     /* no room in the block, and spilling is forbidden or over the limit */
  WSP_EINVAL,    /* an argument is out of its range, or not a pointer of this arena */
  WSP_EOVERFLOW, /* a size does not fit an address space */
  WSP_ETHREAD,   /* the arena is open on another thread, or not open on this one */
  WSP_ESTALE,    /* a mark or reference of another cycle, or one rewound past */
  WSP_EBUSY,     /* the arena is open; the allocation is pinned; cleanups are running */
  WSP_ECLOSED,   /* the arena was closed for good */
  WSP_EFORKED,   /* the arena belongs to the process that this one was forked from */
  WSP_EFILE,     /* the system refuses a file */
  WSP_EHELD,     /* something lives in the slot of the ring whose turn it is */
  WSP_EORDER     /* not the last allocation, or not the innermost scope */
} wsp_status;

typedef struct wsp_arena wsp_arena;
typedef struct wsp_pool wsp_pool;

/* A place to rewind to; plain data on the caller's stack, to be copied freely. */
typedef struct wsp_mark {
  uint64_t arena, generation, serial;
  uint32_t depth, reserved;
} wsp_mark;

/* A pointer that knows whether it is still valid.  Made by wsp_ref_make, which takes a
 * reference to the arena; wsp_ref_drop gives it back and clears the structure.  Copies
 * of it must not be dropped, and know nothing of later pins. */
typedef struct wsp_ref {
  wsp_arena *arena;
  void *ptr;
  uint64_t generation, serial;
  void *pin;
  uint32_t pins, reserved;
} wsp_ref;

/* What is to be called when memory ends; the caller's, and in use until then. */
typedef struct wsp_cleanup {
  void (*fn)(void *arg);
  void *arg;
  struct wsp_cleanup *next; /* this and what follows is the arena's */
  uint64_t serial;
} wsp_cleanup;

#ifdef __cplusplus
}
#endif
#endif
