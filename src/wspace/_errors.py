# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions of wspace, and the one place where their texts are written.

Each function builds an exception or a warning with its text and its advice; the caller
raises it. A text is one line: what happened, to which workspace, with both numbers.
"""

from __future__ import annotations

import errno
import math
import os
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

_E = TypeVar("_E", bound=BaseException)

# File, line, function, bytes and number of times of the escaped arrays made there.
CallSite: TypeAlias = tuple[str, int, str, int, int]

MAX_ALIGNMENT = 256  # in bytes, as in the core

# Sites of one EscapedArrayError that are listed one by one.
_MAX_SITES = 8


class WorkspaceError(RuntimeError):
    """Signal what wspace itself detects; the base of its exceptions.

    Notes
    -----
    Arguments of a wrong type or value raise ``TypeError`` or ``ValueError``, and memory
    that the system does not give ``MemoryError``, as everywhere in Python.

    Examples
    --------
    >>> import wspace
    >>> try:
    ...     wspace.leverage_to([], "nowhere")
    ... except wspace.WorkspaceError as error:
    ...     print(error)
    no workspace 'nowhere' in this thread; none is open
    """

    __module__ = "wspace"


class StaleArrayError(WorkspaceError):
    """Signal the use of a checked array whose cycle is over.

    See Also
    --------
    wspace.detach : Copy an array out of its workspace.
    wspace.is_stale : Ask without raising.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     x = ws.zeros((2, 3))
    >>> try:
    ...     x + 1
    ... except wspace.StaleArrayError as error:
    ...     print(str(error).partition(": ")[0])
    array (2, 3) float64 of workspace 'demo' is stale
    """

    __module__ = "wspace"


class EscapedArrayError(WorkspaceError):
    """Signal captured arrays that are alive at the exit, with ``escape="raise"``.

    The arrays stay valid and the workspace goes on working.

    See Also
    --------
    wspace.detach : Copy an array out of its workspace.
    wspace.keep : Hand an array out without a copy.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> ws = wspace.Workspace("demo", escape="raise", initial_size="1MiB")
    >>> try:
    ...     with ws:
    ...         x = np.ones(1000)
    ... except wspace.EscapedArrayError as error:
    ...     print(error)
    1 captured array escaped workspace 'demo' at the end of generation 1: 8,000 bytes
    >>> float(x.sum())
    1000.0
    """

    __module__ = "wspace"


class WorkspaceFullError(WorkspaceError, MemoryError):
    """Signal an allocation that has no room in a workspace with ``spill="fail"``.

    Notes
    -----
    It is a ``MemoryError`` too, so that handlers that know nothing of wspace work.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo", initial_size=4096, max_size=4096, spill="fail")
    >>> try:
    ...     with ws:
    ...         ws.zeros(1000)
    ... except wspace.WorkspaceFullError as error:
    ...     print(error)
    workspace 'demo' is full: requested 8000 bytes, 4096 of 4096 free
    """

    __module__ = "wspace"


class WorkspaceStateError(WorkspaceError):
    """Signal what a workspace cannot do in its present state.

    It is closed, or open where it must not be, or left in the wrong order, or unknown.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo")
    >>> try:
    ...     ws.empty(3)
    ... except wspace.WorkspaceStateError as error:
    ...     print(error)
    cannot allocate in workspace 'demo': it is not open
    """

    __module__ = "wspace"


class WrongThreadError(WorkspaceError):
    """Signal the use of a workspace that is open in another thread.

    See Also
    --------
    wspace.get : The workspace of a name that belongs to the calling thread.

    Examples
    --------
    >>> import threading
    >>> import wspace
    >>> def use():
    ...     try:
    ...         ws.zeros(3)
    ...     except wspace.WrongThreadError as error:
    ...         print(error)
    >>> with wspace.Workspace("demo") as ws:
    ...     thread = threading.Thread(target=use, name="helper")
    ...     thread.start()
    ...     thread.join()
    workspace 'demo' belongs to thread 'MainThread', used from 'helper'
    """

    __module__ = "wspace"


def _hinted(error: _E, *hints: str) -> _E:
    for hint in hints:
        error.add_note(f"hint: {hint}")
    return error


def _cannot(action: str, name: str, why: str) -> WorkspaceStateError:
    return WorkspaceStateError(f"cannot {action} workspace {name!r}: {why}")


def _count(number: int, noun: str, form: str = ",") -> str:
    return f"{number:{form}} {noun}{'' if number == 1 else 's'}"


def _listed(words: Iterable[str], last: str) -> str:
    *head, tail = words
    return f"{', '.join(head)} {last} {tail}" if head else tail


def _plain(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(map(int, shape))  # NumPy's integers are shown with their type


def _power_of_two(number: int) -> str:
    exact = number & (number - 1) == 0
    return f"{'' if exact else 'about '}2**{round(math.log2(number))}"


def _shown(value: object) -> str:
    """Show a scalar, shortened, and of anything else the type only."""
    if isinstance(value, int) and abs(value).bit_length() > 128:
        return f"{'-' if value < 0 else ''}{_power_of_two(abs(value))}"
    if isinstance(value, str):
        return reprlib.repr(str(value))  # members of enums by their names
    if value is None or isinstance(value, int | float):
        return repr(value)
    return f"a value of type {type(value).__name__!r}"


def full(
    name: str, requested: int, free: int, capacity: int, *, limit: str = "max_size"
) -> WorkspaceFullError:
    """Say that there is no room; `limit` is the field that bounds the memory."""
    return _hinted(
        WorkspaceFullError(
            f"workspace {name!r} is full: requested {_count(requested, 'byte', '')}, "
            f"{free} of {capacity} free"
        ),
        f"raise `{limit}` to at least the reported high-water mark, or allow spills",
    )


def upstream_failed(name: str, nbytes: int) -> MemoryError:
    """Say that the system gave no memory."""
    return MemoryError(
        f"could not allocate {_count(nbytes, 'byte')} for workspace {name!r}"
    )


def too_big(shape: tuple[int, ...], dtype: str, nbytes: int) -> OverflowError:
    """Say that an array has more bytes than an address can count."""
    return OverflowError(
        f"array {_plain(shape)} {dtype} needs {_power_of_two(nbytes)} bytes, "
        "more than an address space"
    )


def object_dtype(name: str, dtype: object) -> TypeError:
    """Say that a dtype holds references, which the garbage collector must see."""
    return TypeError(
        f"cannot place dtype {dtype} in workspace {name!r}: it holds Python references"
    )


def spills_persist(
    name: str, cycles: int, nbytes: int, need: int, capacity: int, why: str
) -> RuntimeWarning:
    """Say that spills go on; `nbytes` were spilled in the last of the `cycles`.

    `why` is the field, with its value, that keeps the block from growing.
    """
    field = why.partition("=")[0]
    mend = "raise it" if field == "max_size" else "raise `initial_size` or change it"
    return RuntimeWarning(
        f"workspace {name!r} spilled in {_count(cycles, 'cycle')} in a row, "
        f"{_count(nbytes, 'byte')} in the last: it needs a block of "
        f"{_count(need, 'byte')}, has {capacity:,}, and {why} never grows it; {mend}"
    )


def ring_is_held(name: str, cycles: int, slots: int) -> RuntimeWarning:
    """Say that cycles in a row found no free slot; each had another one's turn."""
    return RuntimeWarning(
        f"workspace {name!r} served {_count(cycles, 'cycle')} in a row from outside "
        f"its ring: arrays are alive in all of its {_count(slots, 'slot')}; "
        "drop or `detach()` them, or raise `slots`"
    )


