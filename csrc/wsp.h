// clang-format off
/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wsp.h - arenas for cyclic programs.  C11, no Python.  This header is the manual.
 *
 * Words
 *   upstream     where blocks come from: a table of functions, copied into the arena
 *   block        one aligned range of pages from upstream
 *   arena        a block, what has been spilled beside it, and a generation
 *   allocation   one piece handed out; a header of 64 bytes sits in front of its data
 *   cycle        from wsp_arena_enter to wsp_arena_reset
 *   generation   number of the current cycle; 0 before the first
 *   survivor     an allocation that is still alive when its cycle ends: it stays where
 *                it is, with its bytes, until it is freed; later cycles go around it
 *   raw          an allocation that ends with its cycle at the latest (wsp_raw.h)
 *   spill        an allocation that did not fit into the block
 *   ring         several blocks of one arena, of which each cycle takes another
 *   slot         one of them
 *   outside      where spills go, and everything while the arena has no block yet
 *
 * Sizes are bytes.  "Bytes in use" count the header and the rounding of each allocation.
 *
 * Threads
 *   An arena is open on at most one thread, its owner, which works without a lock.
 *   wsp_arena_free, _owns, _stats, _ref and _unref may be called from any thread at any
 *   time.  Functions marked OWNER return WSP_ETHREAD on any other thread and change
 *   nothing; functions marked IDLE need an arena that is not open (WSP_EBUSY) and must
 *   not be called from two threads at once; they give WSP_EFORKED in the child of a fork.
 *
 * Errors
 *   A function that can fail returns a wsp_status and leaves its results untouched and
 *   the arena as it was.  Nothing prints, nothing aborts.
 *
 * fork
 *   In the child every inherited arena is disabled: _enter and _alloc give WSP_EFORKED,
 *   _free does nothing, and what was allocated stays readable; but what lies in a file is
 *   shared with the parent, which goes on writing there.
 */
// clang-format on
#ifndef WSP_H
#define WSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsp_abi.h" /* statuses */

