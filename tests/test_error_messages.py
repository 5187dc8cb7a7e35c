# SPDX-License-Identifier: BSD-3-Clause
"""Each text that wspace can raise, word for word, with its advice."""

import errno
import inspect
import pickle

import numpy as np
import pytest

import wspace
from wspace import _errors
from wspace._stats import WorkspaceStats

NO_WAY_OUT = "`.copy()` in the scope is no way out"
DETACH = f"hint: `wspace.detach` what must outlive its cycle; {NO_WAY_OUT}"
ESCAPED = "2 captured arrays escaped workspace 'train' at the end of generation 3"

# Factory, arguments, class, text, notes.
MESSAGES = [
    (
        "full",
        ("train", 4097, 4096, 4096),
        wspace.WorkspaceFullError,
        "workspace 'train' is full: requested 4097 bytes, 4096 of 4096 free",
        [
            "hint: raise `max_size` to at least the reported high-water mark, "
            "or allow spills"
        ],
    ),
    (
        "upstream_failed",
        ("train", 8_589_934_592),
        MemoryError,
        "could not allocate 8,589,934,592 bytes for workspace 'train'",
        [],
    ),
    (
        "too_big",
        ((4611686018427387904, 8), "float64", 2**68),
        OverflowError,
        "array (4611686018427387904, 8) float64 needs 2**68 bytes, "
        "more than an address space",
        [],
    ),
    (
        "too_big",
        ((3, 2**62), "float64", 3 * 2**65),
        OverflowError,
        "array (3, 4611686018427387904) float64 needs about 2**67 bytes, "
        "more than an address space",
        [],
    ),
    (
        "object_dtype",
        ("train", np.dtype(object)),
        TypeError,
        "cannot place dtype object in workspace 'train': it holds Python references",
        [],
    ),
    (
        "spills_persist",
        ("train", 8, 65536, 131072, 98304, "spill='external'"),
        RuntimeWarning,
        "workspace 'train' spilled in 8 cycles in a row, 65,536 bytes in the last: "
        "it needs a block of 131,072 bytes, has 98,304, and spill='external' never "
        "grows it; raise `initial_size` or change it",
        [],
    ),
    (
        "spills_persist",
        ("train", 3, 1, 131072, 98304, "max_size=98304"),
        RuntimeWarning,
        "workspace 'train' spilled in 3 cycles in a row, 1 byte in the last: "
        "it needs a block of 131,072 bytes, has 98,304, and max_size=98304 never "
        "grows it; raise it",
        [],
    ),
    (
        "needs",
        ("slots", 8, "reset", "ring"),
        ValueError,
        "slots=8 needs reset='ring'",
        [],
    ),
    (
        "not_in_a_file",
        ("reset", "ring"),
        ValueError,
        "location='mmap' and reset='ring' contradict each other: "
        "a file is one block of a fixed size",
        [],
    ),
    (
        "file_without_size",
        (None,),
        ValueError,
        "location='mmap' needs an initial_size: no path is given",
        [],
    ),
    (
        "file_without_size",
        ("block",),
        ValueError,
        "location='mmap' needs an initial_size: the file 'block' is empty",
        [],
    ),
    (
        "no_file",
        ("train", "/dev/null"),
        ValueError,
        "workspace 'train' cannot use '/dev/null' as its file: it is not a regular "
        "file",
        [],
    ),
    (
        "file_too_large",
        ("block", 2000, 1000),
        ValueError,
        "the size of 'block' must not exceed max_size: 2,000 bytes against 1,000 bytes",
        [],
    ),
    (
        "file_in_use",
        ("train", "block"),
        wspace.WorkspaceStateError,
        "workspace 'train' cannot use the file 'block': another workspace has it",
        ["hint: `close()` that one, and drop the arrays that are in its file"],
    ),
    (
        "file_refused",
        ("train", "block", 1000, errno.ENOSPC),
        OSError,
        "[Errno 28] workspace 'train' could not have a file of 1,000 bytes: "
        "No space left on device: 'block'",
        [],
    ),
    (
        "file_refused",
        ("train", "a/block", 1000, errno.ENOENT),
        FileNotFoundError,
        "[Errno 2] workspace 'train' could not have a file of 1,000 bytes "
        "(no such directory): No such file or directory: 'a/block'",
        [],
    ),
    (
        "size_is_fixed",
        ("train",),
        wspace.WorkspaceStateError,
        "cannot learn the size of workspace 'train': its block is a file of a fixed "
        "size",
        [],
    ),
    (
        "ring_escapes",
        ("warn",),
        ValueError,
        "reset='ring' and escape='warn' contradict each other: "
        "what a ring's cycle makes is meant to outlive it",
        ["hint: `on_busy='raise'` tells of what lives too long"],
    ),
    (
        "ring_is_held",
        ("train", 4, 4),
        RuntimeWarning,
        "workspace 'train' served 4 cycles in a row from outside its ring: "
        "arrays are alive in all of its 4 slots; drop or `detach()` them, "
        "or raise `slots`",
        [],
    ),
    (
        "file_is_held",
        ("train", 3),
        RuntimeWarning,
        "workspace 'train' served 3 cycles in a row from outside its file: arrays that "
        "survived `release()` hold it; drop or `detach()` them",
        [],
    ),
    (
        "slot_busy",
        ("train", 2, 4, 3, 24576, 7),
        wspace.WorkspaceStateError,
        "cannot enter workspace 'train': slot 2 of 4 holds 3 arrays, 24,576 bytes, "
        "made in generation 7",
        [
            "hint: drop or `detach()` what came of that cycle, or give the ring more "
            "`slots`"
        ],
    ),
    (
        "slot_busy",
        ("train", 0, 1, 1, 1, 1, 0.5),
        wspace.WorkspaceStateError,
        "could not enter workspace 'train' within 0.5 s: slot 0 of 1 holds 1 array, "
        "1 byte, made in generation 1",
        [
            "hint: drop or `detach()` what came of that cycle, or give the ring more "
            "`slots`"
        ],
    ),
    (
        "nothing_to_learn",
        ("train",),
        wspace.WorkspaceStateError,
        "cannot learn the size of workspace 'train': "
        "no cycle has allocated since it last was",
        ["hint: run a cycle that is like those to come, then call `learn()`"],
    ),
    (
        "trimmed_for_good",
        ("spill", "fail"),
        ValueError,
        "trim_to needs a block that can grow again, which spill='fail' forbids",
        ["hint: use spill='reallocate' and a learning other than 'none'"],
    ),
    (
        "stale",
        ("train", (128, 256), "float32", 3, None),
        wspace.StaleArrayError,
        "array (128, 256) float32 of workspace 'train' is stale: "
        "made in generation 3, which is over",
        [f"hint: `detach()` it before the scope ends; {NO_WAY_OUT}"],
    ),
    (
        "stale",
        ("train", (4,), "int8", 3, None, 5),
        wspace.StaleArrayError,
        "array (4,) int8 of workspace 'train' is stale: "
        "made in generation 3, which is over; the last was 5",
        [f"hint: `detach()` it before the scope ends; {NO_WAY_OUT}"],
    ),
    (
        "stale",
        ("it's", (np.intp(4),), "int8", 3, 5),
        wspace.StaleArrayError,
        'array (4,) int8 of workspace "it\'s" is stale: made in generation 3, now 5',
        [f"hint: `detach()` it before the scope ends; {NO_WAY_OUT}"],
    ),
    (
        "escaped",
        ("train", 3, 1, 1, []),
        wspace.EscapedArrayError,
        "1 captured array escaped workspace 'train' at the end of generation 3: 1 byte",
        [DETACH, "hint: `record=True` tells who made them"],
    ),
    (
        "escaped",
        ("train", 3, 2, 8192, [("net.py", 7, "forward", 8192, 2)]),
        wspace.EscapedArrayError,
        f"{ESCAPED}: 8,192 bytes, made at net.py:7 in forward (8,192 bytes, 2 times)",
        [DETACH],
    ),
    (
        "escaped",
        (
            "train",
            3,
            2,
            12288,
            [("net.py", 9, "loss", 4096, 1), ("net.py", 7, "forward", 8192, 1)],
        ),
        wspace.EscapedArrayError,
        f"{ESCAPED}: 12,288 bytes, made at net.py:7 in forward (8,192 bytes, 1 time) "
        "and 1 other place",
        ["also made at:\n  net.py:9 in loss (4,096 bytes, 1 time)", DETACH],
    ),
    (
        "escape_warning",
        ("train", 3, 2, 8192, [("net.py", 7, "forward", 8192, 2)]),
        ResourceWarning,
        f"{ESCAPED}: 8,192 bytes, made at net.py:7 in forward (8,192 bytes, 2 times)",
        [],
    ),
    (
        "not_open",
        ("train",),
        wspace.WorkspaceStateError,
        "cannot allocate in workspace 'train': it is not open",
        ["hint: use `with ws:`"],
    ),
    (
        "not_open",
        ("train", "borrow"),
        wspace.WorkspaceStateError,
        "cannot borrow workspace 'train': it is not open",
        ["hint: use `with ws:`"],
    ),
    (
        "must_be_closed",
        ("train", "release"),
        wspace.WorkspaceStateError,
        "cannot release workspace 'train': it is open",
        ["hint: leave its scope first"],
    ),
    (
        "closed",
        ("train", "enter"),
        wspace.WorkspaceStateError,
        "cannot enter workspace 'train': it is closed",
        [
            "hint: `close()` is final; "
            "`release()` gives memory back and leaves it usable"
        ],
    ),
    (
        "wrong_order",
        ("outer", "inner"),
        wspace.WorkspaceStateError,
        "cannot leave workspace 'outer' before 'inner', which was entered later",
        ["hint: a generator that yields inside a `with` block is the usual cause"],
    ),
    (
        "foreign_handler",
        ("train",),
        RuntimeWarning,
        "workspace 'train' was left while another memory handler of NumPy was current; "
        "that one was not changed",
        [],
    ),
    (
        "suspends",
        ("step", "a generator function"),
        TypeError,
        "cannot scope 'step': it is a generator function",
        ["hint: decorate the functions that it calls; they run from beginning to end"],
    ),
    (
        "cannot_walk",
        ("set",),
        TypeError,
        "cannot take arrays of a workspace out of a value of type 'set'",
        ["hint: detach the arrays before they are put into it"],
    ),
    (
        "not_entered",
        ("train",),
        wspace.WorkspaceStateError,
        "cannot leave workspace 'train': it was not entered in this context",
        [],
    ),
    (
        "wrong_thread",
        ("train", "MainThread", "prefetch-0"),
        wspace.WrongThreadError,
        "workspace 'train' belongs to thread 'MainThread', used from 'prefetch-0'",
        ["hint: `wspace.get('train')` gives each thread a workspace of its own"],
    ),
    (
        "other_task",
        ("train", "Task-1", "Task-2"),
        wspace.WorkspaceStateError,
        "cannot enter workspace 'train' from task 'Task-2': "
        "it is open in task 'Task-1'",
        [
            "hint: give each task its own `Workspace`, "
            "or leave the scope before the `await`"
        ],
    ),
    (
        "other_task",
        ("train", None, None),
        wspace.WorkspaceStateError,
        "cannot enter workspace 'train' from code outside of any task: "
        "it is open in another context",
        [
            "hint: give each task its own `Workspace`, "
            "or leave the scope before the `await`"
        ],
    ),
    (
        "unknown_workspace",
        ("train", ["outer", "inner"]),
        wspace.WorkspaceStateError,
        "no workspace 'train' in this thread; open: 'outer', 'inner'",
        ["hint: `wspace.get('train')` makes it"],
    ),
    (
        "unknown_workspace",
        ("train", []),
        wspace.WorkspaceStateError,
        "no workspace 'train' in this thread; none is open",
        ["hint: `wspace.get('train')` makes it"],
    ),
    (
        "open_elsewhere",
        (["train"],),
        wspace.WorkspaceStateError,
        "cannot release workspace 'train': it is open",
        ["hint: leave their scopes first; all others of this thread were released"],
    ),
    (
        "open_elsewhere",
        (["a", "b", "c"],),
        wspace.WorkspaceStateError,
        "cannot release workspaces 'a', 'b' and 'c': they are open",
        ["hint: leave their scopes first; all others of this thread were released"],
    ),
    (
        "not_allowed",
        ("min_block", "at least 0 bytes", -1),
        ValueError,
        "min_block must be at least 0 bytes, got -1",
        [],
    ),
    (
        "wrong_type",
        ("record", "True or False", 1),
        TypeError,
        "record must be True or False, got int 1",
        [],
    ),
    (
        "bad_alignment",
        (48,),
        ValueError,
        "align must be a power of two from 1 to 256, got 48",
        [],
    ),
    (
        "over_maximum",
        ("initial_size", 2048, 1024),
        ValueError,
        "initial_size must not exceed max_size: 2,048 bytes against 1,024 bytes",
        [],
    ),
    (
        "nothing_fits",
        (),
        ValueError,
        "spill='fail' with learning='none' needs an initial_size: "
        "nothing could be allocated",
        [],
    ),
    (
        "unknown_field",
        ("is_checked", "checked", ["checked", "record"]),
        TypeError,
        "WorkspaceConfig has no field 'is_checked'; the closest is 'checked'",
        [],
    ),
    (
        "unknown_field",
        ("size", None, ["checked", "record"]),
        TypeError,
        "WorkspaceConfig has no field 'size'",
        ["hint: its fields are checked, record"],
    ),
    (
        "config_clash",
        ("train", "spill", wspace.SpillPolicy.FAIL, wspace.SpillPolicy.EXTERNAL),
        wspace.WorkspaceStateError,
        "workspace 'train' exists with spill='fail', asked for spill='external'",
        [],
    ),
]


