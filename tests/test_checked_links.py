# SPDX-License-Identifier: BSD-3-Clause
"""Which workspace a checked array is linked to, and so when it is stale."""

import contextvars
import gc
import random

import numpy as np
import pytest

import wspace

SIZES = [1, 3, 127, 128, 1000, 100_000]  # of float64; below and above min_block


@pytest.fixture
def ws():
    return wspace.Workspace("train", initial_size="4MiB")


@pytest.fixture
def outer():
    return wspace.Workspace("outer", initial_size="4MiB")


def is_linked(array, workspace):
    """Say whether a valid array is checked and linked to that workspace."""
    assert type(array) is wspace.Array
    return wspace.owner(array) is workspace and wspace.is_attached(array)


# ---- the handler that made the memory decides ----------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "make",
    [
        lambda ws, size: ws.ones(size),
        lambda ws, size: ws.ones(size) + 1,
        lambda ws, size: ws.ones(size).copy(),
        lambda ws, size: ws.ones((2, size))[1],
        lambda ws, size: ws.ones((2, size)).sum(axis=0)[::-1],
    ],
    ids=["made", "computed", "copied", "a view", "a view of a result"],
)
def test_the_size_does_not_matter(ws, make, size):
    with ws:
        x = make(ws, size)
        assert is_linked(x, ws)
    assert wspace.is_stale(x)


def test_a_view_belongs_to_its_owner_whichever_scope_makes_it(ws, outer):
    with outer:
        x = outer.arange(6.0)
        with ws:
            views = [x[1:], x.reshape(2, 3), x.view(), x.T, x[1:][1:]]
            assert all(is_linked(view, outer) for view in views)
        assert [view.sum() for view in views] == [15, 15, 15, 15, 14]
    assert all(map(wspace.is_stale, [x, *views]))


@pytest.mark.parametrize("size", SIZES)
def test_a_result_belongs_to_the_scope_that_is_current(ws, outer, size):
    with outer:
        x = outer.ones(size)
        with ws:
            y = x + 1
            assert is_linked(y, ws)
            with outer.borrow():
                z = x + 2
                assert is_linked(z, outer)
        assert wspace.is_stale(y)
        assert (z == 3.0).all()
    assert wspace.is_stale(z)


def test_a_creator_links_to_its_own_workspace(ws, outer):
    with outer, ws:
        x, y = outer.ones(3), ws.ones(3)
        assert is_linked(x, outer)
        assert is_linked(y, ws)


def test_an_array_is_valid_until_the_outermost_exit(ws):
    with ws:
        with ws:
            x = ws.ones(3)
        with ws, ws:
            y = x + 1
        assert (y - x == 1.0).all()
    assert wspace.is_stale(x)
    assert wspace.is_stale(y)


def test_without_capture_results_are_plain_and_views_are_linked():
    with wspace.Workspace("demo", capture=False) as ws:
        x = ws.ones(1000)
        y, view = x + 1, x[1:]
        assert type(y) is np.ndarray
        assert is_linked(view, ws)
    assert (y == 2.0).all()
    assert wspace.is_stale(view)


def test_each_cycle_links_its_own(ws):
    made = []
    for _ in range(5):
        with ws:
            made.append(ws.ones(3) * 2)
            assert list(map(wspace.is_stale, made)) == [True] * (len(made) - 1) + [
                False
            ]


# ---- what is not linked --------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_what_is_computed_under_scope_out_stays_valid(ws, size):
    with ws:
        x = ws.ones(size)
        with wspace.scope_out():
            y, copied, view = x + 1, x.copy(), x[:]
            assert type(y) is np.ndarray
            assert not wspace.is_attached(copied)
            assert is_linked(view, ws)
            x += 1
        assert is_linked(x, ws)
    with ws:
        ws.full(size, 9.0)
        assert (y == 2.0).all()
        assert (copied == 1.0).all()
    assert (copied == 1.0).all()
    assert wspace.is_stale(view)
    assert wspace.is_stale(x)


@pytest.mark.parametrize("size", SIZES)
def test_a_view_made_later_of_memory_that_survived_stays_valid(ws, size):
    with ws:
        x = ws.ones(size)
        plain = np.asarray(x)
    view = plain.view(wspace.Array)
    with ws:
        later = plain.view(wspace.Array)[:]
        ws.full(size, 9.0)
    for array in (view, later):
        assert type(array) is wspace.Array
        assert not wspace.is_attached(array)
        assert wspace.owner(array) is None
        assert not wspace.in_scope(array)
        assert (array == 1.0).all()
        assert type(wspace.detach(array)) is np.ndarray


@pytest.mark.parametrize("size", SIZES)
def test_a_plain_array_viewed_as_checked_in_its_cycle_is_linked(ws, size):
    with ws:
        view = np.ones(size).view(wspace.Array)
        assert is_linked(view, ws)
    assert wspace.is_stale(view)


def test_memory_from_outside_is_never_linked(ws):
    before = np.ones(1000)
    with ws:
        view = before.view(wspace.Array)
        assert not wspace.is_attached(view)
        assert is_linked(view + 1, ws)
    assert (view == 1.0).all()


