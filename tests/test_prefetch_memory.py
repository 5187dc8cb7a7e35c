# SPDX-License-Identifier: BSD-3-Clause
"""Memory of prefetched batches: used again when nothing refers to it, never before."""

import gc

import numpy as np
import pytest

import wspace


def full(i, size=20_000):
    return np.full(size, float(i))


def values(batches):
    return [float(x[0]) for x in batches]


# Lease


def test_slots_are_used_again_and_no_more_memory_is_asked_for():
    loader = wspace.prefetch(map(full, range(200)))
    places = [x.__array_interface__["data"][0] for x in loader]
    assert len(set(places[5:])) <= 5
    stats = loader.stats
    assert (stats.spills, stats.retained, stats.resizes, stats.copies) == (0, 0, 0, 0)


def test_a_batch_is_valid_for_as_long_as_anything_refers_to_it():
    views = []
    loader = wspace.prefetch(map(full, range(50)))
    for i, x in enumerate(loader):
        if i % 7 == 0:
            views.append((i, x[100:]))
        if i % 7 == 1:
            views.append((i, memoryview(x)))
        if i % 7 == 2:
            views.append((i, np.from_dlpack(x)))
    del x
    loader.close()
    assert len(views) == 22
    for i, view in views:
        assert np.asarray(view)[-1] == i == np.asarray(view)[0]
    assert loader.stats.spills > 0


def test_an_old_batch_that_is_kept_holds_no_other_slot_back():
    loader = wspace.prefetch(map(full, range(300)), depth=2)
    kept = None
    for i, x in enumerate(loader):
        if i == 5:
            kept = x
    assert (kept == 5).all()
    del x
    stats = loader.stats
    assert (
        stats.spills <= 100
    )  # three slots are left of four, and four are needed now and then
    assert loader._slots.held() == [5]


def test_a_consumer_that_keeps_everything_gets_everything():
    loader = wspace.prefetch(map(full, range(100)))
    kept = list(loader)
    assert values(kept) == list(map(float, range(100)))
    assert loader.stats.spills == loader.stats.retained > 0


def test_a_consumer_that_keeps_too_much_is_refused_if_it_is_asked_for():
    loader = wspace.prefetch(map(full, range(100)), on_retain="raise", name="strict")
    kept = []
    with pytest.raises(wspace.RetainedBatchError) as caught:
        kept.extend(loader)
    assert values(kept) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert "'strict' has no free slot: batches 1, 2, 3 and 4 are" in str(caught.value)
    assert "detach" in caught.value.__notes__[0]


def test_a_consumer_that_keeps_too_much_is_waited_for_if_it_is_asked_for():
    loader = wspace.prefetch(map(full, range(20)), on_retain="block", timeout=0.05)
    batches = iter(loader)
    kept = [next(batches) for _ in range(5)]
    with pytest.raises(TimeoutError, match=r"waited 0\.05 s for batch 5") as caught:
        next(batches)
    held = "batches 1, 2, 3 and 4 are referred to, it has 4"
    assert held in caught.value.__notes__[1]
    assert values(kept) == [0.0, 1.0, 2.0, 3.0, 4.0]
    kept.clear()
    assert values(batches) == list(map(float, range(5, 20)))
    assert loader.stats.spills == 0


def test_series_of_different_lengths_grow_the_slots():
    sizes = [1000, 2000, 50_000, 200, 400_000, 10] * 10
    loader = wspace.prefetch(map(full, range(60), sizes))
    for i, x in enumerate(loader):
        assert x.shape == (sizes[i],)
        assert (x == i).all()
    stats = loader.stats
    assert stats.resizes >= 1
    assert stats.slot_size >= stats.most_bytes >= 3_200_000 > stats.first_bytes


def test_slots_grow_while_batches_are_alive():
    sizes = [1000 * (i + 1) for i in range(40)]
    kept = list(wspace.prefetch(map(full, range(40), sizes)))
    for i, x in enumerate(kept):
        assert x.size == sizes[i]
        assert (x == i).all()


def test_the_configuration_is_that_of_the_slots():
    config = wspace.WorkspaceConfig(initial_size="1MiB", learning="none")
    loader = wspace.prefetch(map(full, range(9), [300_000] * 9), workspace=config)
    assert values(loader) == list(map(float, range(9)))
    assert (loader.stats.slot_size, loader.stats.resizes) == (1 << 20, 0)
    config = wspace.WorkspaceConfig(max_size="64KiB", spill="fail")
    with pytest.raises(MemoryError):
        list(wspace.prefetch(map(full, range(9), [300_000] * 9), workspace=config))