def file_is_held(name: str, cycles: int) -> RuntimeWarning:
    """Say that a file is left to what survived in it."""
    return RuntimeWarning(
        f"workspace {name!r} served {_count(cycles, 'cycle')} in a row from outside "
        "its file: arrays that survived `release()` hold it; drop or `detach()` them"
    )


def ask_open(names: Callable[[], Sequence[str]]) -> None:
    """Tell who knows the names of the workspaces that are open here."""
    global _open_names
    _open_names = names


_open_names: Callable[[], Sequence[str]] = tuple  # a layer above puts itself here


def with_open(error: _E) -> _E:
    """Note which workspaces are open here."""
    names = ", ".join(map(repr, _open_names()))
    error.add_note(f"open here: {names}" if names else "no workspace is open here")
    return error


def stale(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    made: int,
    now: int | None,
    last: int = 0,
) -> StaleArrayError:
    """Say that a checked array is of a past cycle.

    `now` is the open one, if any, `last` the one that began last.
    """
    over = "which is over" if now is None else f"now {now}"
    if now is None and last > made:
        over += f"; the last was {last}"
    return _hinted(
        StaleArrayError(
            f"array {_plain(shape)} {dtype} of workspace {name!r} is stale: "
            f"made in generation {made}, {over}"
        ),
        "`detach()` it before the scope ends; `.copy()` in the scope is no way out",
    )


