# SPDX-License-Identifier: BSD-3-Clause
"""What is public: one path to each object, and documentation on it."""

import importlib
import inspect
import pkgutil
import re
from enum import Enum
from importlib import metadata
from types import ModuleType

import pytest

import wspace

NAMES = sorted(wspace.__all__)
SECTIONS = [
    "Parameters",
    "Attributes",
    "Returns",
    "Yields",
    "Raises",
    "See Also",
    "Notes",
    "Examples",
]
METHODS = sorted(
    f"{kind}.{name}"
    for kind in (
        *("Workspace", "WorkspaceConfig", "WorkspaceStats", "Array", "Counters"),
        *("NamedStats", "ProcessStats", "StagedStats", "StagedWorkspace", "StageStats"),
        *("Prefetcher", "PrefetchStats"),
    )
    for klass in getattr(wspace, kind).__mro__
    if klass.__module__.partition(".")[0] == "wspace"
    for name in vars(klass)
    if not name.startswith("_")
)


def find(path):
    found = wspace
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    return found


def sections(doc):
    """Return the sections of a numpydoc docstring by name, in their order."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.cleandoc(doc), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def parameters(function):
    signature = inspect.signature(function)
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = [marks.get(p.kind, "") + name for name, p in signature.parameters.items()]
    return [name for name in found if name != "self"]


def documented(section):
    names = re.findall(r"^(\S[^:\n]*?)(?: :.*)?$", section, flags=re.M)
    return [each.strip() for name in names for each in name.split(",")]


def public_modules():
    """Yield the modules that can be named without an underscore."""
    yield wspace
    for info in pkgutil.walk_packages(wspace.__path__, "wspace."):
        if not any(part.startswith("_") for part in info.name.split(".")):
            yield importlib.import_module(info.name)


# Names


def test_all_names_exist_are_sorted_and_stated_once():
    assert sorted(set(wspace.__all__), key=str) == NAMES
    assert list(wspace.__all__) == sorted(wspace.__all__)
    assert not [name for name in NAMES if name.startswith("_")]
    assert all(hasattr(wspace, name) for name in NAMES)
    assert len(NAMES) > 20


def test_nothing_else_is_public():
    visible = {
        name
        for name, value in vars(wspace).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert visible == set(NAMES)
    modules = {
        name
        for name, value in vars(wspace).items()
        if isinstance(value, ModuleType) and not name.startswith("_")
    }
    assert modules <= {"demo", "foreign", "numba", "testing"}


def test_a_star_import_gives_all_of_it():
    names = {}
    exec("from wspace import *", names)
    assert set(NAMES) == set(names) - {"__builtins__"}


def test_each_public_object_is_reached_by_one_public_path():
    paths = {}
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            paths.setdefault(id(getattr(module, name)), []).append((module, name))
    assert len(paths) >= len(NAMES)
    assert [path for path in paths.values() if len(path) != 1] == []


def test_the_documented_interface_is_there():
    functions = (
        "all_workspaces any_open bytes_for counters current destroy destroy_all detach "
        "detached exists get get_debug get_default_config get_include in_scope "
        "is_attached is_open "
        "is_stale keep leverage leverage_or_detach leverage_to migrate names "
        "no_prefetch owner prefetch scope_out scoped set_debug set_default_config "
        "stats summary"
    )
    assert set(functions.split()) == {name for name in NAMES if name.islower()}
    methods = (
        "arange array asarray borrow close empty empty_like eye full full_like "
        "generation is_open learn linspace name ones ones_like paused release scoped "
        "slot_stats stats trim zeros zeros_like"
    )
    found = {name for name in dir(wspace.Workspace("a")) if not name.startswith("_")}
    assert found == {*methods.split(), "config"}


def test_errors_form_one_tree():
    errors = [getattr(wspace, name) for name in NAMES if name.endswith("Error")]
    assert all(issubclass(error, wspace.WorkspaceError) for error in errors)
    assert issubclass(wspace.WorkspaceError, RuntimeError)
    assert issubclass(wspace.WorkspaceFullError, MemoryError)


def test_the_version_is_that_of_the_package():
    assert wspace.__version__ == metadata.version("wspace")


# Documentation


@pytest.mark.parametrize("name", NAMES)
def test_a_public_object_has_a_summary_and_an_example(name):
    doc = getattr(wspace, name).__doc__
    summary, *rest = inspect.cleandoc(doc).split("\n")
    assert re.fullmatch(r"[A-Z`].{10,73}\.", summary), summary
    assert not rest or rest[0] == ""
    assert ">>> " in sections(doc).get("Examples", ""), "no example"


@pytest.mark.parametrize("name", METHODS)
def test_a_public_method_has_a_summary(name):
    member = find(name)
    if type(member).__name__ == "member_descriptor":  # of a dataclass with slots
        assert name.split(".")[1] in find(name.split(".")[0]).__doc__
        return
    if name in ("Workspace.config", "Workspace.name"):
        return  # as given: among the parameters
    if name.startswith("Counters."):
        assert name.split(".")[1] in sections(wspace.Counters.__doc__)["Attributes"]
        return
    summary = inspect.cleandoc(member.__doc__).split("\n")[0]
    assert re.fullmatch(r"[A-Z`].{10,73}[.;]?.*\.", summary), summary
    assert len(summary) <= 79


@pytest.mark.parametrize("name", NAMES + METHODS)
def test_sections_are_known_and_in_order(name):
    doc = getattr(find(name), "__doc__", None) or ""
    found = list(sections(doc))
    assert found == [section for section in SECTIONS if section in found]


FUNCTIONS = [n for n in NAMES if inspect.isroutine(getattr(wspace, n))]


@pytest.mark.parametrize("name", [*FUNCTIONS, "Workspace", "WorkspaceConfig"])
def test_parameters_are_documented_as_they_are(name):
    target = getattr(wspace, name)
    found = sections(target.__doc__)
    assert documented(found.get("Parameters", "")) == parameters(target)
    if inspect.isroutine(target) and not name.startswith("destroy"):
        assert "Returns" in found


def test_fields_of_the_statistics_are_documented_as_they_are():
    found = documented(sections(wspace.WorkspaceStats.__doc__)["Attributes"])
    assert found == list(inspect.signature(wspace.WorkspaceStats).parameters)


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith("Policy")])
def test_members_of_policies_are_documented_as_they_are(name):
    kind = getattr(wspace, name)
    assert issubclass(kind, Enum)
    found = documented(sections(kind.__doc__)["Attributes"])
    assert found == [member.name for member in kind]
