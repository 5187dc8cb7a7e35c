# SPDX-License-Identifier: BSD-3-Clause
"""What prefetching says when it is asked for something that it cannot do."""

import pytest

import wspace
from wspace._prefetch import errors


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"depth": 0}, ValueError, "depth must be 1 or more, got 0"),
        ({"depth": 1.5}, TypeError, "depth must be an integer, got float 1.5"),
        (
            {"lifetime": "rent"},
            ValueError,
            "lifetime must be 'lease', 'borrow' or 'copy', got 'rent'",
        ),
        (
            {"on_retain": None},
            ValueError,
            "on_retain must be 'spill', 'block' or 'raise', got None",
        ),
        ({"transform": 3}, TypeError, "transform must be callable or None, got int 3"),
        (
            {"workspace": True},
            TypeError,
            "workspace must be a WorkspaceConfig, None or False, got bool True",
        ),
        (
            {"timeout": -1},
            ValueError,
            "timeout must be 0 or more seconds, and finite, got -1",
        ),
        (
            {"timeout": "1"},
            TypeError,
            "timeout must be a number of seconds or None, got str '1'",
        ),
        ({"name": 3}, TypeError, "name must be a string, got int 3"),
    ],
)
def test_an_argument_that_is_not_allowed_is_named(arguments, kind, text):
    with pytest.raises(kind) as caught:
        wspace.prefetch([], **arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize("call", [wspace.no_prefetch, wspace.detached])
def test_a_shield_takes_iterables_only(call):
    with pytest.raises(TypeError, match="source must be an iterable, got int 3"):
        call(3)


def test_a_source_must_be_iterable_or_callable():
    with pytest.raises(TypeError, match="source must be an iterable or callable"):
        wspace.prefetch(3)


def test_names_of_choices_are_read_in_any_case():
    loader = wspace.prefetch([1], lifetime="Copy", on_retain="BLOCK")
    assert list(loader) == [1]


def test_many_retained_batches_are_not_all_named():
    error = errors.no_free_slot("x", list(range(20)), 20)
    named = "batches 0, 1, 2, 3, 4, 5, 6, 7 and 12 more are referred to, it has 20"
    assert str(error) == f"prefetch 'x' has no free slot: {named}"
    one = errors.no_free_slot("x", [1234], 1)
    assert "batch 1,234 is referred to, it has 1" in str(one)


def test_several_views_of_a_batch_are_counted():
    error = errors.retained_view("x", 3, (2, 3), "float32", 2)
    text = "batch 3 of prefetch 'x' is over, but 2 plain views refer to its array "
    assert str(error) == text + "(2, 3) float32"


def test_a_producer_that_died_is_told():
    loader = wspace.prefetch([1, 2], depth=5, name="gone")
    batches = iter(loader)
    batches.thread.join()
    found = batches._channel.batches
    while not found.empty():
        found.get()
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        next(batches)
    text = "cannot take a batch from prefetch 'gone': its producer has died"
    assert str(caught.value) == text


def test_a_prefetcher_shows_itself():
    loader = wspace.prefetch([1, 2], depth=3, name="mine")
    list(loader)
    assert repr(loader) == "<Prefetcher 'mine' 2 batches, depth 3>"
    loader.close()
    assert repr(loader) == "<Prefetcher 'mine' closed, depth 3>"
    assert repr(wspace.no_prefetch([])) == "<shielded list>"
