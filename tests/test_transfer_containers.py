# SPDX-License-Identifier: BSD-3-Clause
"""Containers that hold arrays of a workspace, and are detached."""

import collections
import ctypes
import dataclasses
import functools
import gc
import sys
import types
import typing

import numpy as np
import pytest

import wspace


class Pair(typing.NamedTuple):
    first: object
    second: object = 2


@dataclasses.dataclass
class Plain:
    x: object
    n: int = 1
    cache: object = dataclasses.field(init=False, repr=False, default=None)


@dataclasses.dataclass
class TwoFields:
    x: object
    y: object


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: object
    n: int = 1

    def __post_init__(self):
        assert self.n == 1, "called again with what was replaced"


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    x: object
    n: int = 1


@dataclasses.dataclass(kw_only=True)
class WithInitOnly:
    x: object
    seed: dataclasses.InitVar[int]

    def __post_init__(self, seed):
        self.seeded = seed


class TaggedList(list):
    tag = None


class TaggedTuple(tuple):
    __slots__ = ()


class Couple(tuple):
    """A tuple that is made of its items, one by one."""

    __slots__ = ()

    def __new__(cls, first, second):
        return super().__new__(cls, (first, second))


class TaggedDict(dict):
    tag = None


def default_dict(x):
    return collections.defaultdict(list, a=x)


# How the container is made, and how the array is read out of it.
CONTAINERS = {
    "list": (lambda x: [1, x, "s"], lambda c: c[1]),
    "tuple": (lambda x: (1, x), lambda c: c[1]),
    "dict": (lambda x: {"a": x, 3: None}, lambda c: c["a"]),
    "deque": (lambda x: collections.deque([x, 1], maxlen=3), lambda c: c[0]),
    "namedtuple": (lambda x: Pair(x), lambda c: c.first),
    "dataclass": (lambda x: Plain(x), lambda c: c.x),
    "frozen": (lambda x: Frozen(x), lambda c: c.x),
    "slots": (lambda x: Slots(x), lambda c: c.x),
    "InitVar": (lambda x: WithInitOnly(x=x, seed=5), lambda c: c.x),
    "OrderedDict": (lambda x: collections.OrderedDict(b=1, a=x), lambda c: c["a"]),
    "defaultdict": (default_dict, lambda c: c["a"]),
    "Counter": (lambda x: collections.Counter({"a": x}), lambda c: c["a"]),
    "list subclass": (lambda x: TaggedList([x]), lambda c: c[0]),
    "tuple subclass": (lambda x: TaggedTuple([x]), lambda c: c[0]),
    "tuple of items": (lambda x: Couple(1, x), lambda c: c[1]),
    "dict subclass": (lambda x: TaggedDict(a=x), lambda c: c["a"]),
    "nested": (lambda x: {"a": [Pair((Frozen(x),))]}, lambda c: c["a"][0].first[0].x),
}
EACH = pytest.mark.parametrize(
    ("build", "read"), CONTAINERS.values(), ids=CONTAINERS.keys()
)


@EACH
@pytest.mark.parametrize("kind", ["captured", "checked"])
def test_a_container_is_copied_with_its_arrays_detached(build, read, kind):
    with wspace.Workspace() as ws:
        x = np.ones(1000) if kind == "captured" else ws.ones(1000)
        before = build(x)
        after = wspace.detach(before)
        assert type(after) is type(before)
        assert after is not before
        assert read(before) is x
        assert type(read(after)) is np.ndarray
        assert not wspace.is_attached(read(after))
    assert read(after).sum() == 1000


@EACH
@pytest.mark.parametrize(
    "function",
    [
        wspace.detach,
        wspace.keep,
        wspace.leverage,
        functools.partial(wspace.leverage_to, workspace="outer"),
        functools.partial(wspace.leverage_or_detach, workspace="outer"),
    ],
    ids=["detach", "keep", "leverage", "leverage_to", "leverage_or_detach"],
)
def test_a_container_that_does_not_change_is_returned_as_it_is(build, read, function):
    with wspace.Workspace("outer"), wspace.Workspace():
        container = build(np.ones(3))
        assert function(container) is container
        assert type(read(container)) is np.ndarray


def test_what_else_is_in_a_container_stays_the_same_object():
    with wspace.Workspace() as ws:
        other, plain = object(), np.ones(3)
        out = wspace.detach({"x": ws.ones(3), "other": other, "plain": [plain]})
        assert list(out) == ["x", "other", "plain"]
        assert out["other"] is other
        assert out["plain"][0] is plain


def test_subclasses_bring_their_attributes():
    with wspace.Workspace() as ws:
        for container in (TaggedList([ws.ones(3)]), TaggedDict(a=ws.ones(3))):
            container.tag = "t"
            assert wspace.detach(container).tag == "t"
        counts = collections.defaultdict(int, a=ws.ones(3))
        assert wspace.detach(counts)["new"] == 0
        queue = collections.deque([ws.ones(3)], maxlen=7)
        assert wspace.detach(queue).maxlen == 7
        assert wspace.detach(WithInitOnly(x=ws.ones(3), seed=5)).seeded == 5


