/* SPDX-License-Identifier: BSD-3-Clause
 * The memory of one block, divided into chunks.
 *
 *   first                     bump            limit                   virgin        end
 *   | chunk | chunk | ... |   current range   | chunk | ... | chunk | sentinel  ... |
 *
 * A chunk is a header of 64 bytes and its data.  Chunks lie without gaps from `first`
 * to `virgin`, but for the current range [bump, limit), which has none.  What lies
 * beyond the sentinel was not handed out since the block was cleared.  All positions
 * are those of headers; data starts 64 bytes later and is aligned.
 *
 * Invariants
 *   - a chunk's prev_span is the span of the chunk in front of it, 0 for the first;
 *     only that of the chunk at `limit` may be old while the range is the current one
 *   - two FREE chunks never touch each other, nor the current range
 *   - QUICK chunks are in the quick bin of their exact class and are not merged yet
 *   - used == sum of span, live == count, over all LIVE chunks */
#ifndef WSP_HEAP_H
#define WSP_HEAP_H

#include "wsp_block.h"

enum wsp_state { WSP_LIVE = 1, WSP_QUICK, WSP_FREE, WSP_SENTINEL, WSP_IN_PAD };

/* flags of a live chunk */
enum {
  WSP_EXCUSED = 1u << 0, /* does not count as escaped */
  WSP_SPILL = 1u << 1,
  WSP_LISTED = 1u << 2, /* in the arena's list of raw or of recorded allocations */
  WSP_IS_RAW = 1u << 3,
  WSP_REFERENCED = 1u << 4 /* a raw one, by a wsp_ref */
};

typedef struct wsp_chunk {
  _Alignas(64) size_t span; /* header and data, a multiple of the granule */
  size_t prev_span;
  size_t size; /* as asked */
  uint64_t generation, serial;
  struct wsp_chunk *next, *prev; /* in a bin when not live, in a list when listed */
  uint16_t site, cls;            /* cls: class of a live or a quick chunk */
  uint16_t heap;                 /* index in the arena's table */
  uint8_t state, flags;
} wsp_chunk;
_Static_assert(sizeof(wsp_chunk) == 64, "the header is one cache line");

/* What lies behind the header: the data, but in a heap over a file. */
static inline void *wsp_data(wsp_chunk *chunk) { return (char *)chunk + sizeof *chunk; }

/* Classes: sizes in granules, exact below 32, then 16 to each doubling, so that
 * rounding wastes 1/16 at most.  A bin of free chunks holds those whose data is at
 * least its class and less than the next, so any chunk of a bin serves any request of
 * its class. */
enum { WSP_CLASSES = 624, WSP_WORDS = (WSP_CLASSES + 63) / 64 };

typedef struct wsp_fit {
  size_t tight;     /* by how much spans are less than the granule and the data */
  uint32_t summary; /* bit w: map[w] is not 0 */
  uint64_t map[WSP_WORDS];
  wsp_chunk *bins[WSP_CLASSES];
} wsp_fit;

/* A request in the terms of the heap. */
typedef struct wsp_need {
  size_t span;
  unsigned cls;
} wsp_need;

/* Exact classes, and how many follow to each doubling, as a power of two. */
enum { WSP_EXACT = 32, WSP_STEPS_LOG2 = 4 };

/* The span of an allocation: a granule for the header, padded in front, and data
 * rounded up to a class.  Requires a size that wsp_need_of does not refuse. */
static inline size_t wsp_span_of(size_t size, size_t granule) {
  size_t data = (size + granule - 1) & ~(granule - 1);
  if (data < granule * WSP_EXACT) return (data != 0 ? data : granule) + granule;
  size_t step = (size_t)1 << (wsp_highest_bit(data) - WSP_STEPS_LOG2);
  return ((data + step - 1) & ~(step - 1)) + granule;
}

/* Sizes beyond this are refused: whatever is added to one cannot wrap. */
#define WSP_SIZE_MOST ((size_t)PTRDIFF_MAX / 4)

/* false: overflow */
WSP_NODISCARD bool wsp_need_of(size_t size, size_t granule, wsp_need *out);

/* Bound of the quick bins; with the bytes it bounds what a flush costs. */
enum { WSP_QUICK_MOST = 128 };

typedef struct wsp_heap {
  char *bump, *limit; /* hot: with the quick bins all that the fast paths touch */
  size_t granule;     /* alignment of data and of spans */
  size_t top_prev;    /* span of the chunk in front of bump, 0: none */
  size_t quick_bytes, quick_count, quick_bytes_most;
  _Atomic size_t used, live;
  char *first, *virgin, *end; /* end: the last place for the sentinel */
  char *dirty;     /* >= virgin; beyond the header there nothing was ever handed out */
  uintptr_t shift; /* over a file: from behind a header to its data, wrapping; else 0 */
  wsp_block block;
  size_t capacity; /* bytes of the block in use for chunks, at most what is committed */
  wsp_mapping map; /* of a heap over a file: its block is the headers */
  uint16_t index;
  uint16_t slot;    /* of a ring, from 1; 0: of none */
  bool zeroed;      /* memory beyond `dirty` reads as zero */
  bool outside;     /* serves spills */
  const char *warm; /* brought into memory up to here; NULL: not asked for */
  size_t given;     /* committed bytes whose memory was given back since the last use */
  bool touched;     /* outside: used or freed since its free pages were given back */
  bool retired;     /* serves nothing any more, only its survivors live on */
  /* a clear bit means an empty bin; a set one may be old */
  uint64_t quick_map[WSP_WORDS];
  wsp_chunk *quick[WSP_CLASSES];
  wsp_fit fit;
} wsp_heap;

