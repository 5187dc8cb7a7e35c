# SPDX-License-Identifier: BSD-3-Clause
"""Prefetching: the batches of a source, in their order, prepared in a thread."""

import dataclasses
import threading
from typing import NamedTuple

import numpy as np
import pytest

import wspace


def full(i, size=1000):
    return np.full(size, float(i))


class Pair(NamedTuple):
    x: np.ndarray
    y: np.ndarray


@dataclasses.dataclass
class Multi:
    features: list
    label: int


# What it gives


def test_batches_come_in_their_order():
    loader = wspace.prefetch(map(full, range(100)))
    assert [float(x[0]) for x in loader] == list(map(float, range(100)))


@pytest.mark.parametrize("lifetime", ["lease", "borrow", "copy"])
@pytest.mark.parametrize("workspace", [None, False])
def test_batches_of_every_kind_arrive_with_their_values(lifetime, workspace):
    def source():
        for i in range(12):
            yield full(i)
            yield (full(i), i)
            yield [full(i), full(i + 1)]
            yield {"x": full(i), "name": "a"}
            yield Pair(full(i), full(i + 1))
            yield Multi([full(i), full(i, 3)], i)
            yield i

    options = {"lifetime": lifetime, "workspace": workspace}
    loader = wspace.prefetch(source, **options)
    found = 0
    for number, batch in enumerate(loader):
        i, kind = divmod(number, 7)
        if kind == 0:
            assert (batch == i).all() and batch.shape == (1000,)
        elif kind == 1:
            assert (batch[0] == i).all() and batch[1] == i
        elif kind == 2:
            assert (batch[1] == i + 1).all() and type(batch) is list
        elif kind == 3:
            assert (batch["x"] == i).all() and batch["name"] == "a"
        elif kind == 4:
            assert (batch.y == i + 1).all() and type(batch) is Pair
        elif kind == 5:
            assert (batch.features[1] == i).all() and batch.label == i
        else:
            assert batch == i
        found += 1
    assert found == 84


def test_dtype_shape_and_memory_order_are_kept():
    given = np.asfortranarray(np.arange(6000, dtype="i2").reshape(60, 100))
    (found,) = wspace.prefetch([given])
    assert found.flags.f_contiguous
    assert (found.dtype, found.shape) == (given.dtype, given.shape)
    assert (found == given).all()


def test_subclasses_masked_and_object_arrays_arrive():
    masked = np.ma.masked_greater(np.arange(3000.0), 5)
    objects = np.array([full(1), "a", None], dtype=object)
    record = np.rec.array([(1, 2.0)] * 500, dtype="i4,f8")
    (found,) = wspace.prefetch([[masked, objects, record]])
    assert found[0].mask.sum() == masked.mask.sum()
    assert (found[1][0] == 1).all() and found[1][1] == "a"
    assert type(found[2]) is np.recarray and (found[2].f1 == 2).all()


def test_batches_are_writable_and_apart_from_the_source():
    given = [full(i) for i in range(5)]
    for x in wspace.prefetch(given):
        x += 1.0
    assert [float(x[0]) for x in given] == list(map(float, range(5)))


def test_what_is_iterated_again_is_prefetched_again():
    loader = wspace.prefetch([full(0), full(1)])
    for _ in range(3):
        assert [float(x[0]) for x in loader] == [0.0, 1.0]
    assert loader.stats.epochs == 3


def test_a_function_is_called_for_each_pass():
    loader = wspace.prefetch(lambda: map(full, range(3)))
    assert len(list(loader)) == len(list(loader)) == 3


def test_an_iterator_is_used_up_by_the_first_pass():
    loader = wspace.prefetch(map(full, range(3)))
    assert len(list(loader)) == 3
    assert list(loader) == []


def test_the_length_is_that_of_the_source():
    assert len(wspace.prefetch([1, 2, 3])) == 3
    with pytest.raises(TypeError):
        len(wspace.prefetch(iter([1])))
    assert wspace.prefetch([])


def test_the_transform_runs_in_the_thread_of_the_producer():
    def double(x):
        return x * 2.0, threading.current_thread().name

    loader = wspace.prefetch(map(full, range(5)), transform=double, name="me")
    for i, (x, name) in enumerate(loader):
        assert (x == 2 * i).all()
        assert name == "me #1"


def test_depth_batches_are_ready_ahead():
    made = []
    reached = threading.Semaphore(0)

    def load(i):
        made.append(i)
        reached.release()
        return full(i)

    loader = wspace.prefetch(map(load, range(100)), depth=3)
    batches = iter(loader)
    for _ in range(3):
        assert reached.acquire(timeout=10)
    next(batches)
    assert reached.acquire(timeout=10)
    assert made == [0, 1, 2, 3]
    loader.close()


def test_the_source_runs_where_no_scope_is_open():
    seen = []

    def source():
        for i in range(4):
            seen.append(len([*wspace._scope.open_scopes()]))
            yield full(i)

    with wspace.Workspace("consumer"):
        for _ in wspace.prefetch(source):
            assert wspace.current().name == "consumer"
    assert seen == [1, 1, 1, 1]  # that of the slot


