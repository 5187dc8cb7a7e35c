/* SPDX-License-Identifier: BSD-3-Clause
 * Blocks that are files: they hold the bytes of allocations and nothing else. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* mkdtemp */
#endif
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static char directory[] = "/tmp/wspace-test-XXXXXX";
static char path[64];

static wsp_file *open_file(size_t size) {
  wsp_file *file = NULL;
  int reason = 0;
  if (!CHECK_EQ(wsp_file_open(path, false, size, &file, &reason), WSP_OK))
    exit(CHECK_SUMMARY());
  return file;
}

static wsp_arena *arena_over(wsp_file *file, uint32_t flags) {
  wsp_options options = wsp_options_default();
  options.file = file;
  options.flags = flags;
  return make_arena(&options);
}

/* An arena that has the file for itself. */
static wsp_arena *open_arena(size_t size) {
  wsp_file *file = open_file(size);
  wsp_arena *arena = arena_over(file, 0);
  wsp_file_unref(file);
  return arena;
}

static size_t read_file(unsigned char *into, size_t most) {
  FILE *stream = fopen(path, "rb");
  if (!CHECK(stream != NULL)) exit(CHECK_SUMMARY());
  size_t size = fread(into, 1, most, stream);
  (void)fclose(stream);
  return size;
}

static void write_file(const unsigned char *from, size_t size) {
  FILE *stream = fopen(path, "wb");
  if (!CHECK(stream != NULL)) exit(CHECK_SUMMARY());
  CHECK_EQ(fwrite(from, 1, size, stream), size);
  (void)fclose(stream);
}

