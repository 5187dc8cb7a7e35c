# SPDX-License-Identifier: BSD-3-Clause
"""Compile C and C++ against the headers of the installed wspace, or others."""

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import wspace

HERE = Path(__file__).parent
WALL = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def compile_with(compiler, *arguments):
    """Run a compiler that must succeed and say nothing."""
    found = shutil.which(compiler)
    assert found, f"no {compiler}: the tests of the C API need a C and a C++ compiler"
    done = subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def flags(include=None):
    """Return what a module needs to include Python's headers and ours."""
    python = sysconfig.get_path("include")
    return ["-isystem", python, f"-I{include or wspace.get_include()}"]


def load(path, name):
    """Import an extension module from a file."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(folder, include=None, *extra, compiler="cc", standard="c11"):
    """Build the consumer; return the path of the module."""
    target = Path(folder) / "consumer.so"
    sanitize = os.environ.get("WSPACE_SANITIZE")
    if sanitize:
        extra = (*extra, f"-fsanitize={sanitize}")
    language = ["-x", "c++"] if compiler == "c++" else []
    compile_with(
        compiler,
        f"-std={standard}",
        "-O1",
        *("-shared", "-fPIC", "-pthread"),
        *WALL,
        *extra,
        *flags(include),
        *language,
        HERE / "capi" / "consumer.c",
        *("-o", target),
    )
    return target