def test_fields_that_are_not_set_stay_so():
    with wspace.Workspace() as ws:
        value = TwoFields(ws.ones(3), 1)
        del value.y
        out = wspace.detach(value)
        assert type(out.x) is np.ndarray
        assert not hasattr(out, "y")


# Shared and self-referential


def test_a_container_that_is_shared_stays_shared():
    with wspace.Workspace() as ws:
        shared = [ws.ones(3)]
        out = wspace.detach((shared, {"again": shared}))
        assert out[1]["again"] is out[0]


def test_an_array_that_is_shared_is_copied_once():
    with wspace.Workspace() as ws:
        x = ws.ones(1000)
        out = wspace.detach({"weights": x, "tied": [x]})
        assert out["tied"][0] is out["weights"]


@pytest.mark.parametrize(
    ("make", "inner"),
    [
        (lambda x: [x], lambda c: c),
        (lambda x: {0: x}, lambda c: c),
        (lambda x: (x, []), lambda c: c[1]),
    ],
    ids=["list", "dict", "tuple"],
)
def test_a_container_that_holds_itself_holds_its_copy_afterwards(make, inner):
    with wspace.Workspace() as ws:
        container = make(ws.ones(3))
        hook = inner(container)
        hook.append(container) if isinstance(hook, list) else hook.update(me=container)
        out = wspace.detach(container)
        found = inner(out)["me"] if isinstance(hook, dict) else inner(out)[-1]
        is_out = found is out
        hook.clear()
        inner(out).clear()
        del container, hook, found, out
        gc.collect()
        assert is_out


def test_an_unchanged_container_that_holds_itself_is_returned_as_it_is():
    loop = [1]
    loop.append(loop)
    assert wspace.detach(loop) is loop
    loop.clear()


# Arrays of objects


@pytest.mark.parametrize("size", [3, 1000])
def test_arrays_in_an_object_array_are_detached(size):
    with wspace.Workspace() as ws:
        before = np.empty(size, object)
        before[0], before[1], before[2] = ws.ones(3), [np.ones(1000)], "s"
        after = wspace.detach(before)
        assert not wspace.is_attached(after)
        assert type(after[0]) is np.ndarray
        assert not wspace.is_attached(after[1][0])
        assert after[2] == "s"
        assert type(before[0]) is wspace.Array
        assert wspace.owner(before[1][0]) is ws
    assert after[0].sum() == 3


def test_an_object_array_without_attached_arrays_is_returned_as_it_is():
    array = np.array([np.ones(3), "s", None], object)
    with wspace.Workspace():
        assert wspace.detach(array) is array


# Sealed containers


@pytest.mark.parametrize(
    ("seal", "name"),
    [
        (lambda x: types.MappingProxyType({"a": x}), "mappingproxy"),
        (lambda x: types.SimpleNamespace(a=x), "SimpleNamespace"),
        (lambda x: {"a": x}.values(), "dict_values"),
        (lambda x: {"a": x}.items(), "dict_items"),
        (lambda x: memoryview(x), "memoryview"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_container_that_cannot_be_rebuilt_raises(seal, name, nested):
    with wspace.Workspace() as ws:
        sealed = seal(ws.ones(1000))
        with pytest.raises(TypeError) as caught:
            wspace.detach([1, sealed] if nested else sealed)
        sealed = None
    assert str(caught.value) == (
        f"cannot take arrays of a workspace out of a value of type {name!r}"
    )
    assert caught.value.__notes__ == [
        "hint: detach the arrays before they are put into it"
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: types.MappingProxyType({"a": x}),
        lambda x: types.SimpleNamespace(a=x),
        lambda x: {"a": x}.values(),
        lambda x: memoryview(x),
    ],
)
def test_a_container_that_cannot_be_rebuilt_passes_without_arrays_of_a_workspace(make):
    sealed = make(np.ones(1000))
    with wspace.Workspace():
        assert wspace.detach(sealed) is sealed


# Objects of other kinds


class Holder:
    def __init__(self, x):
        self.x = x


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        1.5,
        "text",
        b"bytes",
        range(3),
        {1, 2},
        frozenset([1]),
        object(),
        Holder(np.ones(1000)),
        Plain,
        np.float64(3),
        np.dtype("f4"),
        len,
        (ctypes.c_double * 3)(),
        type("Odd", (), {"__module__": None})(),
        sys.version_info,
        np.polynomial.Polynomial([1, 2]),
        (i for i in ()),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("name", ["detach", "keep", "leverage", "migrate"])
def test_an_object_without_arrays_is_left_alone(value, name):
    with wspace.Workspace("outer"), wspace.Workspace():
        assert getattr(wspace, name)(value) is value
        assert getattr(wspace, name)([value])[0] is value


def test_a_stale_array_in_a_container_raises_and_nothing_is_changed():
    with wspace.Workspace() as ws:
        stale = ws.ones(3)
    with ws:
        fresh = ws.ones(3)
        container = [fresh, {"a": (stale,)}]
        with pytest.raises(wspace.StaleArrayError):
            wspace.detach(container)
        assert container[0] is fresh
        with pytest.raises(wspace.StaleArrayError):
            wspace.detach(types.SimpleNamespace(a=stale))
