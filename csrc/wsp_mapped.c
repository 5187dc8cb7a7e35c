/* SPDX-License-Identifier: BSD-3-Clause
 * A heap over a file: the file has the data, and memory beside it the headers, each as
 * far from the others as its data is from theirs.  All of wsp_heap.c works on the
 * headers, and knows nothing of it. */
#include "wsp_heap.h"

void wsp_heap_init_file(wsp_heap *heap, wsp_mapping map, size_t granule) {
  size_t size = wsp_file_size(map.file);
  wsp_block block = {
      .base = map.headers, .reserved = map.headers_size, .committed = map.headers_size};
  /* What the file had is there: nothing is known to be zero. */
  wsp_heap_init(heap, block, size + 2 * granule, granule, false);
  heap->end = heap->first + (size + granule - 1) / granule * granule;
  heap->capacity = size;
  heap->quick_bytes_most = 0;
  heap->fit.tight = granule;
  heap->map = map;
  heap->shift = (uintptr_t)map.data - (uintptr_t)heap->first - sizeof(wsp_chunk);
}

wsp_chunk *wsp_heap_take_file(wsp_heap *heap, wsp_need need, size_t size) {
  size_t mask = heap->granule - 1;
  need.span = size == 0 ? heap->granule : (size + mask) & ~mask;
  wsp_chunk *chunk = wsp_heap_take(heap, need);
  if (chunk == NULL) return NULL;
  size_t offset = (size_t)(wsp_heap_data(heap, chunk) - heap->map.data);
  if (size <= heap->capacity - offset) return chunk;
  wsp_heap_give(heap, chunk); /* the last granule is not all of it in the file */
  return NULL;
}
