# SPDX-License-Identifier: BSD-3-Clause
"""Arrays copied from one workspace into another."""

import numpy as np
import pytest

import wspace

KINDS = pytest.mark.parametrize(
    ("make", "kind"),
    [(lambda ws: np.ones(1000), np.ndarray), (lambda ws: ws.ones(3), wspace.Array)],
    ids=["captured", "checked"],
)


# leverage


@KINDS
def test_leverage_copies_into_the_enclosing_workspace(make, kind):
    with wspace.Workspace("outer") as outer:
        with wspace.Workspace("inner") as inner:
            x = make(inner)
            y = wspace.leverage(x)
            assert type(y) is kind
            assert wspace.owner(y) is outer
            assert not np.shares_memory(np.asarray(x), np.asarray(y))
        assert y.sum() == y.size
        assert wspace.in_scope(y)
    assert wspace.is_stale(y) == (kind is wspace.Array)


@KINDS
def test_leverage_detaches_where_there_is_no_enclosing_workspace(make, kind):
    with wspace.Workspace() as ws:
        y = wspace.leverage(make(ws))
        assert type(y) is np.ndarray
        assert not wspace.is_attached(y)
        with wspace.scope_out():
            assert not wspace.is_attached(wspace.leverage(make(ws)))
    assert y.sum() == y.size


def test_leverage_without_a_scope_detaches_survivors():
    with wspace.Workspace():
        x = np.ones(1000)
    assert not wspace.is_attached(wspace.leverage(x))
    plain = np.ones(1000)
    assert wspace.leverage(plain) is plain


def test_leverage_keeps_what_is_in_the_enclosing_workspace_already():
    with wspace.Workspace() as outer:
        x, y = np.ones(1000), outer.ones(3)
        with wspace.Workspace():
            assert wspace.leverage(x) is x
            assert wspace.leverage(y) is y
            pair = [x, (y,)]
            assert wspace.leverage(pair) is pair


def test_leverage_copies_survivors_of_earlier_cycles_of_the_enclosing_workspace():
    outer = wspace.Workspace("outer")
    with outer:
        old = np.ones(1000)
    with outer, wspace.Workspace("inner"):
        new = wspace.leverage(old)
        assert new is not old
        assert wspace.in_scope(new)


def test_the_enclosing_workspace_is_the_nearest_different_one_below_the_current():
    a, b, c = (wspace.Workspace(name) for name in "abc")
    with a, b, c:
        x = c.ones(3)
        assert wspace.owner(wspace.leverage(x)) is b
        with b.borrow():
            assert wspace.owner(wspace.leverage(x)) is c
            assert wspace.leverage(x) is x
        with c:
            assert wspace.owner(wspace.leverage(x)) is b


def test_detached_arrays_pass_through_as_they_are():
    plain = np.ones(1000)
    with wspace.Workspace("outer") as outer, wspace.Workspace("inner"):
        assert wspace.leverage(plain) is plain
        assert wspace.leverage_to(plain, outer) is plain
        assert wspace.leverage_or_detach(plain, outer) is plain


@pytest.mark.parametrize("order", ["C", "F"])
def test_leverage_keeps_the_memory_order(order):
    with wspace.Workspace(), wspace.Workspace() as inner:
        x = inner.array(np.arange(6.0).reshape(2, 3), order=order)
        y = wspace.leverage(x)
        assert y.strides == x.strides
        assert wspace.leverage(x[::-1]).tolist() == x[::-1].tolist()


def test_leverage_keeps_the_type_of_subclasses():
    with wspace.Workspace("outer") as outer, wspace.Workspace("inner"):
        x = np.ma.masked_array(np.ones(2000), mask=np.arange(2000) < 5)
        y = wspace.leverage(x)
        assert type(y) is np.ma.MaskedArray
        assert wspace.owner(y.data) is outer
        assert wspace.owner(y.mask) is outer
        assert y.sum() == 1995


@pytest.mark.parametrize("kind", [np.matrix, np.recarray])
@pytest.mark.parametrize("name", ["leverage", "migrate"])
def test_small_arrays_of_a_subclass_are_placed_all_the_same(name, kind):
    with wspace.Workspace("outer") as outer, wspace.Workspace("inner") as inner:
        x = inner.ones((2, 2)).view(kind)
        y = getattr(wspace, name)(x)
        assert type(y) is kind
        assert wspace.owner(y) is {"leverage": outer, "migrate": inner}[name]


# leverage_to


@KINDS
def test_leverage_to_takes_a_workspace_or_its_name(make, kind):
    with wspace.Workspace("a") as a, wspace.Workspace("b"), wspace.Workspace("c") as c:
        for target in (a, "a"):
            y = wspace.leverage_to(make(c), target)
            assert wspace.owner(y) is a
            assert type(y) is kind


def test_leverage_to_searches_the_open_workspaces_inside_out():
    with wspace.Workspace("same"), wspace.Workspace("same") as nearest:
        with wspace.Workspace("top") as top:
            assert wspace.owner(wspace.leverage_to(top.ones(3), "same")) is nearest