@pytest.mark.parametrize(("factory", "args", "kind", "text", "notes"), MESSAGES)
def test_a_message_has_its_text_and_its_advice(factory, args, kind, text, notes):
    error = getattr(_errors, factory)(*args)
    assert type(error) is kind
    assert str(error) == text
    assert getattr(error, "__notes__", []) == notes


def test_every_message_is_in_the_table():
    factories = {
        name
        for name, value in vars(_errors).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    no_texts = {"one_of", "ask_open", "with_open"}
    assert factories - no_texts == {row[0] for row in MESSAGES}


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row[0])
def test_a_message_keeps_the_habits_of_messages(row):
    *_, text, notes = row
    assert "\n" not in text
    assert not text.endswith((".", "!"))
    assert not {"error", "invalid", "bad", "unable", "failed"} & set(text.split())
    advice = [note for note in notes if note.startswith("hint: ")]
    assert len(advice) <= 2
    for note in advice:
        assert not note.endswith((".", "!"))


def test_the_hint_of_a_full_workspace_names_the_field_that_bounds_it():
    error = _errors.full("train", 1, 0, 64, limit="initial_size")
    assert str(error) == "workspace 'train' is full: requested 1 byte, 0 of 64 free"
    assert error.__notes__ == [
        "hint: raise `initial_size` to at least the reported high-water mark, "
        "or allow spills"
    ]


