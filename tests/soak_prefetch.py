# SPDX-License-Identifier: BSD-3-Clause
"""Prefetch many batches of series of different lengths, and compare every bit.

Run as ``python tests/soak_prefetch.py 1000000``. The series are the Japanese vowels
that come with aeon, 640 utterances of 7 to 29 steps, if it is installed, else drawn
ones of the same lengths. Batches are kept at random, for as long as that.
"""

import importlib.util
import random
import sys
from pathlib import Path

import numpy as np

import wspace

SCALE = 16  # each series is repeated, so that its array is large enough for a slot
MOST_KEPT = 12


def series():
    """Return the series and where they are from."""
    spec = importlib.util.find_spec("aeon")
    if spec is None:
        rng = np.random.default_rng(0)
        return [rng.random((12, n)) for n in rng.integers(7, 30, 640)], "drawn"
    folder = Path(spec.origin).parent / "datasets" / "data" / "JapaneseVowels"
    found = []
    for name in ("JapaneseVowels_TRAIN.ts", "JapaneseVowels_TEST.ts"):
        text = (folder / name).read_text()
        for line in text.partition("@data\n")[2].splitlines():
            *channels, _ = line.split(":")
            found.append(np.array([np.fromstring(c, sep=",") for c in channels]))
    return found, "Japanese vowels"


def main(count):
    """Take so many batches; return the loader and where the data is from."""
    data, name = series()
    expected = [np.tile(x, SCALE) for x in data]
    choose = random.Random(0)

    def load(i):
        return np.tile(data[i], SCALE), i

    loader = wspace.prefetch(lambda: map(load, range(len(data))), depth=3)
    kept, seen = [], 0
    while seen < count:
        for x, i in loader:
            seen += 1
            assert np.array_equal(x.view("u8"), expected[i].view("u8"))
            if choose.random() < 0.2:
                kept.append((x[:, choose.randrange(x.shape[1]) :], i))
            if len(kept) > choose.randrange(1, MOST_KEPT):
                old, j = kept.pop(choose.randrange(len(kept)))
                assert np.array_equal(old, expected[j][:, -old.shape[1] :])
            if seen == count:
                break
    return loader, name


if __name__ == "__main__":
    done, source = main(int(sys.argv[1]))
    print(f"{done.stats.batches:,} batches of {source}, every bit the same")
    print(done.stats)
