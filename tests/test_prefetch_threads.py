# SPDX-License-Identifier: BSD-3-Clause
"""Threads of prefetchers: they end, whatever the consumer does."""

import gc
import os
import threading
import weakref

import numpy as np
import pytest

import wspace


def full(i, size=1000):
    return np.full(size, float(i))


def producers(name):
    return [t for t in threading.enumerate() if t.name.startswith(f"{name} #")]


def wait_for_none(name):
    for thread in producers(name):
        thread.join(10)
    assert producers(name) == []


def test_no_thread_is_left_at_the_end():
    loader = wspace.prefetch(map(full, range(5)), name="ends")
    assert len(list(loader)) == 5
    assert producers("ends") == []


def test_no_thread_is_left_after_an_exception():
    loader = wspace.prefetch(map(full, [1, "x"]), name="fails")
    with pytest.raises(ValueError, match="could not convert"):
        list(loader)
    assert producers("fails") == []


def test_leaving_the_loop_early_stops_the_thread():
    loader = wspace.prefetch(map(full, range(10**9)), name="breaks")
    for _ in loader:
        break
    wait_for_none("breaks")


def test_dropping_the_iterator_stops_the_thread():
    loader = wspace.prefetch(map(full, range(10**9)), name="drops")
    batches = iter(loader)
    next(batches)
    dropped = weakref.ref(batches)
    gc.disable()
    try:
        del batches
        assert dropped() is None
    finally:
        gc.enable()
    wait_for_none("drops")


def test_dropping_the_loader_and_the_iterator_frees_both():
    loader = wspace.prefetch(map(full, range(10**9)), name="both")
    batches = iter(loader)
    next(batches)
    dropped = [weakref.ref(loader), weakref.ref(batches), weakref.ref(loader._slots)]
    gc.disable()
    try:
        del loader, batches
        wait_for_none("both")
        assert [ref() for ref in dropped] == [None] * 3
    finally:
        gc.enable()


def test_the_iterator_goes_on_without_the_loader():
    batches = iter(wspace.prefetch(map(full, range(50))))
    assert [float(x[0]) for x in batches] == list(map(float, range(50)))


def test_leaving_the_with_closes():
    with wspace.prefetch(map(full, range(10**9)), name="with") as loader:
        batches = iter(loader)
        next(batches)
    assert producers("with") == []
    with pytest.raises(wspace.WorkspaceStateError, match=r"'with'.* was stopped"):
        next(batches)
    with pytest.raises(wspace.WorkspaceStateError, match="'with': it is closed"):
        iter(loader)
    loader.close()


def test_a_new_pass_stops_the_one_before():
    loader = wspace.prefetch([full(i) for i in range(100)], name="anew")
    one = iter(loader)
    next(one)
    two = iter(loader)
    assert len(producers("anew")) == 1
    with pytest.raises(wspace.WorkspaceStateError, match="this iteration was stopped"):
        next(one)
    assert float(next(two)[0]) == 0.0
    loader.close()


def test_a_generator_is_closed_in_the_thread_of_its_producer():
    closed = []

    def source():
        try:
            while True:
                yield full(0)
        finally:
            closed.append(threading.current_thread().name)

    loader = wspace.prefetch(source, name="gen")
    next(iter(loader))
    loader.close()
    assert closed == ["gen #1"]


def test_closing_while_the_source_blocks_returns_within_its_limit():
    goes_on = threading.Event()

    def load(i):
        goes_on.wait()
        return full(i)

    loader = wspace.prefetch(map(load, range(9)), timeout=0.01, name="blocks")
    batches = iter(loader)
    with pytest.warns(ResourceWarning, match=r"'blocks' is in its source .* 0\.01 s"):
        loader.close()
    assert len(producers("blocks")) == 1
    goes_on.set()
    wait_for_none("blocks")
    del batches


def test_a_new_pass_is_refused_while_the_source_blocks():
    goes_on = threading.Event()

    def load(i):
        goes_on.wait()
        return full(i)

    loader = wspace.prefetch(map(load, range(9)), timeout=0.01, name="busy")
    iter(loader)
    with pytest.warns(ResourceWarning):
        with pytest.raises(wspace.WorkspaceStateError, match="producer still runs"):
            iter(loader)
    goes_on.set()
    wait_for_none("busy")
    assert len(list(loader)) <= 9


def test_next_waits_no_longer_than_its_limit_and_can_be_called_again():
    goes_on = threading.Event()

    def load_slowly(i):
        goes_on.wait()
        return full(i)

    loader = wspace.prefetch(map(load_slowly, range(2)), timeout=0.02, name="slow")
    batches = iter(loader)
    for _ in range(2):
        with pytest.raises(TimeoutError, match=r"'slow' waited 0\.02 s for batch 0"):
            next(batches)
    with pytest.raises(TimeoutError) as caught:
        next(batches)
    assert "load_slowly" in caught.value.__notes__[0]
    goes_on.set()
    found = []
    while len(found) < 2:
        try:
            found.append(float(next(batches)[0]))
        except TimeoutError:
            continue
    assert found == [0.0, 1.0]