static void allocations_lie_in_the_file_one_behind_the_other(void) {
  static unsigned char image[MIB];
  wsp_arena *arena = open_arena(MIB);
  enter(arena);
  char *a = take(arena, 1000), *b = take(arena, 128), *c = take(arena, 500000);
  CHECK(b == a + 1024 && c == b + 128);
  CHECK(wsp_size(arena, a) == 1000 && wsp_size(arena, b) == 128);
  CHECK(wsp_arena_owns(arena, a) && wsp_arena_owns(arena, c + 499999));
  CHECK(wsp_arena_find(arena, b + 5) == b && wsp_arena_find(arena, c) == c);
  CHECK(wsp_arena_find(arena, a + 1010) == NULL);
  memset(a, 1, 1000);
  memset(b, 2, 128);
  memset(c, 3, 500000);
  CHECK(wsp_arena_check(arena) && wsp_arena_stats(arena).spills == 0);
  CHECK_EQ(wsp_arena_stats(arena).capacity, MIB);
  CHECK_EQ(read_file(image, MIB), MIB);
  CHECK(holds(image, 1000, 1) && holds(image + 1000, 24, 0));
  CHECK(holds(image + 1024, 128, 2) && holds(image + 1152, 500000, 3));
  CHECK(holds(image + 501152, MIB - 501152, 0));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

/* And what is longer spills, though the last granule has room for it. */
static void an_allocation_may_be_as_large_as_the_file(void) {
  static const size_t sizes[] = {1, 127, 1000, 4096, 8000001, 12345678};
  for (size_t i = 0; i < 6; ++i) {
    (void)unlink(path);
    wsp_arena *arena = open_arena(sizes[i]);
    for (int cycle = 0; cycle < 3; ++cycle) {
      enter(arena);
      char *all = take(arena, sizes[i]);
      CHECK_EQ(wsp_arena_stats(arena).spilled, 0);
      char *more = take(arena, 1);
      CHECK(wsp_arena_stats(arena).spilled != 0);
      memset(all, cycle, sizes[i]);
      wsp_arena_free(arena, more);
      wsp_arena_free(arena, all);
      char *longer = take(arena, sizes[i] + 1);
      CHECK(wsp_arena_stats(arena).spilled != 0 && wsp_arena_check(arena));
      wsp_arena_free(arena, longer);
      (void)leave(arena);
    }
    struct stat about;
    CHECK(stat(path, &about) == 0 && (size_t)about.st_size == sizes[i]);
    wsp_arena_unref(arena);
  }
}

static void no_allocation_ends_behind_the_file(void) {
  (void)unlink(path);
  wsp_arena *arena = open_arena(1000);
  enter(arena);
  (void)take(arena, 200); /* 256 of them are taken */
  char *last = take(arena, 700);
  CHECK_EQ(wsp_arena_stats(arena).spills, 0);
  CHECK(!wsp_arena_try_resize(arena, last, 760)); /* its chunk has 768 */
  wsp_arena_free(arena, last);
  (void)take(arena, 760);
  CHECK(wsp_arena_stats(arena).spills == 1 && wsp_arena_check(arena));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void what_a_file_held_is_there_still(void) {
  static unsigned char bytes[20000];
  for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = (unsigned char)(i % 251);
  write_file(bytes, sizeof bytes);
  wsp_arena *arena = open_arena(0);
  CHECK_EQ(wsp_arena_stats(arena).capacity, 0); /* mapped at first use */
  enter(arena);
  unsigned char *a = take(arena, 12800), *b = take(arena, 7200);
  CHECK(memcmp(a, bytes, 12800) == 0 && memcmp(b, bytes + 12800, 7200) == 0);
  wsp_arena_free(arena, b);
  b = take_flagged(arena, 7200, WSP_ZERO); /* unless it is asked for */
  CHECK(holds(b, 7200, 0));
  (void)leave(arena);
  wsp_arena_unref(arena);
  arena = open_arena(30000); /* and it may grow */
  enter(arena);
  a = take(arena, 30000);
  CHECK(memcmp(a, bytes, 12800) == 0 && holds(a + 12800, 17200, 0));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void a_file_has_one_user_for_as_long_as_anything_lives_in_it(void) {
  wsp_file *other = NULL;
  int reason = 0;
  wsp_arena *arena = open_arena(MIB);
  CHECK_EQ(wsp_file_open(path, false, MIB, &other, &reason), WSP_EBUSY);
  enter(arena);
  char *held = take(arena, 1000);
  memset(held, 5, 1000);
  (void)leave(arena);
  CHECK_EQ(wsp_arena_close(arena), WSP_OK);
  CHECK_EQ(wsp_file_open(path, false, MIB, &other, &reason), WSP_EBUSY);
  CHECK(holds(held, 1000, 5) && other == NULL);
  wsp_arena_free(arena, held);
  CHECK_EQ(wsp_file_open(path, false, MIB, &other, &reason), WSP_OK);
  wsp_file_unref(other);
  wsp_arena_unref(arena);
}

/* After a release the file is mapped again, unless a survivor would be in both. */
static void there_is_never_a_second_block_over_a_file(void) {
  wsp_arena *arena = open_arena(MIB);
  enter(arena);
  char *held = take(arena, 1000);
  memset(held, 5, 1000);
  (void)leave(arena);
  CHECK_EQ(wsp_arena_release(arena), WSP_OK);
  enter(arena);
  char *spill = take(arena, MIB);
  memset(spill, 6, MIB);
  CHECK(wsp_arena_stats(arena).spills == 1 && holds(held, 1000, 5));
  wsp_arena_free(arena, spill);
  (void)leave(arena);
  wsp_arena_free(arena, held);
  enter(arena);
  spill = take(arena, MIB);
  CHECK(wsp_arena_stats(arena).spills == 1 && holds(spill, 1000, 5));
  (void)leave(arena);
  CHECK_EQ(wsp_arena_move(arena), WSP_OK);
  CHECK_EQ(wsp_arena_fit(arena, 1000), WSP_OK);
  CHECK_EQ(wsp_arena_resize(arena, 8 * MIB), WSP_OK);
  CHECK_EQ(wsp_arena_stats(arena).capacity, MIB);
  (void)wsp_arena_trim(arena);
  CHECK(holds(spill, 1000, 5) && wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

static void what_cannot_be_opened_says_why(void) {
  char name[96];
  wsp_file *file = NULL;
  int reason = 0;
  (void)snprintf(name, sizeof name, "%s/none/file", directory);
  CHECK_EQ(wsp_file_open(name, false, MIB, &file, &reason), WSP_EFILE);
  CHECK_EQ(reason, ENOENT);
  CHECK_EQ(wsp_file_open(name, true, MIB, &file, &reason), WSP_EFILE);
  CHECK_EQ(reason, ENOENT);
  CHECK_EQ(wsp_file_open(directory, false, MIB, &file, &reason), WSP_EFILE);
  CHECK_EQ(reason, EISDIR);
  CHECK_EQ(wsp_file_open("/dev/null", false, MIB, &file, &reason), WSP_EINVAL);
  (void)snprintf(name, sizeof name, "%s/fresh", directory);
  CHECK_EQ(wsp_file_open(name, false, 0, &file, &reason), WSP_EINVAL);
  CHECK(access(name, F_OK) != 0); /* not left behind */
  CHECK_EQ(wsp_file_open(name, false, SIZE_MAX / 2, &file, &reason), WSP_EFILE);
  CHECK(reason == EFBIG || reason == ENOSPC || reason == ENOMEM);
  CHECK(access(name, F_OK) != 0 && file == NULL);
  static unsigned char bytes[100] = {9};
  write_file(bytes, sizeof bytes);
  CHECK_EQ(wsp_file_open(path, false, SIZE_MAX / 2, &file, &reason), WSP_EFILE);
  CHECK_EQ(read_file(bytes, sizeof bytes), 100); /* as it was */
  CHECK(bytes[0] == 9);
}

static void a_temporary_file_has_no_name(void) {
  wsp_file *file = NULL;
  int reason = 0;
  CHECK_EQ(wsp_file_open(directory, true, MIB, &file, &reason), WSP_OK);
  CHECK_EQ(wsp_file_size(file), MIB);
  wsp_arena *arena = arena_over(file, WSP_NO_SPILL);
  wsp_file_unref(file);
  enter(arena);
  char *ptr = take(arena, MIB);
  memset(ptr, 1, MIB);
  void *none = NULL;
  CHECK_EQ(wsp_arena_alloc(arena, 1, 0, 0, &none), WSP_EFULL);
  (void)leave(arena);
  wsp_arena_unref(arena);
  (void)unlink(path);
  CHECK_EQ(rmdir(directory), 0); /* it is empty */
  CHECK(mkdir(directory, 0700) == 0);
}

/* ---- a random program, and what the file must hold ------------------------- */

enum { SIZE = 300 * 1024 + 77, HELD = 40 };

static unsigned char image[SIZE], found[SIZE + 1];

typedef struct piece {
  unsigned char *ptr;
  size_t size;
  unsigned char fill;
} piece;

typedef struct program {
  wsp_arena *arena;
  unsigned char *base; /* of the file */
  piece held[HELD];
  size_t count;
  uint64_t seed;
} program;

static void *free_all(void *ctx) {
  program *p = ctx;
  for (size_t i = 0; i < p->count; ++i) {
    CHECK(holds(p->held[i].ptr, p->held[i].size, p->held[i].fill));
    wsp_arena_free(p->arena, p->held[i].ptr);
  }
  p->count = 0;
  return NULL;
}

static void free_elsewhere(program *p) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, free_all, p), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void allocate(program *p) {
  piece *fresh = &p->held[p->count];
  uint64_t spills = wsp_arena_stats(p->arena).spills;
  fresh->size = random_below(&p->seed, 3000);
  if (random_chance(&p->seed, 40)) fresh->size += 30000; /* few classes, many sizes */
  bool zero = random_chance(&p->seed, 30);
  fresh->fill = zero ? 0 : (unsigned char)next_random(&p->seed);
  fresh->ptr = take_flagged(p->arena, fresh->size, zero ? WSP_ZERO : 0);
  if (!zero) memset(fresh->ptr, fresh->fill, fresh->size);
  p->count += 1;
  if (wsp_arena_stats(p->arena).spills != spills) return;
  size_t offset = (size_t)(fresh->ptr - p->base);
  if (!CHECK(offset <= SIZE && fresh->size <= SIZE - offset)) exit(CHECK_SUMMARY());
  memset(image + offset, fresh->fill, fresh->size);
}

static void a_file_holds_nothing_but_what_was_written(void) {
  for (size_t i = 0; i < SIZE; ++i) image[i] = (unsigned char)(i * 31 >> 3);
  write_file(image, SIZE);
  program p = {.arena = open_arena(0), .seed = 12345};
  enter(p.arena);
  p.base = take(p.arena, 1);
  wsp_arena_free(p.arena, p.base);
  (void)leave(p.arena);
  for (int cycle = 0; cycle < 200; ++cycle) {
    enter(p.arena);
    for (size_t n = random_below(&p.seed, 12); n > 0 && p.count < HELD; --n) {
      allocate(&p);
      if (!random_chance(&p.seed, 40)) continue;
      piece *last = &p.held[random_below(&p.seed, p.count)];
      CHECK(holds(last->ptr, last->size, last->fill));
      wsp_arena_free(p.arena, last->ptr);
      *last = p.held[--p.count];
    }
    if (random_chance(&p.seed, 20)) free_elsewhere(&p);
    (void)leave(p.arena);
    CHECK(wsp_arena_check(p.arena));
    if (random_chance(&p.seed, 10)) (void)wsp_arena_trim(p.arena);
    if (random_chance(&p.seed, 20)) free_elsewhere(&p);
  }
  CHECK(wsp_arena_stats(p.arena).allocations > 500);
  free_elsewhere(&p);
  CHECK_EQ(wsp_arena_stats(p.arena).retained, 0);
  wsp_arena_unref(p.arena);
  CHECK_EQ(read_file(found, SIZE + 1), SIZE);
  CHECK(memcmp(found, image, SIZE) == 0);
}

int main(void) {
  if (!CHECK(mkdtemp(directory) != NULL)) return CHECK_SUMMARY();
  (void)snprintf(path, sizeof path, "%s/file", directory);
  allocations_lie_in_the_file_one_behind_the_other();
  an_allocation_may_be_as_large_as_the_file();
  no_allocation_ends_behind_the_file();
  what_a_file_held_is_there_still();
  a_file_has_one_user_for_as_long_as_anything_lives_in_it();
  there_is_never_a_second_block_over_a_file();
  what_cannot_be_opened_says_why();
  a_temporary_file_has_no_name();
  a_file_holds_nothing_but_what_was_written();
  (void)unlink(path);
  CHECK_EQ(rmdir(directory), 0);
  return CHECK_SUMMARY();
}