#ifdef __cplusplus
extern "C" {
#endif

#ifdef WSP_SHARED /* a library is being built that shows these functions */
#pragma GCC visibility push(default)
#endif

#if defined(__GNUC__)
#define WSP_NODISCARD __attribute__((warn_unused_result))
#else
#define WSP_NODISCARD
#endif

enum {
  WSP_MIN_ALIGN = 64, /* every allocation is aligned to this at least */
  WSP_MAX_ALIGN = 256,
  WSP_MAX_SLOTS = 1024
};

/* The name of a status, such as "WSP_EFULL".  Never NULL. */
const char *wsp_status_name(wsp_status status);

/* ---- upstream -------------------------------------------------------------- */

typedef enum wsp_advice {
  WSP_ADVICE_HUGE,    /* back it with huge pages where the system has them */
  WSP_ADVICE_POPULATE /* bring all of it into memory now */
} wsp_advice;

/* Where memory comes from.  `size` is always a multiple of `page`.
 *   reserve   takes addresses, aligned to WSP_MAX_ALIGN and `page`; NULL: refused
 *   commit    makes part of a reservation usable; false: refused
 *   purge     gives the memory behind a range back; the range stays usable
 *   release   ends a reservation, committed or not
 *   advise    a hint; may do nothing
 * With `sparse`, reserving is nearly free and arenas reserve far more than they commit.
 * With `zeroed`, fresh and purged ranges read as zero. */
typedef struct wsp_upstream {
  void *ctx;
  void *(*reserve)(void *ctx, size_t size);
  bool (*commit)(void *ctx, void *base, size_t size);
  void (*purge)(void *ctx, void *base, size_t size);
  void (*release)(void *ctx, void *base, size_t size);
  void (*advise)(void *ctx, void *base, size_t size, wsp_advice advice);
  size_t page;
  bool sparse;
  bool zeroed;
} wsp_upstream;

/* Anonymous private pages of the operating system: sparse and zeroed. */
wsp_upstream wsp_upstream_pages(void);
/* aligned_alloc and free: each block is seen by tools that watch malloc. */
wsp_upstream wsp_upstream_malloc(void);

/* ---- files ----------------------------------------------------------------- */

/* A file whose pages are the block of an arena, for data that is larger than memory or
 * outlives the process.  It holds the bytes of allocations, from its start and one
 * behind the other but for rounding to 128 bytes, and nothing else: headers are
 * elsewhere.  What it held before is there still.  Its size is fixed. */
typedef struct wsp_file wsp_file;

/* Open the file at `path`, or make it, locked against every other wsp_file_open; with
 * `temporary` a file without a name in the directory `path`.  It has `size` bytes then,
 * or more if it had, and all of them are backed by the disk.  Gives one reference; a
 * file that could not be sized is left as it was.
 * Errors: WSP_EBUSY (somebody has it), WSP_EINVAL (not a regular file; or no size, and
 * the file has none), WSP_ENOMEM, and else WSP_EFILE with the system's number of the
 * reason in *reason. */
WSP_NODISCARD wsp_status wsp_file_open(const char *path, bool temporary, size_t size,
                                       wsp_file **out, int *reason);
size_t wsp_file_size(const wsp_file *file);
/* Give the reference back.  The lock ends with the last, those of arenas included; an
 * arena has one until it is closed and nothing lives in the file any more. */
void wsp_file_unref(wsp_file *file);

/* ---- arenas ---------------------------------------------------------------- */

enum {
  WSP_HUGE_PAGES = 1u << 0,   /* ask for huge pages; blocks are multiples of 2 MiB */
  WSP_POPULATE = 1u << 1,     /* bring blocks into memory when they are made */
  WSP_ZERO_ON_FREE = 1u << 2, /* clear the bytes of whatever is freed */
  WSP_NO_SPILL = 1u << 3,     /* what does not fit the block fails with WSP_EFULL */
  WSP_RECORD = 1u << 4,       /* keep a list of the live allocations of the cycle */
  WSP_RING_SKIP = 1u << 6,    /* of a ring: pass over slots in which something lives */
  WSP_RING_REFUSE = 1u << 7,  /* with none to take wsp_arena_enter gives WSP_EHELD, else
                               * the cycle is served outside and counts as spilled */
  WSP_LEARN = 1u << 5 /* until the first resize everything is served outside, and
                       * does not count as spilled; only without `initial` */
};

typedef struct wsp_options {
  wsp_upstream upstream;
  size_t alignment; /* a power of two up to WSP_MAX_ALIGN; less than 64 means 64 */
  size_t initial;   /* size of the block that the first allocation makes; 0: none */
  size_t max_block; /* the block never grows beyond this; SIZE_MAX: no bound */
  size_t limit;     /* bound of blocks and outside together; SIZE_MAX: no bound */
  wsp_file *file;   /* borrowed: the block is this file, and initial, max_block and
                     * slots are not asked; NULL: pages of upstream */
  size_t slots;     /* a ring of so many blocks, one for each cycle in turn; 0: none */
  uint32_t flags;
} wsp_options;

/* pages, alignment 64, no initial block, no bounds, no flags */
wsp_options wsp_options_default(void);

/* Make an arena; takes no memory from upstream yet.  Gives the caller one reference.
 * Errors: WSP_EINVAL (alignment, page, flags, slots), WSP_ENOMEM. */
WSP_NODISCARD wsp_status wsp_arena_new(const wsp_options *options, wsp_arena **out);

/* Take, give back a reference.  The last one frees the arena and all its memory. */
void wsp_arena_ref(wsp_arena *arena);
void wsp_arena_unref(wsp_arena *arena);

/* Give the memory back and keep the arena: it is as new, but its generation and its
 * counters go on.  Survivors keep their pages until they are freed.  IDLE. */
WSP_NODISCARD wsp_status wsp_arena_release(wsp_arena *arena);

/* As wsp_arena_release, and for good: entering gives WSP_ECLOSED.  Closing again is
 * WSP_OK.  IDLE. */
WSP_NODISCARD wsp_status wsp_arena_close(wsp_arena *arena);

/* ---- cycles ---------------------------------------------------------------- */

/* What a cycle came to.  Bytes, unless named a count. */
typedef struct wsp_cycle {
  uint64_t generation;
  size_t high_water; /* most bytes in use at once by this cycle's allocations */
  size_t need;       /* size of a block that would have held it without a spill */
  size_t fit;        /* the same whatever the present block could have held besides */
  size_t spilled;    /* most bytes in spills at once */
  size_t carried;    /* bytes of survivors in the block when it began */
  size_t escaped;    /* bytes, as asked, of survivors that were not excused */
  uint64_t escaped_count;
  uint64_t allocations;
  bool outside; /* served without a block */
} wsp_cycle;

/* Begin a cycle: the calling thread becomes the owner, the generation goes up by one.
 * An abandoned cycle, or one whose thread has ended, is reset first.
 * Errors: WSP_EBUSY (this thread has it open), WSP_ETHREAD, WSP_ECLOSED, WSP_EFORKED,
 * WSP_ENOMEM (no record of the thread), WSP_EHELD (of a ring: nothing has changed).
 */
WSP_NODISCARD wsp_status wsp_arena_enter(wsp_arena *arena);

/* End the cycle: raw allocations are freed, every other live allocation becomes a
 * survivor, free memory is the next cycle's.  O(1) but for the survivors' neighbors
 * (at most 128 bin entries).  OWNER, else WSP_ETHREAD and nothing is done. */
WSP_NODISCARD wsp_status wsp_arena_reset(wsp_arena *arena, wsp_cycle *out);

/* Leave a cycle open that cannot be ended now: nobody owns the arena any more, and the
 * next wsp_arena_enter resets it first.  Any thread. */
void wsp_arena_abandon(wsp_arena *arena);

/* Around calls that another thread does not see, since they are made without the lock
 * by which the host keeps its threads apart (in Python, the GIL): wsp_arena_abandon
 * waits for them.  May be nested. */
void wsp_arena_hold(wsp_arena *arena);
void wsp_arena_let_go(wsp_arena *arena);

/* End a cycle that was abandoned, or whose thread has ended; nothing to do: WSP_OK.
 * Errors: WSP_EBUSY (open on a living thread). */
WSP_NODISCARD wsp_status wsp_arena_recover(wsp_arena *arena);

/* Is it open on the calling thread; on any living thread. */
bool wsp_arena_is_mine(const wsp_arena *arena);
bool wsp_arena_is_open(const wsp_arena *arena);
/* Is the cycle that began last still open, abandoned or not. */
bool wsp_arena_in_cycle(const wsp_arena *arena);
uint64_t wsp_arena_generation(const wsp_arena *arena);

/* With a ring the size of the block is that of each slot, which gets it when its turn
 * comes; nothing escapes from a cycle, since what it made is meant to live on. */

/* Make the block at least `capacity` bytes, in place where the addresses allow it, else
 * by a new block.  More than max_block or the limit allow is cut to what they allow.
 * IDLE.  Errors: WSP_ENOMEM (or too little is allowed to hold anything), WSP_ECLOSED.
 */
WSP_NODISCARD wsp_status wsp_arena_resize(wsp_arena *arena, size_t capacity);

/* As wsp_arena_resize, and a block that is larger is made that small: what lives in it
 * stays, and has it for itself.  Where the limit leaves no room for both it stays as it
 * is.  IDLE.  Errors: as wsp_arena_resize; the arena may be without a block then. */
WSP_NODISCARD wsp_status wsp_arena_fit(wsp_arena *arena, size_t capacity);

/* Go on in another block of the same size and leave this one to its survivors; its free
 * pages go back at once.  A ring has no need of it, and a file is
 * only one: WSP_OK, and nothing is done.  IDLE.
 * Errors: WSP_ENOMEM. */
WSP_NODISCARD wsp_status wsp_arena_move(wsp_arena *arena);

/* Fill what dies from now on with a byte that reads as NaN in every floating-point
 * type, or no more, and have ASan and Valgrind told.  Goes before WSP_ZERO_ON_FREE.
 * OWNER, else WSP_ETHREAD. */
WSP_NODISCARD wsp_status wsp_arena_poison(wsp_arena *arena, bool on);

/* Bring the first `size` bytes of the block into memory, so that later cycles, whose
 * free ranges differ as survivors come and go, meet no page that was never touched.
 * IDLE. */
WSP_NODISCARD wsp_status wsp_arena_warm(wsp_arena *arena, size_t size);

/* Give back the memory behind everything that is free, keep the addresses; returns the
 * bytes given back.  IDLE, else 0. */
size_t wsp_arena_trim(wsp_arena *arena);

/* ---- rings ----------------------------------------------------------------- */

typedef struct wsp_slot {
  size_t capacity;     /* of its block; 0: none yet */
  size_t used, live;   /* bytes in use, count of allocations */
  size_t high_water;   /* of all its cycles */
  uint64_t generation; /* of its last cycle; 0: none */
  uint64_t cycles;     /* that it has served */
  uint64_t held;       /* times that something lived in it when its turn came */
  bool is_next;        /* its turn is the next cycle */
} wsp_slot;

/* Count of slots; 0: the arena is no ring. */
size_t wsp_arena_slots(const wsp_arena *arena);
/* A slot of a ring, from 0 to the count less one.  Any thread. */
wsp_slot wsp_arena_slot(wsp_arena *arena, size_t index);

/* ---- threads --------------------------------------------------------------- */

/* Who a thread is.  Identifiers of threads are used again at once after one ends;
 * records are not while somebody refers to them. */
typedef struct wsp_thread wsp_thread;

/* The record of the calling thread, borrowed; NULL: no memory. */
wsp_thread *wsp_thread_self(void);
void wsp_thread_ref(wsp_thread *thread);

/* For hosts that know before the system does that a thread has come to its end: what it
 * has open is abandoned.  Takes a reference; any thread. */
void wsp_thread_end(wsp_thread *thread);

/* ---- allocations ----------------------------------------------------------- */

enum {
  WSP_ZERO = 1u << 0, /* the bytes read as zero, else they are not initialised */
  WSP_RAW = 1u << 1   /* freed by a rewind past it and by the end of the cycle */
};

/* Take `size` bytes; size 0 gives a unique pointer.  `site` is the caller's own number,
 * kept with WSP_RECORD.  OWNER.
 * Errors: WSP_EFULL, WSP_ENOMEM, WSP_EOVERFLOW, WSP_ETHREAD, WSP_EFORKED. */
WSP_NODISCARD wsp_status wsp_arena_alloc(wsp_arena *arena, size_t size, uint32_t flags,
                                         uint32_t site, void **out);

/* Give an allocation back; NULL is allowed.  `ptr` must be owned by the arena. */
void wsp_arena_free(wsp_arena *arena, void *ptr);

/* Change the size of an allocation of this cycle without moving it: possible on top of
 * the block, and where the rounded size stays the same.  OWNER, else false.  Returns
 * whether it was done. */
bool wsp_arena_try_resize(wsp_arena *arena, void *ptr, size_t size);

/* Is `ptr` in a block or a spill of this arena: by its address, nothing is read. */
bool wsp_arena_owns(const wsp_arena *arena, const void *ptr);

/* The allocation that an address inside its data belongs to; NULL: none that is alive,
 * or the arena is open on another thread.  Walks the block: for rare questions. */
const void *wsp_arena_find(wsp_arena *arena, const void *ptr);

/* Was it made in the process that this one was forked from. */
bool wsp_arena_is_inherited(const wsp_arena *arena);

/* Size as asked, generation and site of an allocation. */
size_t wsp_size(const wsp_arena *arena, const void *ptr);
uint64_t wsp_generation(const wsp_arena *arena, const void *ptr);
uint32_t wsp_site(const wsp_arena *arena, const void *ptr);

/* Excuse an allocation: as a survivor it does not count as escaped.  Not from two
 * threads at once. */
void wsp_arena_excuse(wsp_arena *arena, void *ptr);

/* Bytes that an allocation of `size` takes in a block of this arena, header and
 * rounding included; 0 when it overflows. */
size_t wsp_arena_bytes_for(const wsp_arena *arena, size_t size);

/* The same for any arena of an alignment, a power of two; less than 64 means 64. */
size_t wsp_bytes_for(size_t size, size_t alignment);

/* The last allocation of the cycle that failed, WSP_OK if none did: its status, its
 * size, and the bytes free in the block and the block's size at that moment. */
typedef struct wsp_refusal {
  wsp_status status;
  size_t requested, free, capacity;
} wsp_refusal;
wsp_refusal wsp_arena_refusal(const wsp_arena *arena);

/* With WSP_RECORD: call `visit` for each live allocation of the open cycle that is not
 * excused, newest first.  OWNER, else nothing. */
typedef void (*wsp_visit_fn)(void *ctx, size_t size, uint32_t site);
void wsp_arena_visit(wsp_arena *arena, wsp_visit_fn visit, void *ctx);

/* ---- statistics ------------------------------------------------------------ */

typedef struct wsp_stats {
  uint64_t generation, cycles;
  size_t capacity;         /* of the block, or of each slot */
  size_t used;             /* bytes in use by the open cycle */
  size_t high_water;       /* of all cycles, the open one too */
  size_t last_high_water;  /* of the last finished cycle */
  size_t cycle_high_water; /* of the open cycle so far */
  size_t spilled;          /* bytes in spills that are alive */
  size_t retained;         /* bytes, as asked, of all survivors */
  size_t escaped;          /* those of them that were not excused */
  size_t reserved;         /* committed memory held from upstream */
  size_t blocks;           /* count of block and outside ranges */
  uint64_t allocations, spills, escaped_count, upstream_calls; /* totals */
} wsp_stats;

/* A snapshot; from another thread while the arena is open, an approximate one. */
wsp_stats wsp_arena_stats(const wsp_arena *arena);
/* Most bytes in use at once by the allocations of one cycle, since the last call of
 * wsp_arena_take_peak, or ever; any thread. */
size_t wsp_arena_peak(const wsp_arena *arena);
/* The same, and begin anew with what is in use now.  Other figures are not touched.
 * Errors: WSP_ETHREAD (open on another thread), WSP_EFORKED. */
WSP_NODISCARD wsp_status wsp_arena_take_peak(wsp_arena *arena, size_t *out);

/* Bytes of its memory that are in RAM now, asked from the operating system. */
size_t wsp_arena_resident(wsp_arena *arena);

/* Walk every block and check each invariant; for tests.  OWNER or IDLE. */
bool wsp_arena_check(wsp_arena *arena);

#ifdef WSP_SHARED
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#include "wsp_raw.h" /* scratch memory: raw allocations, marks, pools */

#endif