def escaped(
    name: str, generation: int, count: int, nbytes: int, sites: Sequence[CallSite]
) -> EscapedArrayError:
    """Say that captured arrays are alive; `sites` is empty unless recorded."""
    ranked = _ranked(sites)
    error = EscapedArrayError(_escape_text(name, generation, count, nbytes, ranked))
    if len(ranked) > 1:
        error.add_note(_other_sites(ranked[1:]))
    _hinted(
        error,
        "`wspace.detach` what must outlive its cycle; "
        "`.copy()` in the scope is no way out",
    )
    return error if ranked else _hinted(error, "`record=True` tells who made them")


def escape_warning(
    name: str, generation: int, count: int, nbytes: int, sites: Sequence[CallSite]
) -> ResourceWarning:
    """Say as a warning what `escaped` says as an error."""
    text = _escape_text(name, generation, count, nbytes, _ranked(sites))
    return ResourceWarning(text)


def _ranked(sites: Sequence[CallSite]) -> list[CallSite]:
    return sorted(sites, key=lambda site: (-site[3], site))


def _escape_text(
    name: str, generation: int, count: int, nbytes: int, ranked: Sequence[CallSite]
) -> str:
    text = (
        f"{_count(count, 'captured array')} escaped workspace {name!r} "
        f"at the end of generation {generation}: {_count(nbytes, 'byte')}"
    )
    if ranked:
        text += f", made at {_site(ranked[0])}"
    if len(ranked) > 1:
        text += f" and {_count(len(ranked) - 1, 'other place')}"
    return text


def _other_sites(ranked: Sequence[CallSite]) -> str:
    lines = [f"  {_site(site)}" for site in ranked[:_MAX_SITES]]
    if len(ranked) > _MAX_SITES:
        lines.append(f"  {_count(len(ranked) - _MAX_SITES, 'more place')}")
    return "\n".join(["also made at:", *lines])


def _site(site: CallSite) -> str:
    file, line, function, nbytes, times = site
    return (
        f"{file}:{line} in {function} "
        f"({_count(nbytes, 'byte')}, {_count(times, 'time')})"
    )


def not_open(name: str, action: str = "allocate in") -> WorkspaceStateError:
    """Say that an action needs an open scope."""
    return _hinted(_cannot(action, name, "it is not open"), "use `with ws:`")


def must_be_closed(name: str, action: str) -> WorkspaceStateError:
    """Say that an action needs the scope to be over."""
    return _hinted(_cannot(action, name, "it is open"), "leave its scope first")


def closed(name: str, action: str) -> WorkspaceStateError:
    """Say that `close()` was called before an action."""
    return _hinted(
        _cannot(action, name, "it is closed"),
        "`close()` is final; `release()` gives memory back and leaves it usable",
    )


def wrong_order(outer: str, inner: str) -> WorkspaceStateError:
    """Say that an exit comes before the exit of a scope entered later."""
    return _hinted(
        WorkspaceStateError(
            f"cannot leave workspace {outer!r} before {inner!r}, which was entered "
            "later"
        ),
        "a generator that yields inside a `with` block is the usual cause",
    )


def foreign_handler(name: str) -> RuntimeWarning:
    """Say that an exit found somebody else's memory handler, and left it alone."""
    return RuntimeWarning(
        f"workspace {name!r} was left while another memory handler of NumPy was "
        "current; that one was not changed"
    )


