/* The harness of the C tests: CHECK counts, and main ends with
 * `return CHECK_SUMMARY();`.  A test program that checks nothing fails.
 * Any thread may check. */
#ifndef WSP_CHECK_H
#define WSP_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

static atomic_ulong check_count, check_failures;

static inline bool check_that(bool ok, const char *what, const char *file, int line) {
  atomic_fetch_add(&check_count, 1);
  if (!ok) {
    atomic_fetch_add(&check_failures, 1);
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  }
  return ok;
}

static inline bool check_equal(unsigned long long left, unsigned long long right,
                               const char *what, const char *file, int line) {
  bool ok = check_that(left == right, what, file, line);
  if (!ok) fprintf(stderr, "  left %llu, right %llu\n", left, right);
  return ok;
}

static inline int check_summary(void) {
  unsigned long count = atomic_load(&check_count);
  unsigned long failures = atomic_load(&check_failures);
  printf("%lu checks, %lu failed\n", count, failures);
  return count == 0 || failures != 0;
}

/* Each says whether it held, so that a test may give up: `if (!CHECK(p)) return;` */
#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(left, right)                                          \
  check_equal((unsigned long long)(left), (unsigned long long)(right), \
              #left " == " #right, __FILE__, __LINE__)
#define CHECK_SUMMARY() check_summary()

#endif