def test_the_consumer_has_no_scope_of_the_producer():
    for _ in wspace.prefetch(map(full, range(4))):
        assert wspace.current() is None


def test_a_source_may_use_workspaces_itself():
    @wspace.scoped
    def smooth(i):
        return full(i)[1:] + full(i)[:-1]

    def source():
        ws = wspace.Workspace("inner")
        for i in range(6):
            with ws:
                x = ws.full(1000, float(i))
                kept = wspace.keep(x)
            yield smooth(i), kept

    for i, (x, kept) in enumerate(wspace.prefetch(source)):
        assert (x == 2 * i).all()
        assert (kept == i).all()
        assert type(kept) is np.ndarray


def test_what_tqdm_asks_for_is_there():
    tqdm = pytest.importorskip("tqdm")
    loader = wspace.prefetch([full(i) for i in range(5)])
    bar = tqdm.tqdm(loader, disable=True)
    assert [float(x[0]) for x in bar] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(tqdm.tqdm(loader, disable=True)) == 5
    endless = wspace.prefetch(map(full, range(3)))
    assert len(list(tqdm.tqdm(endless, disable=True))) == 3


def test_the_statistics_tell_who_waits():
    slow = threading.Event()

    def source():
        yield full(0)
        slow.wait(0.05)
        yield full(1)

    loader = wspace.prefetch(source)
    list(loader)
    stats = loader.stats
    assert stats.consumer_wait_s > 0.02
    assert (stats.batches, stats.epochs, stats.spills) == (2, 1, 0)


# Shields


def test_a_shielded_source_runs_in_the_thread_of_the_consumer():
    def source():
        for i in range(3):
            yield i, threading.current_thread()

    loader = wspace.prefetch(wspace.no_prefetch(list(source())), transform=lambda x: x)
    assert [i for i, _ in loader] == [0, 1, 2]
    loader = wspace.prefetch(wspace.no_prefetch(source()))
    assert {thread for _, thread in loader} == {threading.current_thread()}
    assert loader.stats.batches == 3


def test_a_source_says_itself_that_it_is_not_to_be_prefetched():
    class Source:
        supports_prefetch = False

        def __iter__(self):
            yield threading.current_thread()

    assert list(wspace.prefetch(Source())) == [threading.current_thread()]
    inner = wspace.detached(wspace.no_prefetch([1]))
    assert wspace.prefetch(inner)._is_direct


def test_detached_batches_belong_to_no_workspace():
    with wspace.Workspace("outer") as ws:
        source = [(ws.ones(1000), 1)]
        ((x, one),) = wspace.detached(source)
    assert not wspace.is_attached(x)
    assert (x == 1).all() and one == 1
    assert len(wspace.detached([1, 2])) == 2


def test_what_is_prefetched_is_not_prefetched_again():
    loader = wspace.prefetch([1], name="once")
    for source in (
        loader,
        wspace.detached(loader),
        wspace.no_prefetch(loader),
        iter(loader),
    ):
        with pytest.raises(TypeError, match="cannot prefetch 'once'"):
            wspace.prefetch(source)
    loader.close()


# Failure


class Picky(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


def test_an_exception_arrives_after_all_good_batches_as_it_is():
    error = Picky(1, 2)

    def source():
        yield full(0)
        yield full(1)
        raise error

    found = []
    with pytest.raises(Picky) as caught:
        found.extend(wspace.prefetch(source, name="mine"))
    assert [float(x[0]) for x in found] == [0.0, 1.0]
    assert caught.value is error
    assert error.__notes__ == ["raised while prefetching batch 2 of 'mine'"]
    assert "source" in [entry.name for entry in caught.traceback]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_are_no_errors_arrive_too(kind):
    def load(i):
        raise kind

    with pytest.raises(kind):
        next(iter(wspace.prefetch(map(load, [1]))))


def test_a_failing_transform_and_a_failing_iter_are_told():
    def fails(x):
        raise ValueError("transform")

    with pytest.raises(ValueError, match="transform"):
        list(wspace.prefetch([1], transform=fails))

    class Source:
        def __iter__(self):
            raise LookupError("iter")

    with pytest.raises(LookupError, match="iter"):
        list(wspace.prefetch(Source()))


def test_a_transform_does_not_end_the_source():
    def ends(x):
        raise StopIteration

    with pytest.raises(RuntimeError, match="transform raised StopIteration"):
        list(wspace.prefetch([1, 2], transform=ends))


def test_the_end_is_the_end():
    batches = iter(wspace.prefetch([1]))
    assert next(batches) == 1
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(batches)


def test_after_an_exception_comes_the_end():
    def load(i):
        raise OSError

    batches = iter(wspace.prefetch(map(load, [1])))
    with pytest.raises(OSError):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)


def test_a_stale_array_of_the_source_is_reported():
    with wspace.Workspace("a") as ws:
        x = ws.ones(1000)
    with pytest.raises(wspace.StaleArrayError, match="workspace 'a'"):
        list(wspace.prefetch([x]))