def test_call_sites_are_listed_by_bytes_and_not_without_end():
    sites = [("net.py", line, "forward", 10 * line, 1) for line in range(1, 21)]
    error = _errors.escaped("train", 1, 20, 2100, sites)
    assert str(error).endswith(
        "made at net.py:20 in forward (200 bytes, 1 time) and 19 other places"
    )
    lines = error.__notes__[0].split("\n")
    assert lines[1] == "  net.py:19 in forward (190 bytes, 1 time)"
    assert lines[-1] == "  11 more places"
    assert len(lines) == 10


def test_choices_are_listed_as_people_do():
    assert _errors.one_of(["a"]) == "'a'"
    assert _errors.one_of(["a", "b"]) == "'a' or 'b'"
    assert _errors.one_of(wspace.EscapePolicy) == "'ignore', 'warn' or 'raise'"


def test_the_advice_is_in_the_traceback_and_survives_pickling():
    error = pickle.loads(pickle.dumps(_errors.not_open("train")))
    assert type(error) is wspace.WorkspaceStateError
    assert error.__notes__ == ["hint: use `with ws:`"]


def test_exceptions_are_named_where_users_find_them():
    classes = {
        name: value
        for name, value in vars(_errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert len(classes) >= 6
    for name, kind in classes.items():
        assert getattr(wspace, name) is kind
        assert f"{kind.__module__}.{kind.__qualname__}" == f"wspace.{name}"
        assert issubclass(kind, wspace.WorkspaceError)


def test_classes_fit_the_handlers_that_python_code_has():
    assert issubclass(wspace.WorkspaceError, RuntimeError)
    assert issubclass(wspace.WorkspaceFullError, MemoryError)


def test_statistics_read_as_one_line():
    counts = dict.fromkeys(WorkspaceStats.__dataclass_fields__, 0)
    stats = WorkspaceStats(**counts)
    assert str(stats) == (
        "generation 0, 0/0 B used, high-water mark 0 B, 0 B retained, 0 spills"
    )
    counts |= {"generation": 12, "used": 48 << 20, "capacity": 64 << 20, "spills": 1}
    counts |= {"high_water": 50 << 20, "retained": 2048}
    assert str(WorkspaceStats(**counts)) == (
        "generation 12, 48.0/64.0 MiB used, high-water mark 50.0 MiB, "
        "2.0 KiB retained, 1 spill"
    )
