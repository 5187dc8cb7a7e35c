# SPDX-License-Identifier: BSD-3-Clause
"""`wspace.testing`: assertions, and the plugin for pytest."""

import subprocess
import sys

import numpy as np
import pytest

import wspace
import wspace.testing as wt
from wspace import Workspace


@pytest.fixture
def ws():
    return Workspace("train")


def told(function, *args, **kwargs):
    with pytest.raises(AssertionError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_assert_none_open_names_what_is(ws):
    wt.assert_none_open()
    with ws:
        assert told(wt.assert_none_open) == "workspace 'train' is open"
        with Workspace("inner"):
            text = told(wt.assert_none_open, "after the batch")
    assert text == "after the batch: workspaces 'inner' and 'train' are open"
    wt.assert_none_open()


def test_assert_none_open_may_allow_scope_out(ws):
    with ws:
        told(wt.assert_none_open, allow_scope_out=True)
        with wspace.scope_out():
            wt.assert_none_open(allow_scope_out=True)
            told(wt.assert_none_open)


def test_assert_none_open_is_of_this_thread(ws, in_thread):
    with ws:
        in_thread(wt.assert_none_open)


def test_assert_open_names_what_is(ws, in_thread):
    text = "workspace 'train' is not open; none is open"
    assert told(wt.assert_open, ws) == told(wt.assert_open, "train") == text
    with ws:
        wt.assert_open(ws)
        wt.assert_open("train")
        assert told(wt.assert_open, Workspace("train"), "here") == (
            "here: workspace 'train' is not open; open: 'train'"
        )
        with pytest.raises(AssertionError):
            in_thread(wt.assert_open, ws)


def test_assert_current_names_the_one_that_is(ws):
    text = "workspace 'train' is not current: none is; none is open"
    assert told(wt.assert_current, ws) == text
    with ws:
        wt.assert_current(ws)
        wt.assert_current("train")
        with Workspace("inner"):
            text = (
                "workspace 'train' is not current: 'inner' is; open: 'inner', 'train'"
            )
            assert told(wt.assert_current, "train") == text
            with ws.borrow():
                wt.assert_current(ws)


def test_assert_valid_tells_both_generations(ws):
    with ws:
        x, y = ws.ones(3), np.ones(1000)
        wt.assert_valid(x)
    with ws:
        pass
    wt.assert_valid(y)
    wt.assert_valid(wspace.detach(y))
    assert told(wt.assert_valid, x, "the weights") == (
        "the weights: array of workspace 'train' is stale: made in generation 1, "
        "its workspace is in 2; none is open"
    )


def test_assert_valid_knows_an_array_whose_workspace_is_gone():
    def make():
        with Workspace() as ws:
            return ws.ones(3)

    assert told(wt.assert_valid, make()).startswith("array is stale: made in gener")


@pytest.mark.parametrize("wrong", [None, 3, [1.0]])
def test_what_they_are_not_for_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        wt.assert_valid(wrong)
    for function in (wt.assert_open, wt.assert_current):
        with pytest.raises(TypeError, match="a Workspace or its name"):
            function(wrong)


@pytest.mark.slow
def test_pytest_is_not_imported(run_python):
    code = "import sys, wspace, wspace.testing; print('pytest' in sys.modules)"
    assert run_python(code) == "False\n"


@pytest.mark.slow
def test_the_fixture_fails_a_test_that_leaves_one_open(tmp_path):
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["wspace.testing.pytest_plugin"]\n'
    )
    (tmp_path / "test_it.py").write_text(
        "import pytest, wspace\n"
        "ws = wspace.Workspace('left')\n"
        "pytestmark = pytest.mark.usefixtures('no_workspace_open')\n"
        "def test_good():\n"
        "    with ws: pass\n"
        "def test_leaves():\n"
        "    ws.__enter__()\n"
        "def test_finds():\n"
        "    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    for where in ("end", "beginning"):
        assert f"at the {where} of the test: workspace 'left' is open" in done.stdout
    assert "2 passed, 2 errors" in done.stdout
