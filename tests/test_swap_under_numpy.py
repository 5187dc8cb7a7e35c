# SPDX-License-Identifier: BSD-3-Clause
"""A scope that ends while NumPy's C code holds its arrays: no crash, no wrong byte.

The crashes that the fuzzer has found have tests of their own here. For a longer run set
``WSPACE_FUZZ_SECONDS`` (up to 200) and ``WSPACE_FUZZ_SEED``, or run ``fuzz_swap.py``.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import wspace

PROGRAM = Path(__file__).with_name("fuzz_swap.py")
SECONDS = float(os.environ.get("WSPACE_FUZZ_SECONDS", "7"))
SEED = os.environ.get("WSPACE_FUZZ_SEED", "1")


# ---- the fuzzer ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("modes", ["hook,profile,gc,error", "thread,steal"])
def test_ending_a_scope_inside_of_numpy_functions_does_no_harm(modes, tmp_path):
    log = tmp_path / "case.txt"
    command = [sys.executable, PROGRAM, "--modes", modes, "--log", log]
    command += ["--seconds", str(SECONDS), "--seed", SEED]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS + 200
    )
    last = log.read_text(errors="replace").strip()
    report = f"the last case: {last}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    assert done.returncode == 0, report
    *_, summary = done.stdout.splitlines()
    assert int(summary.split()[0]) > 100, report


# ---- what it has found ---------------------------------------------------------------

NUMPY = np.lib.NumpyVersion(np.__version__)

OPENING = """
    import operator, sys
    import numpy as np
    import wspace

    ws = wspace.Workspace("train", initial_size="1MiB")

    def leave():
        sys.setprofile(None)
        ws.__exit__(None, None, None)

    def expect(function, *args):
        try:
            function(*args)
        except Exception as error:
            return type(error).__name__
        return "nothing"
