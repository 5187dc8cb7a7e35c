/* SPDX-License-Identifier: BSD-3-Clause
 * Size classes and the segregated fit: one bin of free chunks per class, and a bitmap
 * in two levels that finds the first bin at or above a class in constant time.  After
 * M. Masmano, I. Ripoll, A. Crespo, J. Real, "TLSF: a new dynamic memory allocator for
 * real-time systems", ECRTS 2004; the list of classes is flat here, since requests are
 * rounded to classes before they come. */
#include "wsp_heap.h"

/* The class of exactly n granules, or the next smaller one; n > 0. */
static unsigned class_floor(size_t n) {
  if (n < WSP_EXACT) return (unsigned)n - 1;
  unsigned log = wsp_highest_bit(n);
  unsigned step = (unsigned)(n >> (log - WSP_STEPS_LOG2)); /* 16 to 31 */
  return WSP_EXACT - 1 + ((log - 5) << WSP_STEPS_LOG2) + step - (1u << WSP_STEPS_LOG2);
}

/* Granules are powers of two: shift, a division would be the dearest step of all. */
static unsigned granule_log2(size_t granule) { return wsp_lowest_bit(granule); }

bool wsp_need_of(size_t size, size_t granule, wsp_need *out) {
  if (size > WSP_SIZE_MOST) return false;
  size_t span = wsp_span_of(size, granule);
  unsigned cls = wsp_class_of_span(span, granule);
  if (cls >= WSP_CLASSES) return false;
  out->cls = cls;
  out->span = span;
  return true;
}

unsigned wsp_class_of_span(size_t span, size_t granule) {
  return class_floor((span >> granule_log2(granule)) - 1);
}

/* Chunks without room for data are in no bin; they wait for a neighbor to be freed. */
static bool is_binned(const wsp_fit *fit, const wsp_chunk *chunk, size_t granule) {
  return chunk->span + fit->tight > granule;
}

void wsp_fit_insert(wsp_fit *fit, wsp_chunk *chunk, size_t granule) {
  if (!is_binned(fit, chunk, granule)) return;
  unsigned cls = wsp_class_of_span(chunk->span + fit->tight, granule);
  assert(cls < WSP_CLASSES);
  chunk->prev = NULL;
  chunk->next = fit->bins[cls];
  if (chunk->next != NULL) chunk->next->prev = chunk;
  fit->bins[cls] = chunk;
  fit->map[cls / 64] |= (uint64_t)1 << (cls % 64);
  fit->summary |= (uint32_t)1 << (cls / 64);
}

void wsp_fit_remove(wsp_fit *fit, wsp_chunk *chunk, size_t granule) {
  if (!is_binned(fit, chunk, granule)) return;
  unsigned cls = wsp_class_of_span(chunk->span + fit->tight, granule);
  if (chunk->next != NULL) chunk->next->prev = chunk->prev;
  if (chunk->prev != NULL) {
    chunk->prev->next = chunk->next;
    return;
  }
  fit->bins[cls] = chunk->next;
  if (chunk->next != NULL) return;
  fit->map[cls / 64] &= ~((uint64_t)1 << (cls % 64));
  if (fit->map[cls / 64] == 0) fit->summary &= ~((uint32_t)1 << (cls / 64));
}

wsp_chunk *wsp_fit_find(const wsp_fit *fit, unsigned cls) {
  unsigned word = cls / 64;
  uint64_t bits = fit->map[word] & (~(uint64_t)0 << (cls % 64));
  if (bits == 0) {
    /* 2u << 31 is 0: no words above the last. */
    uint32_t words = fit->summary & ~(((uint32_t)2 << word) - 1u);
    if (words == 0) return NULL;
    word = wsp_lowest_bit(words);
    bits = fit->map[word];
  }
  return fit->bins[word * 64 + wsp_lowest_bit(bits)];
}

void wsp_fit_clear(wsp_fit *fit) {
  for (; fit->summary != 0; fit->summary &= fit->summary - 1) {
    unsigned word = wsp_lowest_bit(fit->summary);
    for (; fit->map[word] != 0; fit->map[word] &= fit->map[word] - 1)
      fit->bins[word * 64 + wsp_lowest_bit(fit->map[word])] = NULL;
  }
}
