# SPDX-License-Identifier: BSD-3-Clause
"""The end of the interpreter with arrays and scopes alive: silent, exit status 0.

The runs are subprocesses that must write nothing to stderr; see `run_python`.
"""

import textwrap

import pytest

pytestmark = pytest.mark.slow

START = """
import atexit, contextvars, gc, sys, threading, weakref
import numpy as np
import wspace
ws = wspace.Workspace("train", initial_size="1MiB")
"""

# What is alive at the end, by a word for it.
ALIVE = {
    "captured arrays": """
        with ws:
            arrays = [np.full(1000 * (i + 1), float(i)) for i in range(20)]
        with ws:
            arrays += [np.full(1000, 1.0) for _ in range(5)]
        """,
    "stale arrays": """
        with ws:
            arrays = [ws.full(n, 1.0) for n in (1, 1000, 30_000)]
            arrays += [array[1:] for array in arrays]
        """,
    "checked arrays of an open scope": """
        ws.__enter__()
        arrays = [ws.ones(3), ws.ones(1000)[::2], np.ones(1000), ws.ones(3) + 1.0]
        """,
    "small arrays that hold only the handler": """
        with ws:
            small = [np.arange(n) for n in range(50)]
        """,
    "arrays of a workspace that is gone": """
        with ws:
            captured, stale = np.ones(1000), ws.ones(1000)
        del ws
        """,
    "arrays of a workspace that was closed": """
        with ws:
            captured, stale, kept = np.ones(1000), ws.ones(1000), ws.ones(9)
            kept = wspace.keep(kept)
        ws.close()
        """,
    "arrays in reference cycles": """
        class Node:
            pass
        with ws:
            node = Node()
            node.me, node.x, node.y = node, np.ones(1000), ws.ones(1000)
            node.ws = ws
        del node
        """,
    "views by other means": """
        with ws:
            x = np.ones(1000)
            views = [memoryview(x), x.flat, x.ctypes.data_as, np.nditer(x), iter(x)]
            views += [np.from_dlpack(x), weakref.ref(x)]
        del x
        """,
    "nested open scopes": """
        inner = wspace.Workspace("inner", record=True, escape="raise")
        ws.__enter__(); inner.__enter__(); ws.__enter__()
        wspace.scope_out().__enter__(); inner.borrow().__enter__()
        arrays = [np.ones(1000), inner.ones(1000), ws.ones(1000)]
        """,
    "suspended generators": """
        def generate(workspace):
            with workspace:
                x = np.ones(1000)
                yield x
        inner = wspace.Workspace("inner")
        generators = [generate(ws), generate(inner), generate(ws)]
        arrays = [next(generator) for generator in generators]
        """,
    "a copied context": """
        with ws:
            context = contextvars.copy_context()
            arrays = [context.run(np.ones, 1000)]
        ws.__enter__()
        again = contextvars.copy_context()
        """,
    "recorded sites and learned sizes": """
        ws = wspace.get("named", record=True, escape="warn")
        with ws:
            arrays = [np.ones(1000)]
        @wspace.scoped(result="keep")
        def work(n):
            return np.ones(n)
        results = [work(1000) for _ in range(3)]
        """,
    "arrays in places that die late": """
        with ws:
            sys.late = [np.ones(1000), ws.ones(1000)]
            np.late, wspace.late = np.ones(1000), ws.ones(1000)
            threading.late = np.ones(1000)
            sys.modules["late"] = np.ones(1000)
        """,
}


@pytest.mark.parametrize("alive", ALIVE)
def test_the_interpreter_ends_silently_with_these_alive(run_python, alive):
    assert run_python(START + textwrap.dedent(ALIVE[alive]) + "\nprint('end')") == (
        "end\n"
    )


