/* SPDX-License-Identifier: BSD-3-Clause
 * Scratch memory of a C program without Python: a hundred frames, each a cycle.
 *
 *   cc frames.c $(pkg-config --cflags --libs wspace) */
#include <inttypes.h>
#include <stdio.h>

#include "wspace/wsp.h"

enum { WIDTH = 640, HEIGHT = 480, FRAMES = 100 };

/* The mean of the frame's blurred rows; its buffers end with the cycle. */
static wsp_status blur(wsp_arena *arena, int frame, double *mean) {
  void *room;
  wsp_status status = wsp_raw_array(arena, WIDTH * HEIGHT, sizeof(float), &room);
  if (status != WSP_OK) return status;
  float *pixels = room;
  for (int i = 0; i < WIDTH * HEIGHT; ++i) pixels[i] = (float)((i + frame) % 256);
  double sum = 0;
  for (int row = 0; row < HEIGHT; ++row) {
    wsp_mark mark;
    status = wsp_scope_push(arena, &mark);
    if (status == WSP_OK) status = wsp_raw_array(arena, WIDTH, sizeof(float), &room);
    if (status != WSP_OK) return status;
    float *line = room;
    const float *from = pixels + row * WIDTH;
    for (int x = 1; x + 1 < WIDTH; ++x)
      line[x] = (from[x - 1] + from[x] + from[x + 1]) / 3;
    for (int x = 1; x + 1 < WIDTH; ++x) sum += line[x];
    status = wsp_scope_pop(arena, &mark);
    if (status != WSP_OK) return status;
  }
  *mean = sum / ((WIDTH - 2) * HEIGHT);
  return WSP_OK;
}

int main(void) {
  wsp_options options = wsp_options_default();
  options.initial = (size_t)4 << 20;
  wsp_arena *arena;
  wsp_status status = wsp_arena_new(&options, &arena);
  double mean = 0;
  uint64_t calls = 0;
  for (int frame = 0; frame < FRAMES && status == WSP_OK; ++frame) {
    status = wsp_arena_enter(arena);
    if (status != WSP_OK) break;
    status = blur(arena, frame, &mean);
    wsp_cycle cycle;
    wsp_status ended = wsp_arena_reset(arena, &cycle);
    if (status == WSP_OK) status = ended;
    if (frame == 1) calls = wsp_arena_stats(arena).upstream_calls;
  }
  if (status != WSP_OK) {
    fprintf(stderr, "frames: %s\n", wsp_status_name(status));
    return 1;
  }
  wsp_stats stats = wsp_arena_stats(arena);
  printf("%d frames, mean %.1f, %" PRIu64 " allocations, %" PRIu64
         " upstream calls after the second\n",
         FRAMES, mean, stats.allocations, stats.upstream_calls - calls);
  wsp_arena_unref(arena);
  return 0;
}
