# SPDX-License-Identifier: BSD-3-Clause
"""Objects of pandas that hold arrays of a workspace."""

import numpy as np
import pytest

import wspace

pd = pytest.importorskip("pandas")

MADE = {
    "DataFrame": lambda x: pd.DataFrame({"a": x, "b": x + 1}),
    "Series": lambda x: pd.Series(x),
    "Index": lambda x: pd.Index(x),
}
EACH = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


def data(x):
    return x["a"].to_numpy() if isinstance(x, pd.DataFrame) else x.to_numpy()


def captured():
    x = np.empty(1000)
    x[:] = 1
    return x


@EACH
def test_they_are_detached_by_a_copy_of_their_own(make):
    with wspace.Workspace() as ws:
        x = make(captured())
        assert wspace.owner(data(x)) is ws
        out = wspace.detach({"x": [x]})["x"][0]
        assert type(out) is type(x)
        assert wspace.owner(data(out)) is None
    assert data(out).sum() == 1000


@EACH
def test_they_are_returned_as_they_are_when_nothing_in_them_is_attached(make):
    x = make(captured())
    assert wspace.detach(x) is x
    with wspace.Workspace():
        assert wspace.detach(x) is x
        container = [x]
        assert wspace.detach(container) is container


@EACH
def test_they_are_leveraged_into_the_enclosing_workspace(make):
    with wspace.Workspace("outer") as outer, wspace.Workspace("inner"):
        out = wspace.leverage(make(captured()))
        assert wspace.owner(data(out)) is outer


@EACH
def test_they_migrate_into_the_current_workspace(make):
    x = make(captured())
    with wspace.Workspace() as ws:
        assert wspace.owner(data(wspace.migrate(x))) is ws


@EACH
def test_what_is_detached_from_checked_arrays_outlives_them(make):
    with wspace.Workspace() as ws:
        out = wspace.detach(make(ws.ones(1000)))
    assert data(out).sum() == 1000


@EACH
def test_a_scoped_function_returns_them_detached(make):
    @wspace.scoped(name="pandas")
    def build():
        return make(captured())

    for _ in range(3):
        out = build()
        assert wspace.owner(data(out)) is None
        assert data(out).sum() == 1000
