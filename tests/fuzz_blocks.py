# SPDX-License-Identifier: BSD-3-Clause
"""Random blocks, debug modes and transfers, in several threads; run as a script.

``python fuzz_blocks.py SEED STEPS``: blocks are entered and left in any order and in
copied contexts, modes switch at any time, arrays die wherever they like. wspace may
refuse any step; it may not crash, and no array may show other bytes than its own.
"""

import contextvars
import gc
import sys
import threading
import warnings
from random import Random

import numpy as np

import wspace

SHARED = [wspace.Workspace(f"shared {i}", initial_size="64KiB") for i in range(2)]
RUNS = [wspace.StagedWorkspace(mode.value, mode) for mode in wspace.WorkspaceMode]
SIZES = [10, 200, 3000, 9000]
QUESTIONS = [wspace.stats, wspace.summary, wspace.any_open, wspace.all_workspaces]


class Worker:
    """One thread's program."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.own = [wspace.Workspace("own", initial_size="32KiB"), wspace.get("got")]
        self.held = []  # (array, its bytes)
        self.blocks = []
        self.contexts = [contextvars.copy_context() for _ in range(2)]

    def run(self, steps):
        names = [name for name in vars(Worker) if name.startswith("do_")]
        for _ in range(steps):
            step = getattr(self, self.random.choice(names))
            try:
                if self.random.random() < 0.25:
                    self.random.choice(self.contexts).run(step)
                else:
                    step()
            except (wspace.WorkspaceError, MemoryError):
                pass  # refused
            del self.held[:-60]
        self.do_check()

    def workspace(self):
        return self.random.choice([*self.own, *SHARED])

    def hold(self, array):
        self.held.append((array, array.tobytes()))

    def pick(self):
        return self.random.choice(self.held) if self.held else (None, None)

    def take(self):
        return self.held.pop(self.random.randrange(len(self.held)))

    # ---- steps -----------------------------------------------------------------------

    def do_enter(self):
        ws, run = self.workspace(), self.random.choice(RUNS)
        blocks = [ws, ws.borrow(), ws.paused(), wspace.scope_out(), run]
        blocks += [run.stage("a"), run.results()]
        blocks += [wspace.counters(), wspace.counters(ws)]
        block = self.random.choice(blocks)
        block.__enter__()
        self.blocks.append(block)

    def do_leave(self):
        if self.blocks:
            any_of_them = self.random.randrange(len(self.blocks))
            last = self.random.random() < 0.7 or len(self.blocks) > 12
            self.blocks.pop(-1 if last else any_of_them).__exit__(None, None, None)

    do_leave_too = do_leave

    def do_switch(self):
        wspace.set_debug(self.random.choice(list(wspace.DebugMode)))

    def do_change_mode(self):
        run = self.random.choice(RUNS)
        run.mode = self.random.choice(list(wspace.WorkspaceMode))

    def do_capture(self):
        self.hold(np.full(self.random.choice(SIZES), self.random.random()))

    def do_create(self):
        size, value = self.random.choice(SIZES), self.random.random()
        self.hold(self.workspace().full(size, value))

    def do_transfer(self):
        array, content = self.pick()
        ws, run = self.workspace(), self.random.choice(RUNS)
        ways = [wspace.detach, wspace.keep, wspace.leverage, wspace.migrate, np.copy]
        ways += [run.result, lambda x: wspace.leverage_to(x, ws), lambda x: x[:]]
        if array is not None:
            self.held.append((self.random.choice(ways)(array), content))

    def do_resize(self):
        if not self.held:
            return
        array, content = self.take()
        is_sole = type(array) is np.ndarray and array.base is None
        if is_sole and sys.getrefcount(array) <= 2:
            array.resize(self.random.choice(SIZES), refcheck=False)
            content = array.tobytes()
        self.held.append((array, content))

    def do_drop(self):
        if self.held:
            self.take()

    def do_drop_elsewhere(self):
        box = [self.take()] if self.held else []
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()

    def do_give_back(self):
        ws, run = self.workspace(), self.random.choice(RUNS)
        ways = [ws.release, ws.trim, run.release, wspace.destroy_all, gc.collect]
        self.random.choice([*ways, lambda: wspace.destroy("got")])()

    def do_ask(self):
        self.random.choice(QUESTIONS)()
        array, _ = self.pick()
        if array is not None:
            wspace.owner(array), wspace.in_scope(array), wspace.is_attached(array)

    def do_check(self):
        for array, content in self.held:
            if not wspace.is_stale(array):
                assert array.tobytes() == content


def main():
    seed, steps = map(int, sys.argv[1:])
    warnings.simplefilter("ignore")
    workers, failures = [], []

    def work(number):
        try:
            workers.append(Worker(10 * seed + number))
            workers[-1].run(steps)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:  # what a thread leaves behind is still right
        worker.do_check()
    for error in failures:
        raise error
    print("done", len(workers))


if __name__ == "__main__":
    main()
