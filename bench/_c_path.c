/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Scratch memory in C, without Python: cycles that take twelve buffers, write to each
 * and give them back.  malloc is whatever the process was started with.
 *
 * Each function runs `cycles` cycles and returns the CPU time of them in nanoseconds.
 */
#include <stdlib.h>
#include <time.h>

#include "wsp.h"

enum { BUFFERS = 12 };

long long run_malloc(size_t size, long cycles);
long long run_arena(wsp_arena *arena, size_t size, long cycles);
wsp_arena *make_arena(size_t size);

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void write_to(void *buffer) { *(volatile char *)buffer = 1; }

long long run_malloc(size_t size, long cycles) {
  long long start = now();
  for (long cycle = 0; cycle < cycles; ++cycle) {
    void *buffers[BUFFERS];
    for (int i = 0; i < BUFFERS; ++i) {
      buffers[i] = malloc(size);
      if (buffers[i] == NULL) abort();
      write_to(buffers[i]);
    }
    for (int i = 0; i < BUFFERS; ++i) free(buffers[i]);
  }
  return now() - start;
}

/* Raw allocations: the end of the cycle frees them. */
long long run_arena(wsp_arena *arena, size_t size, long cycles) {
  long long start = now();
  for (long cycle = 0; cycle < cycles; ++cycle) {
    if (wsp_arena_enter(arena) != WSP_OK) abort();
    for (int i = 0; i < BUFFERS; ++i) {
      void *buffer;
      if (wsp_arena_alloc(arena, size, WSP_RAW, 0, &buffer) != WSP_OK) abort();
      write_to(buffer);
    }
    wsp_cycle ended;
    if (wsp_arena_reset(arena, &ended) != WSP_OK || ended.spilled != 0) abort();
  }
  return now() - start;
}

/* The caller's, for as long as the process lives; NULL: no memory. */
wsp_arena *make_arena(size_t size) {
  wsp_options options = wsp_options_default();
  options.initial = BUFFERS * (size + 1024);
  wsp_arena *arena;
  return wsp_arena_new(&options, &arena) == WSP_OK ? arena : NULL;
}