# ---- threads -------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_another_thread_computes_plain_arrays_and_views_that_are_linked(
    ws, in_thread, size
):
    with ws:
        x = ws.ones(size)
        y, copied, view = in_thread(lambda: (x + 1, x.copy(), x[:]))
        assert type(y) is np.ndarray
        assert not wspace.is_attached(copied)
        assert is_linked(view, ws)
    assert (y == 2.0).all()
    assert (copied == 1.0).all()
    assert wspace.is_stale(view)


@pytest.mark.parametrize("size", SIZES)
def test_a_copied_context_in_another_thread_links_what_its_handler_makes(
    ws, in_thread, size
):
    with ws:
        x = ws.ones(size)
        y = in_thread(contextvars.copy_context().run, lambda: x + 1)
        assert is_linked(y, ws)
    assert wspace.is_stale(y)


def test_arrays_of_a_scope_left_from_another_thread_are_stale_at_the_next_enter(
    ws, in_thread
):
    ws.__enter__()
    x = ws.ones(3)
    in_thread(ws.__exit__, None, None, None)
    ws.__exit__(None, None, None)
    with ws:
        assert wspace.is_stale(x)


def test_a_view_made_in_another_thread_may_be_the_last_to_die(ws, in_thread):
    with ws:
        view = in_thread(ws.ones(1000).__getitem__, slice(1, None))
        assert is_linked(view, ws)
        in_thread(lambda: None)
    del view
    assert ws.stats.retained == 0


# ---- many links ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_arrays_that_die_in_the_cycle_leave_the_others_linked(ws, seed):
    rng = random.Random(seed)
    with ws:
        made = [ws.ones(rng.choice(SIZES[:5])) for _ in range(300)]
        made += [rng.choice(made)[:] for _ in range(300)]
        rng.shuffle(made)
        del made[::2]
        made += [array + 1 for array in made[:50]]
        assert all(is_linked(array, ws) for array in made)
    assert all(map(wspace.is_stale, made))
    made.clear()
    assert ws.stats.retained == 0
    assert ws._arena.check()


def test_an_array_in_a_cycle_of_references_is_stale_as_any_other(ws):
    with ws:
        x = ws.ones(3)
        holder = [x]
        holder.append(holder)
    assert wspace.is_stale(holder[0])
    del holder, x
    gc.collect()
    assert ws.stats.retained == 0


# ---- what lies underneath ------------------------------------------------------------

KEPT = {
    "made": lambda ws: ws.ones((20, 30)),
    "a view": lambda ws: ws.ones((21, 30))[1:],
    "a view of a view": lambda ws: ws.ones((21, 31))[1:][:, 1:],
    "computed": lambda ws: ws.ones((20, 30)) * 1.0,
    "a view of a result": lambda ws: (ws.ones((30, 20)) * 1.0).T,
    "a copy": lambda ws: ws.ones((20, 30)).copy(),
    "a view of a copy": lambda ws: ws.ones((21, 30)).copy()[1:],
    "small": lambda ws: ws.ones(3),
    "a small copy": lambda ws: ws.ones(3).copy(),
    "no dimensions": lambda ws: ws.array(1.0),
}


def chain(array):
    """Follow `.base` as joblib does when it looks for a memory map."""
    found = []
    while array is not None:
        found.append(array)
        array = getattr(array, "base", None)
    return found


@pytest.mark.parametrize("kind", KEPT)
def test_keep_gives_a_plain_array_that_holds_no_stale_one(ws, kind):
    with ws:
        x = KEPT[kind](ws)
        kept = wspace.keep(x)
        assert np.shares_memory(kept, x)
        shape = x.shape
        del x
    with ws:
        ws.full((40, 40), 9.0)
        assert type(kept) is np.ndarray
        assert (kept.shape, kept.sum()) == (shape, kept.size)
    assert not any(map(wspace.is_stale, chain(kept)))
    assert not any(map(wspace.is_stale, chain(kept[...].T)))


@pytest.mark.parametrize("kind", KEPT)
def test_what_was_kept_lives_while_the_checked_array_is_stale(ws, kind):
    with ws:
        x = KEPT[kind](ws)
        kept = wspace.keep(x)
    assert wspace.is_stale(x)
    del x
    kept += 1
    assert (kept == 2.0).all()
    assert wspace.keep(kept) is kept


@pytest.mark.parametrize("kind", ["made", "small", "no dimensions"])
def test_a_plain_view_of_what_a_creator_made_collapses_to_the_plain_owner(ws, kind):
    with ws:
        x = KEPT[kind](ws)
        plain = np.asarray(x)
        assert type(plain.base) is np.ndarray
    assert not any(map(wspace.is_stale, chain(plain)))


@pytest.mark.parametrize("kind", KEPT)
def test_a_walk_along_the_bases_never_raises(ws, kind):
    with ws:
        x = KEPT[kind](ws)
        plain = [np.asarray(x), np.asarray(x[...]), x.view(np.ndarray)[...]]
    for array in (x, *plain):
        assert len(chain(array)) >= 1
