/* SPDX-License-Identifier: BSD-3-Clause
 * Blocks: ranges of pages from upstream, in the arena's window of addresses or beside
 * it. */
#ifndef WSP_BLOCK_H
#define WSP_BLOCK_H

#include "wsp_internal.h"

/* Upstream as an arena sees it: its functions, the options that concern pages, and the
 * count of calls. */
typedef struct wsp_source {
  wsp_upstream up;
  bool huge, populate;
  _Atomic uint64_t calls;
} wsp_source;

/* invariants: committed <= reserved, both multiples of the page; [base, base +
 * committed) can be used, the rest of the reservation is addresses only */
typedef struct wsp_block {
  char *base;
  size_t reserved, committed;
  bool in_window; /* else the reservation is this block's own */
} wsp_block;

/* Multiple that sizes of blocks are rounded up to. */
size_t wsp_source_grain(const wsp_source *source);

/* Take addresses; NULL: refused. */
char *wsp_source_reserve(wsp_source *source, size_t size);
void wsp_source_release(wsp_source *source, char *base, size_t size);
void wsp_source_purge(wsp_source *source, char *base, size_t size);

/* Commit the first `size` bytes of the reservation, at least; false: refused, nothing
 * has changed.  Requires size <= reserved. */
WSP_NODISCARD bool wsp_block_commit(wsp_block *block, wsp_source *source, size_t size);

/* Bring [from, to), which is committed and not in use, into memory. */
void wsp_block_populate(wsp_block *block, wsp_source *source, const char *from,
                        const char *to);

/* Give back the memory of the pages that lie wholly in [from, to); returns their bytes.
 */
size_t wsp_block_purge(wsp_block *block, wsp_source *source, char *from, char *to);

#endif
