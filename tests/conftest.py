# SPDX-License-Identifier: BSD-3-Clause
"""What must hold after every test, and the helpers that many of them need."""

import contextlib
import ctypes
import gc
import subprocess
import sys
import textwrap
import threading
import weakref

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import wspace
from wspace import _arena

FAILED = pytest.StashKey[bool]()


# ---- after every test: nothing open, nothing alive -----------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request):
    """Fail a test that leaves a scope open, or arrays of a workspace that is there."""
    known = weakref.WeakSet(_arena._arenas)
    yield
    problems = sorted(left_open(known))
    if request.node.stash.get(FAILED, False):
        close_all()  # its traceback may hold anything; the next test must not see it
        return
    try:
        wspace.destroy_all()
    except wspace.WorkspaceStateError as error:
        problems.append(str(error))
    if alive(known):
        gc.collect()
        problems += [f"arrays of {name!r} are alive" for name in alive(known)]
    if problems:
        close_all()
    assert not problems


def left_open(known):
    """Yield what is open here, or in any thread, of what the test has made."""
    if wspace.get_debug() != "off":
        yield f"the debug mode is {wspace.get_debug()}"
        wspace.set_debug("off")
    if wspace.get_default_config() != wspace.WorkspaceConfig():
        yield f"the default configuration is {wspace.set_default_config()}"
    if wspace.current() is not None:
        yield f"{wspace.current()} is current"
    if get_handler_name() != "default_allocator":
        yield f"the memory handler is {get_handler_name()!r}"
    for arena in set(_arena._arenas).difference(known):
        if arena.is_open:
            yield f"{arena.name!r} is open"


def alive(known):
    """Return the names of the workspaces made by the test that hold memory."""
    made = set(_arena._arenas).difference(known)
    return sorted(arena.name for arena in made if has_memory(arena))


def has_memory(arena):
    if not arena.recover():
        return False  # it is open, and reported as such
    return arena.release() and arena.stats()["reserved"] != 0


def close_all():
    """Leave this context as a test should find it."""
    for workspace in gc.get_objects():
        if not issubclass(type(workspace), wspace.Workspace):
            continue
        for _ in range(100):
            if not workspace.is_open:
                break
            with contextlib.suppress(Exception):
                workspace.__exit__(None, None, None)
    if get_handler_name() != "default_allocator":
        set_handler(None)


# ---- threads and processes -----------------------------------------------------------


@pytest.fixture
def open_elsewhere():
    """Return a context manager that has a workspace open in thread 'holder'."""

    @contextlib.contextmanager
    def hold(workspace):
        entered, leave = threading.Event(), threading.Event()

        def run():
            with workspace:
                entered.set()
                leave.wait(60)

        thread = threading.Thread(target=run, name="holder")
        thread.start()
        try:
            assert entered.wait(60)
            yield
        finally:
            leave.set()
            thread.join()

    return hold


@pytest.fixture
def in_thread():
    """Return a function that calls another one in a new thread and waits for it."""

    def call(function, *args, name=None):
        outcome = []

        def run():
            try:
                outcome.append((function(*args), None))
            except BaseException as error:
                outcome.append((None, error))

        thread = threading.Thread(target=run, name=name)
        thread.start()
        thread.join()
        result, error = outcome.pop()
        if error is not None:
            raise error
        return result

    return call


@pytest.fixture
def run_python():
    """Return a function that runs code in a fresh interpreter, which must not complain.

    It returns what the code prints.
    """

    def run(code):
        command = [sys.executable, "-W", "error", "-X", "faulthandler"]
        command += ["-c", textwrap.dedent(code)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


# ---- a memory handler that is not ours -----------------------------------------------


class Handler(ctypes.Structure):
    """``PyDataMem_Handler`` of NumPy."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("functions", ctypes.c_void_p * 5),
    ]


# Places in the table of NumPy's C API, which never change.
SET_HANDLER, DEFAULT_HANDLER = 304, 306


python_api = ctypes.PyDLL(None)  # not ctypes.pythonapi, whose settings all share
capsule_pointer, capsule_new = python_api.PyCapsule_GetPointer, python_api.PyCapsule_New
capsule_pointer.restype, capsule_new.restype = ctypes.c_void_p, ctypes.py_object
capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
capsule_new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def numpy_c_api(index):
    table = capsule_pointer(np._core._multiarray_umath._ARRAY_API, None)
    return ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[index]


def set_handler(capsule):
    """Install a memory handler, None for NumPy's own; return the former one."""
    argument = ctypes.c_void_p if capsule is None else ctypes.py_object
    kind = ctypes.PYFUNCTYPE(ctypes.py_object, argument)
    return kind(numpy_c_api(SET_HANDLER))(capsule)


def make_foreign_handler():
    """Return a capsule over NumPy's own functions, under another name."""
    kind = ctypes.POINTER(ctypes.py_object)
    default = ctypes.cast(numpy_c_api(DEFAULT_HANDLER), kind)[0]
    at = capsule_pointer(default, b"mem_handler")
    handler = Handler.from_buffer_copy(ctypes.string_at(at, ctypes.sizeof(Handler)))
    handler.name = b"foreign"
    KEPT.append(handler)  # arrays made with it refer to it for as long as they live
    return capsule_new(ctypes.addressof(handler), b"mem_handler", None)


KEPT = []
FOREIGN = make_foreign_handler()


@pytest.fixture
def foreign_handler():
    """Return a context manager that installs a handler of no workspace, "foreign"."""

    @contextlib.contextmanager
    def installed():
        before = set_handler(FOREIGN)
        try:
            yield
        finally:
            set_handler(before)

    return installed


@pytest.fixture
def install_foreign_handler():
    """Return a function that installs such a handler and leaves it to others."""
    yield lambda: set_handler(FOREIGN)
    set_handler(None)