def test_without_slots_batches_are_what_the_source_gives():
    made = [full(i) for i in range(5)]
    loader = wspace.prefetch(made, workspace=False)
    assert all(x is y for x, y in zip(loader, made, strict=True))
    assert loader.stats.slot_size == 0


# What the source can still reach


def test_a_source_that_fills_the_same_buffer_again_is_copied():
    buffer = np.empty(20_000)

    def source():
        for i in range(50):
            buffer[:] = i
            yield buffer, {"same": buffer}

    loader = wspace.prefetch(source)
    kept = list(loader)
    for i, (x, also) in enumerate(kept):
        assert (x == i).all()
        assert also["same"] is x
    assert loader.stats.copies == 50


def test_a_buffer_that_is_made_late_is_copied_too():
    class Source:
        def __init__(self):
            self.buffers = []
            self.i = -1

        def __iter__(self):
            return self

        def __next__(self):
            self.i += 1
            if self.i >= 60:
                raise StopIteration
            if len(self.buffers) < 3:
                self.buffers.append(np.empty(20_000))
            buffer = self.buffers[self.i % 3]
            buffer[:] = self.i
            return buffer[5:]

    assert values(list(wspace.prefetch(Source()))) == list(map(float, range(60)))


def test_a_container_that_the_source_keeps_shares_what_is_in_it():
    kept = []

    def load(i):
        for each in kept:
            each["x"][:] = -1.0
        kept.append({"x": full(i)})
        return kept[-1]

    found = [batch["x"] for batch in wspace.prefetch(map(load, range(20)))]
    assert values(found) == list(map(float, range(20)))


def test_memory_of_others_is_copied():
    memory = bytearray(8 * 20_000)
    view = np.frombuffer(memory)

    def load(i):
        view[:] = i
        return np.frombuffer(memory)

    assert values(list(wspace.prefetch(map(load, range(9))))) == list(
        map(float, range(9))
    )


def test_what_a_generator_binds_anew_is_not_copied_when_it_has_let_go():
    def source():
        for i in range(60):
            x = full(i)
            yield x, i

    loader = wspace.prefetch(source)
    batches = iter(loader)
    kept = [next(batches)]
    del batches
    loader = wspace.prefetch(source)
    for i, (x, number) in enumerate(loader):
        assert (x == i).all() and number == i
        assert x.flags.writeable
        x += 1.0
    assert (kept[0][0] == 0).all()
    loader.close()


def test_a_generator_that_lingers_over_a_batch_gets_a_copy_made():
    import threading

    asked = threading.Event()

    def source():
        for i in range(4):
            x = full(i)
            yield x
            if i == 2:
                asked.wait(10)
            assert (x == i).all()  # whatever the consumer does

    loader = wspace.prefetch(source)
    found = []
    for x in loader:
        assert x.flags.writeable
        found.append(float(x[0]))
        x[:] = -1.0
        if len(found) == 3:
            asked.set()
    assert found == [0.0, 1.0, 2.0, 3.0]
    assert loader.stats.copies >= 1


def test_a_generator_that_writes_into_what_it_gave_is_told():
    def source():
        for i in range(20):
            x = full(i)
            yield x
            if i == 9:
                x[:] = -1.0

    kept = []
    with pytest.raises(wspace.UnsafePrefetchError) as caught:
        kept.extend(wspace.prefetch(source, name="mine"))
    assert values(kept) == list(map(float, range(10)))
    assert "'mine' wrote into an array that it had given away" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


def test_without_slots_memory_that_comes_again_is_refused():
    buffer = np.empty(1000)

    def source():
        for i in range(9):
            buffer[:] = i
            yield [buffer]

    loader = wspace.prefetch(source, workspace=False, name="bare")
    with pytest.raises(wspace.UnsafePrefetchError) as caught:
        list(loader)
    assert "'bare' gave the memory of batch 0 again for batch 1" in str(caught.value)
    assert "yield new arrays" in caught.value.__notes__[0]


# Borrow


