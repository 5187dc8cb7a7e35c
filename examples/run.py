# SPDX-License-Identifier: BSD-3-Clause
"""Run the compiled examples, and compare the spectral pipeline with malloc.

``python run.py TRACE.csv``, where the last column is a heart-rate signal; without it,
that of the package heartpy.
"""

import csv
import importlib.util
import json
import resource
import sys
import time
from pathlib import Path

import matches
import medians
import numpy as np
import spectra

import wspace

ROUNDS = 15


def heart_trace(arguments):
    """Read the signal: 68,475 samples of a night, at 60 a second."""
    if arguments:
        path = Path(arguments[0])
    else:
        found = importlib.util.find_spec("heartpy")
        path = Path(found.submodule_search_locations[0], "data", "data3.csv")
    with path.open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return np.array([float(row[-1]) for row in rows])


def faults():
    """Page faults of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def measured(function):
    """Call it; return CPU seconds and page faults."""
    before, start = faults(), time.process_time()
    function()
    return time.process_time() - start, faults() - before


def compare_spectra(trace, n, step):
    """Time the pipeline in a workspace and over malloc, in turns."""
    ws = wspace.Workspace("spectra")

    def in_workspace():
        with ws:
            return wspace.detach(spectra.powers(ws, trace, n, step))

    def with_malloc():
        return np.frombuffer(spectra.powers(None, trace, n, step)).reshape(-1, 4)

    for _ in range(3):
        assert (in_workspace() == with_malloc()).all()
    pairs = [(measured(in_workspace), measured(with_malloc)) for _ in range(ROUNDS)]
    ratios = sorted(other[0] / ours[0] for ours, other in pairs)
    return {
        "window": n,
        "step": step,
        "speedup": ratios[ROUNDS // 2],
        "faults": max(ours[1] for ours, _ in pairs),
        "faults_malloc": min(other[1] for _, other in pairs),
    }


def check_others(trace):
    """Run the C++ and the Cython example against plain Python and NumPy."""
    ws = wspace.Workspace("others")
    x, out, parallel = trace[:3000].copy(), np.empty(2900), np.empty(2900)
    with ws:
        assert matches.distance(ws, "kitten", "sitting") == 3
        medians.running(ws, x, 101, out)
    medians.running_parallel(x, 101, parallel, 2)
    windows = np.lib.stride_tricks.sliding_window_view(x, 101)
    assert (out == np.median(windows, axis=1)[:2900]).all()
    assert (out == parallel).all()


def main():
    """Print a line of JSON for each comparison."""
    trace = heart_trace(sys.argv[1:])
    check_others(trace)
    for n, step in [(256, 4), (1024, 256)]:
        print(json.dumps(compare_spectra(trace, n, step)))


if __name__ == "__main__":
    main()