def test_closing_from_another_thread_wakes_the_consumer(in_thread):
    goes_on = threading.Event()

    def load(i):
        goes_on.wait()
        return full(i)

    loader = wspace.prefetch(map(load, range(9)), name="woken")
    batches = iter(loader)
    outcome = []

    def consume():
        try:
            next(batches)
        except wspace.WorkspaceStateError as error:
            outcome.append(error)

    consumer = threading.Thread(target=consume)
    consumer.start()
    batches.request_stop()
    consumer.join(10)
    assert "was stopped" in str(outcome[0])
    goes_on.set()
    loader.close()


def test_batches_may_be_kept_by_other_threads():
    kept, lock = [], threading.Lock()

    def consume(loader):
        for x in loader:
            with lock:
                kept.append(x[3:])
                if len(kept) > 5:
                    del kept[0]

    loader = wspace.prefetch(map(full, range(300), [5000] * 300))
    thread = threading.Thread(target=consume, args=(loader,))
    thread.start()
    while thread.is_alive():
        with lock:
            assert all(x[0] == x[-1] for x in kept)
    thread.join()
    assert [float(x[0]) for x in kept] == [295.0, 296.0, 297.0, 298.0, 299.0]


def test_a_batch_that_dies_in_another_thread_wakes_a_producer_that_waits():
    loader = wspace.prefetch(map(full, range(50)), on_retain="block", timeout=20)
    batches = iter(loader)
    kept = [next(batches) for _ in range(5)]
    timer = threading.Timer(0.05, kept.clear)
    timer.start()
    assert [float(x[0]) for x in batches] == list(map(float, range(5, 50)))
    timer.join()


@pytest.mark.slow
def test_ten_thousand_passes_leave_no_thread_and_no_memory():
    loader = wspace.prefetch([full(0), full(1)], name="many")
    for _ in range(100):
        list(loader)
    before = loader._slots._all[0].home.stats.upstream_calls
    for i in range(10_000):
        if i % 2:
            list(loader)
        else:
            next(iter(loader))
    wait_for_none("many")
    assert loader.stats.epochs == 10_100
    assert loader._slots._all[0].home.stats.upstream_calls == before


# In a process of its own: what could hang or crash


@pytest.mark.slow
@pytest.mark.parametrize("held", ["batches", "None"])
def test_the_interpreter_ends_while_a_producer_works(run_python, held):
    run_python(f"""
        import itertools
        import numpy as np, wspace
        loader = wspace.prefetch(map(np.ones, itertools.repeat(100_000)))
        batches = iter(loader)
        x = next(batches)
        kept = {held}
    """)


@pytest.mark.slow
def test_the_interpreter_ends_while_a_source_blocks(run_python):
    run_python("""
        import threading, wspace
        loader = wspace.prefetch(map(lambda i: threading.Event().wait(), range(9)))
        batches = iter(loader)
    """)


@pytest.mark.slow
def test_an_interrupt_leaves_the_iterator_usable(run_python):
    out = run_python("""
        import signal, threading, time
        import numpy as np
        import wspace

        waits, goes_on = threading.Event(), threading.Event()

        def load(i):
            if i == 3:
                waits.wait()
                time.sleep(0.2)  # by now it waits for this batch
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                goes_on.wait()
            return np.full(10_000, float(i))

        batches = iter(wspace.prefetch(map(load, range(6)), depth=1))
        found = []
        interrupts = 0
        while True:
            try:
                for x in batches:
                    found.append(float(x[0]))
                    if len(found) == 3:
                        waits.set()
                break
            except KeyboardInterrupt:
                interrupts += 1
                goes_on.set()
        print(interrupts, found)
    """)
    assert out == "1 [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]\n"


@pytest.mark.slow
def test_a_child_of_a_fork_is_told_and_may_iterate_anew(run_python):
    out = run_python("""
        import os, sys, warnings
        import numpy as np
        import wspace

        warnings.simplefilter("ignore", DeprecationWarning)
        loader = wspace.prefetch([np.full(10_000, float(i)) for i in range(8)])
        batches = iter(loader)
        x = next(batches)
        child = os.fork()
        if child == 0:
            try:
                next(batches)
            except wspace.WorkspaceStateError as error:
                assert "forked from" in str(error), error
                assert (x == 0).all()
                again = [float(y[0]) for y in loader]
                assert again == [float(i) for i in range(8)], again
                os._exit(7)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), [float(y[0]) for y in batches])
    """)
    assert out == "7 [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]\n"


@pytest.mark.skipif(
    "WSPACE_SANITIZE" in os.environ, reason="the sanitizer takes page faults of its own"
)
@pytest.mark.slow
def test_a_steady_batch_takes_no_page_fault(run_python):
    out = run_python("""
        import resource
        import numpy as np
        import wspace

        def load(i):
            x = np.empty(100_000)
            x.fill(i)
            return x, x * 2.0

        counts = []
        with wspace.prefetch(map(load, range(300))) as loader:
            for i, (x, y) in enumerate(loader):
                if i in (100, 299):
                    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        print(counts[1] - counts[0])
    """)
    assert int(out) <= 20  # of Python itself; a batch has 391 pages
