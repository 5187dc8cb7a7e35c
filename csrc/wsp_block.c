/* SPDX-License-Identifier: BSD-3-Clause */
#include "wsp_block.h"

enum { HUGE_PAGE = 2 << 20 };

size_t wsp_source_grain(const wsp_source *source) {
  return source->huge && source->up.page < HUGE_PAGE ? HUGE_PAGE : source->up.page;
}

char *wsp_source_reserve(wsp_source *source, size_t size) {
  WSP_ADD(source->calls, 1);
  return source->up.reserve(source->up.ctx, size);
}

void wsp_source_release(wsp_source *source, char *base, size_t size) {
  WSP_ADD(source->calls, 1);
  source->up.release(source->up.ctx, base, size);
}

void wsp_source_purge(wsp_source *source, char *base, size_t size) {
  WSP_ADD(source->calls, 1);
  source->up.purge(source->up.ctx, base, size);
}

bool wsp_block_commit(wsp_block *block, wsp_source *source, size_t size) {
  size_t target;
  if (!wsp_align_up(size, wsp_source_grain(source), &target)) return false;
  if (target > block->reserved) target = block->reserved;
  if (target < size) return false;
  if (target <= block->committed) return true;
  char *from = block->base + block->committed;
  size_t added = target - block->committed;
  WSP_ADD(source->calls, 1);
  if (!source->up.commit(source->up.ctx, from, added)) return false;
  if (source->huge) source->up.advise(source->up.ctx, from, added, WSP_ADVICE_HUGE);
  if (source->populate)
    source->up.advise(source->up.ctx, from, added, WSP_ADVICE_POPULATE);
  block->committed = target;
  return true;
}

void wsp_block_populate(wsp_block *block, wsp_source *source, const char *from,
                        const char *to) {
  size_t first, last;
  if (!wsp_align_up((size_t)(from - block->base), source->up.page, &first)) return;
  if (!wsp_align_up((size_t)(to - block->base), source->up.page, &last)) return;
  if (last > block->committed) last = block->committed;
  if (first >= last) return;
  WSP_ADD(source->calls, 1);
  source->up.advise(source->up.ctx, block->base + first, last - first,
                    WSP_ADVICE_POPULATE);
}

size_t wsp_block_purge(wsp_block *block, wsp_source *source, char *from, char *to) {
  size_t page = source->up.page;
  size_t first, last = (size_t)(to - block->base) / page * page;
  if (!wsp_align_up((size_t)(from - block->base), page, &first)) return 0;
  if (first >= last) return 0;
  wsp_source_purge(source, block->base + first, last - first);
  return last - first;
}
