/* SPDX-License-Identifier: BSD-3-Clause
 * Edit distance of two strings, with the two rows of its table in scratch memory: a
 * scope that closes itself, and a container over raw memory. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "wspace/capi.h"

namespace {

struct error : std::runtime_error {
  explicit error(wsp_status s) : std::runtime_error(wspace_status_name(s)), status(s) {}
  wsp_status status;
};

void check(wsp_status status) {
  if (status != WSP_OK) throw error(status);
}

/* What is allocated while it lives ends with it. */
class scope {
 public:
  explicit scope(wsp_arena *arena) : arena_(arena) {
    check(wspace_scope_push(arena_, &mark_));
  }
  ~scope() {
    if (wspace_scope_pop(arena_, &mark_) != WSP_OK) std::terminate();
  }
  scope(const scope &) = delete;
  scope &operator=(const scope &) = delete;

 private:
  wsp_arena *arena_;
  wsp_mark mark_;
};

/* For the containers of the standard library; nothing is freed one by one. */
template <typename T>
struct scratch {
  using value_type = T;
  explicit scratch(wsp_arena *a) : arena(a) {}
  template <typename U>
  scratch(const scratch<U> &other) : arena(other.arena) {}
  T *allocate(std::size_t count) {
    void *room;
    check(wspace_array(arena, count, sizeof(T), &room));
    return static_cast<T *>(room);
  }
  void deallocate(T *, std::size_t) noexcept {}
  bool operator==(const scratch &other) const { return arena == other.arena; }
  bool operator!=(const scratch &other) const { return arena != other.arena; }
  wsp_arena *arena;
};

using row = std::vector<long, scratch<long>>;

long distance(wsp_arena *arena, const char *a, Py_ssize_t n, const char *b,
              Py_ssize_t m) {
  scope all(arena);
  row above(static_cast<std::size_t>(m) + 1, 0, scratch<long>(arena)), below(above);
  std::iota(above.begin(), above.end(), 0);
  for (Py_ssize_t i = 0; i < n; ++i) {
    below[0] = i + 1;
    for (Py_ssize_t k = 0; k < m; ++k) {
      auto at = static_cast<std::size_t>(k);
      long changed = above[at] + (a[i] != b[k]);
      below[at + 1] = std::min({above[at + 1] + 1, below[at] + 1, changed});
    }
    std::swap(above, below);
  }
  return above[static_cast<std::size_t>(m)];
}

PyObject *distance_of(PyObject *, PyObject *args) {
  PyObject *ws;
  const char *a, *b;
  Py_ssize_t n, m;
  wsp_arena *arena;
  if (!PyArg_ParseTuple(args, "Os#s#", &ws, &a, &n, &b, &m)) return nullptr;
  if (wspace_arena_of(ws, &arena) < 0) return nullptr;
  long result = 0;
  wsp_status status = WSP_OK;
  Py_BEGIN_ALLOW_THREADS;
  try {
    result = distance(arena, a, n, b, m);
  } catch (const error &e) {
    status = e.status;
  }
  Py_END_ALLOW_THREADS;
  return wspace_raise(status, ws) < 0 ? nullptr : PyLong_FromLong(result);
}

PyMethodDef methods[] = {{"distance", distance_of, METH_VARARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT,
                      "matches",
                      nullptr,
                      -1,
                      methods,
                      nullptr,
                      nullptr,
                      nullptr,
                      nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_matches() {
  return import_wspace() < 0 ? nullptr : PyModule_Create(&module);
}