def not_entered(name: str) -> WorkspaceStateError:
    """Say that an exit has no enter on this stack of scopes."""
    return _cannot("leave", name, "it was not entered in this context")


def wrong_thread(name: str, owner_thread: str, this_thread: str) -> WrongThreadError:
    """Say that another thread has the workspace open."""
    return _hinted(
        WrongThreadError(
            f"workspace {name!r} belongs to thread {owner_thread!r}, "
            f"used from {this_thread!r}"
        ),
        f"`wspace.get({name!r})` gives each thread a workspace of its own",
    )


def other_task(
    name: str, owner_task: str | None, this_task: str | None
) -> WorkspaceStateError:
    """Say that another task has it open; None stands for code in no task."""
    owner = "another context" if owner_task is None else f"task {owner_task!r}"
    this = "code outside of any task" if this_task is None else f"task {this_task!r}"
    return _hinted(
        WorkspaceStateError(
            f"cannot enter workspace {name!r} from {this}: it is open in {owner}"
        ),
        "give each task its own `Workspace`, or leave the scope before the `await`",
    )


def unknown_workspace(name: str, open_names: Sequence[str]) -> WorkspaceStateError:
    """Say that no workspace, open or of `get`, has this name in this thread."""
    are = f"open: {', '.join(map(repr, open_names))}" if open_names else "none is open"
    return _hinted(
        WorkspaceStateError(f"no workspace {name!r} in this thread; {are}"),
        f"`wspace.get({name!r})` makes it",
    )


def open_elsewhere(names: Sequence[str]) -> WorkspaceStateError:
    """Say which workspaces `destroy_all` had to leave as they were."""
    listed = _listed(map(repr, names), "and")
    which = f"s {listed}: they are" if names[1:] else f" {listed}: it is"
    return _hinted(
        WorkspaceStateError(f"cannot release workspace{which} open"),
        "leave their scopes first; all others of this thread were released",
    )


def not_allowed(field: str, allowed: str, value: object) -> ValueError:
    """Say that `field` does not take a value."""
    return ValueError(f"{field} must be {allowed}, got {_shown(value)}")


def wrong_type(field: str, allowed: str, value: object) -> TypeError:
    """Say that `field` does not take values of a type."""
    kind = f"{type(value).__name__} " if isinstance(value, int | float | str) else ""
    return TypeError(f"{field} must be {allowed}, got {kind}{_shown(value)}")


def one_of(choices: Iterable[str]) -> str:
    """Write choices as the `allowed` of the two functions above."""
    return _listed((repr(str(choice)) for choice in choices), "or")


def suspends(function: str, kind: str) -> TypeError:
    """Say that a function cannot be scoped: it is suspended in the middle."""
    return _hinted(
        TypeError(f"cannot scope {function!r}: it is {kind}"),
        "decorate the functions that it calls; they run from beginning to end",
    )


def cannot_walk(kind: str) -> TypeError:
    """Say that a container holds arrays of a workspace and cannot be rebuilt."""
    return _hinted(
        TypeError(f"cannot take arrays of a workspace out of a value of type {kind!r}"),
        "detach the arrays before they are put into it",
    )


def bad_alignment(value: int, *, field: str = "align") -> ValueError:
    """Say that the core does not give an alignment."""
    return not_allowed(field, f"a power of two from 1 to {MAX_ALIGNMENT}", value)


def over_maximum(field: str, nbytes: int, max_size: int) -> ValueError:
    """Say that a size is above the ceiling that `max_size` sets."""
    return ValueError(
        f"{field} must not exceed max_size: "
        f"{_count(nbytes, 'byte')} against {_count(max_size, 'byte')}"
    )


def nothing_fits() -> ValueError:
    """Say that a workspace that may not spill would never have a block."""
    return ValueError(
        "spill='fail' with learning='none' needs an initial_size: "
        "nothing could be allocated"
    )


def trimmed_for_good(field: str, value: str) -> ValueError:
    """Say that a block that is trimmed could not grow again."""
    return _hinted(
        ValueError(
            f"trim_to needs a block that can grow again, which {field}={str(value)!r} "
            "forbids"
        ),
        "use spill='reallocate' and a learning other than 'none'",
    )