/* A heap over the first `capacity` bytes of a block, which are committed.  Requires
 * room for one header. */
void wsp_heap_init(wsp_heap *heap, wsp_block block, size_t capacity, size_t granule,
                   bool zeroed);
/* The same over a file.  Headers lie apart from the data, at the same distances, so a
 * span is the data alone; and it is not rounded to its class, so that an array as large
 * as the file fits: hence no quick bins. */
void wsp_heap_init_file(wsp_heap *heap, wsp_mapping map, size_t granule);
/* Use more of the block, committed too. */
void wsp_heap_extend(wsp_heap *heap, size_t capacity);

/* Take a chunk of need->span bytes, state LIVE; NULL: no room. */
wsp_chunk *wsp_heap_take_slow(wsp_heap *heap, wsp_need need);
/* Give a chunk back, merging it with its free neighbors.  The free chunk it became part
 * of; NULL: the current range took it. */
wsp_chunk *wsp_heap_merge(wsp_heap *heap, wsp_chunk *chunk);
/* Merge everything that lies in quick bins. */
void wsp_heap_flush(wsp_heap *heap);

/* Grow or shrink a live chunk where it lies on top; false: it does not, or no room. */
WSP_NODISCARD bool wsp_heap_resize_top(wsp_heap *heap, wsp_chunk *chunk, wsp_need need);

/* Between cycles: forget everything (live must be 0); or keep the survivors, and start
 * the next cycle in the smallest free range that serves it.  (In the largest, the
 * places of carried arrays would wander through the block, touching new pages each
 * cycle.) */
void wsp_heap_clear(wsp_heap *heap);
void wsp_heap_settle(wsp_heap *heap);

/* Bring the first `size` bytes of the block into memory, as far as they were never
 * used. */
void wsp_heap_warm(wsp_heap *heap, wsp_source *source, size_t size);

/* Serve no more, for good; survivors are freed with wsp_heap_merge. */
void wsp_heap_retire(wsp_heap *heap);

/* Give back the memory behind free chunks; returns the bytes.  Call between cycles. */
size_t wsp_heap_purge(wsp_heap *heap, wsp_source *source);

static inline char *wsp_heap_data(const wsp_heap *heap, wsp_chunk *chunk) {
  return (char *)((uintptr_t)wsp_data(chunk) + heap->shift);
}

/* Bytes for data in a chunk. */
static inline size_t wsp_heap_room(const wsp_heap *heap, const wsp_chunk *chunk) {
  return chunk->span - (heap->granule - heap->fit.tight);
}

/* As wsp_heap_take, in a heap over a file: `size` bytes that end within it. */
wsp_chunk *wsp_heap_take_file(wsp_heap *heap, wsp_need need, size_t size);

/* The live chunk whose data holds `ptr`; NULL: none. */
wsp_chunk *wsp_heap_find(wsp_heap *heap, const char *ptr);

/* Walk all chunks and check the invariants above; for tests. */
bool wsp_heap_check(const wsp_heap *heap);

static inline wsp_chunk *wsp_heap_take(wsp_heap *heap, wsp_need need) {
  wsp_chunk *chunk = heap->quick[need.cls];
  if (chunk != NULL) {
    heap->quick[need.cls] = chunk->next;
    heap->quick_count -= 1;
    heap->quick_bytes -= need.span;
  } else if (WSP_LIKELY(need.span <= (size_t)(heap->limit - heap->bump))) {
    chunk = (wsp_chunk *)heap->bump;
    wsp_unbury(chunk, sizeof *chunk);
    chunk->span = need.span;
    chunk->prev_span = heap->top_prev;
    chunk->heap = heap->index;
    heap->top_prev = need.span;
    heap->bump += need.span;
  } else {
    return wsp_heap_take_slow(heap, need);
  }
  chunk->state = WSP_LIVE;
  chunk->cls = (uint16_t)need.cls;
  return chunk;
}

/* The chunk on top falls back into the current range, and with it a free one in front.
 */
void wsp_heap_fall(wsp_heap *heap, wsp_chunk *chunk);

static inline void wsp_heap_give(wsp_heap *heap, wsp_chunk *chunk) {
  unsigned cls = chunk->cls;
  if ((char *)chunk + chunk->span == heap->bump) {
    wsp_heap_fall(heap, chunk);
  } else if (WSP_LIKELY(heap->quick_count < WSP_QUICK_MOST &&
                        chunk->span <= heap->quick_bytes_most - heap->quick_bytes)) {
    chunk->state = WSP_QUICK;
    chunk->next = heap->quick[cls];
    heap->quick[cls] = chunk;
    if (chunk->next == NULL) heap->quick_map[cls / 64] |= (uint64_t)1 << (cls % 64);
    heap->quick_count += 1;
    heap->quick_bytes += chunk->span;
  } else {
    (void)wsp_heap_merge(heap, chunk);
  }
}

/* ---- wsp_fit.c ------------------------------------------------------------- */

unsigned wsp_class_of_span(size_t span, size_t granule);
void wsp_fit_insert(wsp_fit *fit, wsp_chunk *chunk, size_t granule);
void wsp_fit_remove(wsp_fit *fit, wsp_chunk *chunk, size_t granule);
/* The first chunk of the smallest bin that serves `cls`; NULL: none.  Not removed. */
wsp_chunk *wsp_fit_find(const wsp_fit *fit, unsigned cls);
void wsp_fit_clear(wsp_fit *fit);

#endif