@pytest.mark.parametrize("ending", ["sys.exit(0)", "raise SystemExit", "os._exit(0)"])
def test_it_ends_silently_inside_of_a_scope(run_python, ending):
    run_python(f"""
        import os, sys
        import numpy as np
        import wspace
        ws = wspace.Workspace("train")
        with ws, wspace.Workspace("inner"), ws:
            captured, checked = np.ones(1000), ws.ones(1000)
            {ending}
    """)


def test_handlers_of_atexit_may_use_workspaces(run_python):
    printed = run_python("""
        import atexit
        import numpy as np
        import wspace
        ws, still_open = wspace.Workspace("train"), wspace.Workspace("open")
        with ws:
            survivor = np.full(1000, 2.0)
        still_open.__enter__()
        in_open = np.full(1000, 3.0)
        def last():
            with ws:
                x = np.full(1000, 4.0)
                print(wspace.owner(x) is ws, x.sum(), survivor.sum(), in_open.sum())
            still_open.__exit__(None, None, None)
            print(still_open.is_open, wspace.current())
            wspace.destroy_all()
            ws.close()
        atexit.register(last)
    """)
    assert printed == "True 4000.0 2000.0 3000.0\nFalse None\n"


def test_finalizers_at_the_end_may_use_workspaces(run_python):
    run_python("""
        import numpy as np
        import wspace
        class Last:
            def __init__(self, ws):
                self.ws = ws
                with ws:
                    self.captured, self.checked = np.ones(1000), ws.ones(1000)
            def __del__(self):
                with self.ws as ws:
                    assert self.captured[-1] == ws.ones(3)[0] == 1.0
        last = Last(wspace.Workspace("train"))
        cycle = [Last(wspace.get("named"))]
        cycle.append(cycle)
    """)


def test_threads_that_still_hold_arrays_are_no_matter(run_python):
    printed = run_python("""
        import threading
        import numpy as np
        import wspace
        ws, ready = wspace.Workspace("train"), threading.Barrier(4)
        def hold(daemon):
            with wspace.get("of the thread") as mine:
                with ws if daemon == 1 else mine:
                    arrays = [np.ones(1000), mine.ones(1000)]
                    ready.wait()
                    if daemon:
                        threading.Event().wait()
        for daemon in (0, 1, 2):
            threading.Thread(target=hold, args=(daemon,), daemon=daemon > 0).start()
        ready.wait()
        print("end")
    """)
    assert printed == "end\n"


def test_a_thread_that_computes_at_the_end_is_no_matter(run_python):
    run_python("""
        import threading
        import numpy as np
        import wspace
        started = threading.Event()
        def compute():
            ws = wspace.Workspace("of the thread")
            while True:
                with ws:
                    x = ws.ones(100_000)
                    y = np.sin(x) + np.cos(np.ones(100_000))
                started.set()
        for _ in range(2):
            threading.Thread(target=compute, daemon=True).start()
        started.wait()
    """)


def test_a_thread_that_outlives_the_main_one_goes_on_working(run_python):
    printed = run_python("""
        import threading
        import numpy as np
        import wspace
        ws = wspace.Workspace("train")
        with ws:
            survivor = np.full(1000, 2.0)
        def work(main=threading.main_thread()):
            main.join()
            with ws:
                x = np.ones(1000) + survivor
                print(wspace.owner(x) is ws, x.sum())
            wspace.destroy_all()
        threading.Thread(target=work).start()
    """)
    assert printed == "True 3000.0\n"


def test_an_exception_that_ends_the_program_is_shown_as_ever(run_python):
    run_python("""
        import subprocess, sys
        code = '''
        import numpy as np
        import wspace
        with wspace.Workspace("train") as ws:
            captured, checked = np.ones(1000), ws.ones(1000)
            raise ValueError("mine")
        '''.replace("\\n" + " " * 8, "\\n")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=1)
        assert done.returncode == 1
        assert done.stderr.endswith("ValueError: mine\\n"), done.stderr
        assert done.stderr.startswith("Traceback"), done.stderr
    """)