def needs(field: str, value: object, other: str, needed: str) -> ValueError:
    """Say that a field means something only with one value of another."""
    shown = repr(str(value)) if isinstance(value, str) else repr(value)
    return ValueError(f"{field}={shown} needs {other}={str(needed)!r}")


def not_in_a_file(field: str, value: object) -> ValueError:
    """Say that a field means nothing where the block is a file."""
    shown = repr(str(value)) if isinstance(value, str) else repr(value)
    return ValueError(
        f"location='mmap' and {field}={shown} contradict each other: "
        "a file is one block of a fixed size"
    )


def file_without_size(path: str | None) -> ValueError:
    """Say that nothing tells how large a file is to be."""
    which = "no path is given" if path is None else f"the file {path!r} is empty"
    return ValueError(f"location='mmap' needs an initial_size: {which}")


def no_file(name: str, path: str) -> ValueError:
    """Say that a path leads to something that cannot be mapped."""
    return ValueError(
        f"workspace {name!r} cannot use {path!r} as its file: it is not a regular file"
    )


def file_too_large(path: str, nbytes: int, max_size: int) -> ValueError:
    """Say that a file that is there has more than `max_size`."""
    return over_maximum(f"the size of {path!r}", nbytes, max_size)


def file_in_use(name: str, path: str) -> WorkspaceStateError:
    """Say that another workspace, here or in another process, has the file."""
    return _hinted(
        WorkspaceStateError(
            f"workspace {name!r} cannot use the file {path!r}: another workspace has it"
        ),
        "`close()` that one, and drop the arrays that are in its file",
    )


def file_refused(name: str, path: str, nbytes: int, reason: int) -> OSError:
    """Say why the system does not give a file; an OSError of the kind that fits."""
    what = f"workspace {name!r} could not have a file of {_count(nbytes, 'byte')}"
    if reason == errno.ENOENT:
        what += " (no such directory)"
    return OSError(reason, f"{what}: {os.strerror(reason)}", path)


def size_is_fixed(name: str) -> WorkspaceStateError:
    """Say that a file has its size already."""
    return _cannot("learn the size of", name, "its block is a file of a fixed size")


def ring_escapes(escape: str) -> ValueError:
    """Say that arrays of a ring are meant to outlive their cycle."""
    return _hinted(
        ValueError(
            f"reset='ring' and escape={str(escape)!r} contradict each other: "
            "what a ring's cycle makes is meant to outlive it"
        ),
        "`on_busy='raise'` tells of what lives too long",
    )


def slot_busy(
    name: str,
    slot: int,
    slots: int,
    live: int,
    nbytes: int,
    generation: int,
    waited_s: float | None = None,
) -> WorkspaceStateError:
    """Say what lives in the slot whose turn it is; slots are counted from 0."""
    start = f"cannot enter workspace {name!r}"
    if waited_s is not None:
        start = f"could not enter workspace {name!r} within {waited_s:g} s"
    holds = f"{_count(live, 'array')}, {_count(nbytes, 'byte')}"
    return _hinted(
        WorkspaceStateError(
            f"{start}: slot {slot} of {slots} holds {holds}, made in generation "
            f"{generation}"
        ),
        "drop or `detach()` what came of that cycle, or give the ring more `slots`",
    )


def nothing_to_learn(name: str) -> WorkspaceStateError:
    """Say that no cycle has needed memory since the size was learned last."""
    return _hinted(
        _cannot("learn the size of", name, "no cycle has allocated since it last was"),
        "run a cycle that is like those to come, then call `learn()`",
    )


def unknown_field(field: str, closest: str | None, fields: Iterable[str]) -> TypeError:
    """Say that the configuration has no such field, and what is near."""
    near = f"; the closest is {closest!r}" if closest else ""
    error = TypeError(f"WorkspaceConfig has no field {field!r}{near}")
    return error if closest else _hinted(error, f"its fields are {', '.join(fields)}")


def config_clash(
    name: str, field: str, present: object, asked: object
) -> WorkspaceStateError:
    """Say that a workspace has another configuration than the one asked for."""
    return WorkspaceStateError(
        f"workspace {name!r} exists with {field}={_shown(present)}, "
        f"asked for {field}={_shown(asked)}"
    )
