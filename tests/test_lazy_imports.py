# SPDX-License-Identifier: BSD-3-Clause
"""What a library makes lazily inside a scope, and keeps, works for ever after.

Each run is a fresh interpreter, so that the first use is in the scope. The same program
without a workspace says what the results must be.
"""

import textwrap

import pytest

pytestmark = pytest.mark.slow

# Setup and a function `use` that returns something of arrays and numbers.
USES = {
    "submodules of numpy": """
        def use():
            import numpy.polynomial, numpy.ma, numpy.fft, numpy.random, numpy.testing
            p = np.polynomial.Chebyshev.fit(np.arange(2000.0), np.arange(2000.0), 3)
            m = np.ma.masked_less(np.arange(2000.0), 7.0)
            return p(np.arange(5.0)).round(6), m.sum(), np.ma.nomask
        """,
    "masked arrays and their constants": """
        def use():
            m = np.ma.array(np.arange(2000.0), mask=np.arange(2000) % 3 == 0)
            filled = m.filled()
            return m.mean(), filled[:5], m.fill_value, np.ma.default_fill_value(1.0)
        """,
    "sorting, sets and statistics": """
        def use():
            x = np.arange(5000) % 97
            values, counts = np.unique(x, return_counts=True)
            h, edges = np.histogram(x, bins=500)
            return values, counts, h, edges, np.percentile(x, [1, 50, 99]), np.median(x)
        """,
    "random numbers from the legacy generator": """
        def use():
            np.random.seed(7)
            fresh = np.random.default_rng(7).normal(size=3000)
            return np.random.rand(3000), np.random.permutation(3000), fresh
        """,
    "linear algebra, transforms and printing": """
        def use():
            a = np.arange(900.0).reshape(30, 30) + 100.0 * np.eye(30)
            spectrum = np.fft.rfft(np.arange(4096.0))
            text = np.array2string(np.arange(2000.0)), repr(np.arange(3.0))
            return np.linalg.inv(a), np.linalg.svd(a)[1], spectrum, text
        """,
    "einsum paths, pad, interp, vectorize and string arrays": """
        double = np.vectorize(lambda v: 2.0 * v)
        def use():
            a = np.arange(2500.0).reshape(50, 50)
            e = np.einsum("ij,jk,kl->il", a, a, a, optimize=True)
            s = np.char.add(np.array(["a" * 40, "b"] * 200), "c")
            padded = np.pad(a, 5, mode="reflect")
            return e, padded, double(a), s, np.interp(a, a[0], a[1])
        """,
    "a module of tables that is imported in the scope": """
        import pathlib, sys, tempfile
        folder = tempfile.mkdtemp()
        pathlib.Path(folder, "tables.py").write_text(
            "import numpy as np\\n"
            "TABLE = np.arange(100_000.0) ** 2\\n"
            "VIEWS = [TABLE[i:] for i in range(3)]\\n"
            "SMALL = np.arange(10.0)\\n"
            "MASK = np.ma.masked_equal(np.arange(2000), 5)\\n"
        )
        sys.path.insert(0, folder)
        def use():
            import tables
            total = sum(v.sum() for v in tables.VIEWS)
            return total, tables.TABLE[::1000], tables.SMALL, tables.MASK.sum()
        """,
    "caches of functools": """
        import functools
        @functools.cache
        def window(n):
            return np.hanning(n)
        class Filter:
            kernels = {}
            def kernel(self, n):
                return self.kernels.setdefault(n, np.exp(-np.arange(n) / n))
        def use():
            return window(3000), Filter().kernel(5000), window(10), Filter().kernel(20)
        """,
}

PROGRAM = """
import gc, hashlib, pickle, sys
import numpy as np
import wspace

{setup}

def digest(result):
    return hashlib.sha256(pickle.dumps(wspace.detach(result))).hexdigest()

def churn(value):
    with ws:
        for n in (100, 1000, 3000, 20_000, 150_000):
            arrays = [np.full(n, float(value)) for _ in range(5)]

ws = wspace.Workspace("lazy", initial_size={initial_size!r})
for cycle in range({in_scope}):
    with ws:
        use()
    churn(-cycle)
ws.release()
churn(-99.0)
ws.close()
gc.collect()
# Outside of the scope, and inside again, what was kept is right.
print(digest(use()))
again = wspace.Workspace("again")
for cycle in range(3):
    with again:
        print(digest(use()))
"""


def digests(run_python, what, *, in_scope, initial_size=0):
    setup = textwrap.dedent(USES[what])
    program = PROGRAM.format(setup=setup, in_scope=in_scope, initial_size=initial_size)
    return run_python(program).splitlines()


@pytest.mark.parametrize("what", USES)
def test_what_is_made_lazily_in_a_scope_works_for_ever_after(run_python, what):
    expected = digests(run_python, what, in_scope=0)
    assert len(set(expected)) == 1
    assert digests(run_python, what, in_scope=3, initial_size="16MiB") == expected


@pytest.mark.parametrize("what", ["submodules of numpy", "caches of functools"])
def test_what_is_made_lazily_in_the_learning_cycle_works_for_ever_after(
    run_python, what
):
    expected = digests(run_python, what, in_scope=0)
    assert digests(run_python, what, in_scope=3) == expected