def test_leverage_to_prefers_an_open_workspace_to_one_of_get():
    wspace.get("same")
    with wspace.Workspace("same") as ws, wspace.Workspace("top") as top:
        assert wspace.owner(wspace.leverage_to(top.ones(3), "same")) is ws


def test_leverage_to_a_workspace_of_get_that_is_not_open_raises():
    wspace.get("shut")
    with wspace.Workspace() as ws:
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            wspace.leverage_to(ws.ones(3), "shut")
    assert str(caught.value) == "cannot copy into workspace 'shut': it is not open"


def test_leverage_to_an_unknown_name_says_which_are_open():
    with wspace.Workspace("a"), wspace.Workspace("b") as b:
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            wspace.leverage_to(b.ones(3), "nowhere")
    assert str(caught.value) == (
        "no workspace 'nowhere' in this thread; open: 'b', 'a'"
    )
    assert caught.value.__notes__ == ["hint: `wspace.get('nowhere')` makes it"]


@pytest.mark.parametrize("target", [None, 3, object()])
@pytest.mark.parametrize("function", [wspace.leverage_to, wspace.leverage_or_detach])
def test_a_target_that_is_no_workspace_and_no_name_is_a_type_error(function, target):
    with wspace.Workspace() as ws:
        with pytest.raises(TypeError, match="workspace"):
            function(ws.ones(3), target)


def test_leverage_to_a_workspace_that_is_open_in_another_thread_raises(open_elsewhere):
    elsewhere = wspace.Workspace("elsewhere")
    with open_elsewhere(elsewhere), wspace.Workspace() as ws:
        with pytest.raises(wspace.WrongThreadError, match="to thread 'holder'"):
            wspace.leverage_to(ws.ones(3), elsewhere)
        out = wspace.leverage_or_detach(ws.ones(3), elsewhere)
        assert not wspace.is_attached(out)


def test_leverage_into_a_full_workspace_raises_and_copies_nothing():
    small = wspace.Workspace("small", initial_size=4096, max_size=4096, spill="fail")
    with small, wspace.Workspace("big") as big:
        x = big.ones(10_000)
        with pytest.raises(
            wspace.WorkspaceFullError, match="workspace 'small' is full"
        ):
            wspace.leverage(x)
        with pytest.raises(wspace.WorkspaceFullError, match="requested 80000 bytes"):
            wspace.leverage_to({"x": np.ones(10_000)}, "small")
        assert small.stats.used == 0
        assert x.sum() == 10_000


# leverage_or_detach


def test_leverage_or_detach_copies_into_an_open_workspace():
    with wspace.Workspace("a") as a, wspace.Workspace("b") as b:
        assert wspace.owner(wspace.leverage_or_detach(b.ones(3), a)) is a
        assert wspace.owner(wspace.leverage_or_detach(b.ones(3), "a")) is a


def test_leverage_or_detach_detaches_where_the_workspace_is_not_open():
    shut = wspace.Workspace("shut")
    with wspace.Workspace() as ws:
        for target in (shut, "shut", "nowhere"):
            out = wspace.leverage_or_detach(ws.ones(3), target)
            assert type(out) is np.ndarray
            assert not wspace.is_attached(out)


# migrate


@pytest.mark.parametrize("size", [3, 1000])
def test_migrate_copies_detached_arrays_into_the_current_workspace(size):
    plain = np.ones(size)
    with wspace.Workspace() as ws:
        x = wspace.migrate(plain)
        assert type(x) is np.ndarray
        assert wspace.owner(x) is ws
        assert not np.shares_memory(x, plain)


@KINDS
def test_migrate_copies_always(make, kind):
    with wspace.Workspace() as ws:
        x = make(ws)
        y = wspace.migrate(x)
        assert y is not x
        assert type(y) is kind
        assert wspace.owner(y) is ws
        assert not np.shares_memory(np.asarray(x), np.asarray(y))


def test_migrate_copies_into_the_current_and_not_another_workspace():
    with wspace.Workspace("outer") as outer:
        x = outer.ones(3)
        with wspace.Workspace("inner") as inner:
            assert wspace.owner(wspace.migrate(x)) is inner
            with outer.borrow():
                assert wspace.owner(wspace.migrate(x)) is outer


def test_migrate_walks_containers():
    with wspace.Workspace() as ws:
        before = {"a": [np.ones(3), 1]}
        after = wspace.migrate(before)
        assert wspace.owner(after["a"][0]) is ws
        assert wspace.owner(before["a"][0]) is None


def test_with_no_scope_open_migrate_returns_what_it_was_given():
    values = [np.ones(3), {"a": np.ones(1000)}, "text"]
    for value in values:
        assert wspace.migrate(value) is value
    with wspace.Workspace(), wspace.scope_out():
        for value in values:
            assert wspace.migrate(value) is value


def test_objects_arrays_migrate_with_their_arrays():
    with wspace.Workspace() as ws:
        array = np.array([np.ones(3), None], object)
        out = wspace.migrate(array)
        assert wspace.owner(out[0]) is ws
        assert wspace.owner(array[0]) is None