"""


@pytest.mark.parametrize("sep", ["", " "])
@pytest.mark.parametrize("view", ["x", "x.T", "x[::2]"])
def test_tofile_to_a_path_that_leaves_the_scope(run_python, tmp_path, sep, view):
    # NumPy does not look whether it got its iterator.
    out = run_python(
        OPENING
        + f"""
    class Path:
        def __fspath__(self):
            leave()
            return {str(tmp_path / "out")!r}

    ws.__enter__()
    x = ws.ones((4, 4))
    print(expect({view}.tofile, Path(), {sep!r}))
    """
    )
    assert out.strip() in ("nothing", "StaleArrayError")


@pytest.mark.parametrize(
    "call",
    [
        "x.put([0, 1], leaving)",
        "x.put([0, 1], leaving, mode='wrap')",
        "np.put(x, [0, 1], leaving)",
        "np.putmask(x, leaving, 5.0)",
        "np.putmask(x, [True] * 8, leaving)",
        "np.place(x, leaving, [5.0])",
    ],
)
def test_values_for_a_strided_array_that_leave_the_scope(run_python, call):
    # NumPy writes through a copy then, and does not look whether it got one.
    out = run_python(
        OPENING
        + f"""
    class Leaving:
        def __array__(self, dtype=None, copy=None):
            if ws.is_open:
                leave()
            return np.ones(8, dtype)

    ws.__enter__()
    x, leaving = ws.ones((4, 4))[::2], Leaving()
    print(expect(lambda: {call}), wspace.is_stale(x))
    """
    )
    assert out.split()[1] == "True"


@pytest.mark.parametrize("operation", ["eq", "ne", "lt", "contains"])
def test_a_comparison_without_a_loop_during_which_the_scope_ends(run_python, operation):
    # NumPy before 2.4 converts the second operand once more, and trusts the result. Its
    # exception for a missing loop is made by Python code, where threads may change.
    out = run_python(
        OPENING
        + f"""
    def in_python(frame, event, argument):
        if frame.f_code.co_name == "__init__":
            leave()

    ws.__enter__()
    x, y = ws.array(np.arange(3).astype("M8[D]")), ws.ones(3)
    sys.setprofile(in_python)
    print(expect(operator.{operation}, x, y), wspace.is_stale(y))
    """
    )
    assert out.split()[1] == "True"


@pytest.mark.parametrize(
    "method", ["copy", "flatten", "argsort", "byteswap", "__copy__"]
)
def test_a_copy_that_fails_gives_the_memory_handler_back_once(run_python, method):
    # NumPy before 2.4 gives it back twice when __array_finalize__ raises.
    out = run_python(
        OPENING
        + f"""
    with ws:
        x = ws.ones((4, 4))
        copy = x.{method}
    with ws:
        for _ in range(100):
            expect(copy)
        made = [np.ones(1000) for _ in range(10)]
    for _ in range(10_000):
        expect(copy)
    with ws:
        made += [np.ones(1000) for _ in range(10)]
    print(sum(int(array.sum()) for array in made))
    """
    )
    assert out.strip() == "20000"


@pytest.mark.skipif(NUMPY < "2.3.0", reason="a defect of NumPy before 2.3")
def test_nditer_over_a_stale_array_and_an_operand_that_it_allocates(run_python):
    # NumPy before 2.3 gives back operands that are not there when one is refused.
    out = run_python(
        OPENING
        + """
    with ws:
        x = ws.ones(3)
    print(expect(np.nditer, [x, None]))
    """
    )
    assert out.strip() == "StaleArrayError"


# ---- the moments of the design -------------------------------------------------------


class Leaving:
    """An operand that leaves the scope when NumPy asks it for its data."""

    def __init__(self, ws, values):
        self.ws = ws
        self.values = values

    def __array__(self, dtype=None, copy=None):
        if self.ws.is_open:
            self.ws.__exit__(None, None, None)
        return np.array(self.values, dtype)


OPERATIONS = {
    "add": lambda x, other: x + other,
    "reflected": lambda x, other: other - x,
    "in place": lambda x, other: x.__iadd__(other),
    "out": lambda x, other: np.add(1.0, other, out=x),
    "concatenate": lambda x, other: np.concatenate([x, other]),
    "where function": lambda x, other: np.where([True, False, True], x, other),
    "copyto": np.copyto,
    "set item": lambda x, other: x.__setitem__(slice(None), other),
    "nested": lambda x, other: np.array([x, other]),
    "einsum": lambda x, other: np.einsum("i,i->i", x, other),
    "dot": np.dot,
    "searchsorted": np.searchsorted,
    "broadcast": np.broadcast,
}


WRITING = ("in place", "out", "copyto", "set item")


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operand_that_leaves_the_scope_does_no_harm(name):
    ws = wspace.Workspace("train", initial_size="1MiB")
    other = Leaving(ws, [1.0, 2.0, 3.0])
    plain = OPERATIONS[name](np.arange(3.0), np.array(other.values))
    ws.__enter__()
    x = ws.arange(3.0)
    before = np.asarray(x)
    try:
        result = OPERATIONS[name](x, other)
    except (wspace.StaleArrayError, TypeError, ValueError):
        pass
    else:
        if isinstance(result, np.ndarray):
            assert np.array_equal(result, plain)
    assert name in WRITING or (before == [0.0, 1.0, 2.0]).all()
    assert wspace.is_stale(x)
    with ws:
        noise = np.full(1000, 9.0)
        assert (noise == 9.0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "compute", [np.sin, np.sort, np.linalg.inv, lambda x: x @ x, lambda x: x + x.T]
)
def test_a_thread_that_computes_while_the_scope_ends_gets_its_values(
    compute, in_thread
):
    values = np.random.default_rng(1).normal(size=(300, 300))
    expected = compute(values)
    ws = wspace.Workspace("train", initial_size="16MiB")
    for _ in range(10):
        outcome, started = [], threading.Event()
        ws.__enter__()
        x = ws.array(values)

        def work(x=x, started=started, outcome=outcome):
            try:
                started.set()
                outcome.append(compute(x))
            except wspace.StaleArrayError:
                outcome.append(None)

        worker = threading.Thread(target=work)
        worker.start()
        started.wait()
        ws.__exit__(None, None, None)
        with ws:
            np.full((300, 300), 9.0)
        worker.join()
        if isinstance(outcome[0], np.ndarray):
            assert np.allclose(outcome[0], expected)
        assert wspace.is_stale(x)
