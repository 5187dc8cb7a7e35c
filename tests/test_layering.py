# SPDX-License-Identifier: BSD-3-Clause
"""Imports point down, C knows no Python, and one C file knows the system."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "wspace"
CSRC = ROOT / "csrc"

# From the lowest layer up; a module imports only from the layers below its own.
LAYERS = [
    ["_core"],  # declarations of the C core
    ["_errors"],
    ["_status"],
    ["_complaints", "_sizes", "_policies"],
    ["_config", "_stats", "_of_thread", "_summary", "_trimming"],
    ["_default"],
    ["_arena"],
    ["_scope"],
    ["_walk", "_creators", "_debug", "_sizing", "_ring"],
    ["_transfer"],
    ["_calls"],
    ["_workspace"],
    ["_registry", "_counters", "_process"],
    ["_scoped", "_staged_stats", "_prefetch"],
    ["_staged"],
    ["__init__"],
    ["foreign"],
    ["numba"],
    ["demo", "testing"],
    ["__main__"],
]
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}

CIMPORT = re.compile(
    r"^\s*(?:from\s+(?P<source>[\w.]+)\s+)?c?import\s+(?P<names>\(.*?\)|[^\n]*)",
    re.M | re.S,
)


def module_of(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def targets(source, names):
    """Return the modules of wspace that an import statement reads."""
    if source is None:
        return [
            name.partition(".")[2] or "__init__" for name in names if in_wspace(name)
        ]
    if source == "wspace":
        return [name if name in RANKS else "__init__" for name in names]
    return [source.split(".")[1]] if in_wspace(source) else []


def in_wspace(name):
    return name == "wspace" or name.startswith("wspace.")


def is_for_checkers(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def python_imports(node):
    """Yield what Python code imports, at its top or inside functions."""
    for child in ast.iter_child_nodes(node):
        if is_for_checkers(child):
            continue
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            yield from targets(child.module, [alias.name for alias in child.names])
        elif isinstance(child, ast.Import):
            yield from targets(None, [alias.name for alias in child.names])
        else:
            yield from python_imports(child)


def cython_imports(text):
    """Yield what Cython code imports and cimports."""
    text = re.sub(r'"""(?s:.*?)"""', "", text)  # examples import, too
    text = re.sub(r"#.*", "", text)
    for match in CIMPORT.finditer(text):
        names = re.findall(r"([\w.]+)(?:\s+as\s+\w+)?\s*(?:,|$|\))", match["names"])
        yield from targets(match["source"], names)


def imports_of(path):
    text = path.read_text()
    found = (
        cython_imports(text)
        if path.suffix != ".py"
        else python_imports(ast.parse(text))
    )
    return [name.split(".")[0] for name in found]


def sources(*suffixes):
    return sorted(p for suffix in suffixes for p in SOURCE.rglob(f"*{suffix}"))


def test_imports_are_found_in_every_kind_of_file():
    assert {"_errors", "_arena", "_scope"} <= set(imports_of(SOURCE / "_transfer.py"))
    assert {"_core", "_errors"} <= set(imports_of(SOURCE / "_arena.pyx"))
    assert {"_core", "_arena", "_errors"} <= set(imports_of(SOURCE / "_scope.pyx"))
    assert imports_of(SOURCE / "_arena.pxd") == ["_core"]
    assert "__init__" in imports_of(SOURCE / "demo" / "variants.py")


def test_every_module_has_its_layer():
    assert {module_of(path) for path in sources(".py", ".pyx", ".pxd")} == set(RANKS)


@pytest.mark.parametrize("path", sources(".py", ".pyx", ".pxd"), ids=lambda p: p.name)
def test_imports_point_down(path):
    here = module_of(path)
    for name in imports_of(path):
        if name == here and (path.parent != SOURCE or path.suffix == ".pyx"):
            continue  # within a package; a .pyx and its own .pxd
        assert RANKS[name] < RANKS[here], f"{here} imports {name}"


def test_all_modules_together_import_much():
    assert sum(len(imports_of(p)) for p in sources(".py", ".pyx", ".pxd")) > 30


# C


def without_comments(path):
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
    assert text.strip(), f"{path} is empty"
    return text


def includes(path):
    return re.findall(r'#\s*include\s+["<]([^">]+)[">]', without_comments(path))


STANDARD = {
    *("assert.h", "limits.h", "stdalign.h", "stdatomic.h", "stdbool.h", "stddef.h"),
    *("stdint.h", "stdio.h", "stdlib.h", "string.h"),
}
TOOLS = {"sanitizer/asan_interface.h", "valgrind/memcheck.h", "valgrind/valgrind.h"}
CORE = sorted(CSRC.glob("*.[ch]"))
BRIDGE = sorted(SOURCE.glob("*.[ch]"))


def test_there_is_c_to_look_at():
    assert len(CORE) > 10
    assert len(BRIDGE) >= 4
    assert "sys/mman.h" in includes(CSRC / "wsp_os.c")
    assert "Python.h" in includes(SOURCE / "_handler.h")


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.name)
def test_the_core_knows_no_python(path):
    assert not re.findall(r"\b_?(?:Py|NPY|npy)[A-Z_]\w*", without_comments(path))
    for header in includes(path):
        assert not header.startswith(("Python", "numpy"))


def is_the_system(path):
    return path.name == "wsp_os.c"


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.name)
def test_only_one_file_calls_the_operating_system(path):
    calls = re.findall(
        r"\b(mmap|munmap|mremap|madvise|mprotect|mincore|sysconf|getrlimit|getpid|fork"
        r"|open|close|read|write|sigaction|pthread_\w+)\s*\(",
        without_comments(path),
    )
    foreign = [
        h for h in includes(path) if h not in STANDARD | TOOLS and h[:3] != "wsp"
    ]
    assert bool(calls) == is_the_system(path), calls
    assert bool(foreign) == is_the_system(path), foreign


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.name)
def test_no_c_file_includes_a_c_file(path):
    assert not [header for header in includes(path) if header.endswith(".c")]


# The interfaces of Python and NumPy


@pytest.mark.parametrize(
    "path", [*BRIDGE, *sources(".pyx", ".pxd")], ids=lambda p: p.name
)
def test_only_public_interfaces_of_python_and_numpy_are_used(path):
    text = without_comments(path)
    assert not re.findall(r"\b(?:_Py\w+|PyUnstable_\w+|Py_BUILD_CORE\w*)", text)
    assert not re.findall(r"\b_?PyArray\w*_fields\b|\b_PyArray\w+|numpy\._core", text)
    for header in includes(path) + re.findall(r'extern from "([^"]+)"', text):
        if header.startswith("numpy/"):
            assert header in {"numpy/arrayobject.h", "numpy/ndarraytypes.h"}
        assert "internal/" not in header
        assert "cpython/" not in header


@pytest.mark.parametrize("path", BRIDGE, ids=lambda p: p.name)
def test_no_type_object_of_others_is_patched(path):
    pattern = r"Py(?!BaseObject)\w+_Type(?:\.|\)->)\w+(?:->\w+)*\s*=(?!=)"
    assert not re.findall(pattern, without_comments(path))


@pytest.mark.parametrize("path", sources(".py"), ids=lambda p: p.name)
def test_python_modules_use_public_numpy_only(path):
    text = path.read_text()
    assert not re.findall(r"\b(?:numpy|np)\._\w+|numpy\.core\b|np\.core\b", text)


def test_python_knows_no_pointer():
    for path in sources(".py"):
        if module_of(path) not in ("demo", "foreign", "numba"):
            assert "ctypes" not in path.read_text(), path