def test_borrowed_batches_are_checked_and_stale_when_the_next_is_asked_for():
    loader = wspace.prefetch(
        ({"x": full(i), "small": np.array([i])} for i in range(20)), lifetime="borrow"
    )
    before = None
    for i, batch in enumerate(loader):
        assert type(batch["x"]) is type(batch["small"]) is wspace.Array
        assert (batch["x"] == i).all() and batch["small"][0] == i
        part = batch["x"][5:]
        if before is not None:
            assert all(map(wspace.is_stale, before))
        before = [batch["x"], batch["small"], part]
    assert all(map(wspace.is_stale, before))
    with pytest.raises(wspace.StaleArrayError, match="prefetch"):
        batch["x"] + 1
    assert loader.stats.spills == 0


def test_what_is_computed_of_a_borrowed_batch_stays():
    doubled = [x * 2.0 for x in wspace.prefetch(map(full, range(9)), lifetime="borrow")]
    assert values(doubled) == [2.0 * i for i in range(9)]


def test_a_plain_view_of_a_borrowed_batch_is_reported_and_never_overwritten():
    loader = wspace.prefetch(map(full, range(30)), lifetime="borrow", name="lent")
    batches = iter(loader)
    next(batches)
    views = [np.asarray(next(batches))]
    with pytest.raises(wspace.RetainedBatchError) as caught:
        next(batches)
    text = "batch 1 of prefetch 'lent' is over, but 1 plain view refers to its array "
    assert str(caught.value) == text + "(20000,) float64"
    assert "`del` plain views" in caught.value.__notes__[0]
    del caught
    for i in range(2, 30):
        assert (next(batches) == i).all()  # it goes on
    assert (views[0] == 1).all()


def test_a_kept_borrowed_batch_is_stale_and_its_memory_still_not_used_again():
    loader = wspace.prefetch(map(full, range(30)), lifetime="borrow")
    kept = []
    for x in loader:
        kept.append((x, memoryview(x)))
    assert all(wspace.is_stale(x) for x, _ in kept)
    assert [np.asarray(view)[-1] for _, view in kept] == list(range(30))
    assert loader.stats.spills > 0


def test_closing_makes_a_borrowed_batch_stale():
    loader = wspace.prefetch(map(full, range(9)), lifetime="borrow")
    batches = iter(loader)
    x = next(batches)
    loader.close()
    assert wspace.is_stale(x)


def test_a_borrowed_batch_that_died_early_makes_no_later_one_stale():
    loader = wspace.prefetch(map(full, range(200)), lifetime="borrow", depth=1)
    batches = iter(loader)
    for i in range(200):
        x = next(batches)
        assert (x == i).all()
        del x  # its slot may be filled before the next is asked for


# Copy


def test_copies_belong_to_no_workspace():
    for i, (x, y) in enumerate(
        wspace.prefetch(((full(i), full(i)[::2]) for i in range(9)), lifetime="copy")
    ):
        assert not wspace.is_attached(x)
        assert not wspace.is_attached(y)
        assert (x == i).all() and (y == i).all() and y.shape == (10_000,)


# The large object of the first next()


def test_the_statistics_tell_of_a_large_object_of_the_first_batch():
    def wasteful():
        data = np.zeros((1000, 2000))
        for i in range(20):
            yield data[i] + i

    def fine(data):
        for i in range(20):
            yield data[i] + i

    bad, good = wspace.prefetch(wasteful), wspace.prefetch(fine(np.zeros((1000, 2000))))
    for loader in (bad, good):
        assert values(loader) == list(map(float, range(20)))
    assert bad.stats.first_bytes > 100 * bad.stats.most_bytes
    assert good.stats.first_bytes <= 2 * good.stats.most_bytes


def test_the_statistics_tell_what_the_source_keeps_in_the_slots():
    cache = []

    def load(i):
        if i < 8:
            cache.append(full(i))
        return full(i)

    loader = wspace.prefetch(map(load, range(40)))
    assert values(loader) == list(map(float, range(40)))
    assert loader.stats.kept_bytes >= 4 * 160_000
    assert values(cache) == list(map(float, range(8)))


def test_a_loader_that_is_gone_leaves_no_memory():
    loader = wspace.prefetch(map(full, range(9)))
    kept = next(iter(loader))
    slots = [slot.home._arena for slot in loader._slots._all]
    loader.close()
    del loader
    gc.collect()
    assert (kept == 0).all()
    del kept
    assert all(arena.stats()["reserved"] == 0 for arena in slots)
