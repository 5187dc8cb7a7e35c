# SPDX-License-Identifier: BSD-3-Clause
"""The examples, built against an installed wspace in a fresh environment, and run."""

import json
import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "WSPACE_SANITIZE" in os.environ, reason="the fresh build is not sanitized"
    ),
]


def run(*command, folder):
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A folder with the examples, and the Python of an environment with wspace."""
    folder = tmp_path_factory.mktemp("examples")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    run(*pip, ROOT, "Cython", "setuptools", "numba", folder=folder)
    run(*pip, "--no-deps", "heartpy", folder=folder)  # for its data
    shutil.copytree(EXAMPLES, folder / "examples")
    run(python, "setup.py", "-q", "build_ext", "--inplace", folder=folder / "examples")
    return folder / "examples", python


def test_the_compiled_examples_run(fresh):
    folder, python = fresh
    dense, sparse = map(json.loads, run(python, "run.py", folder=folder).splitlines())
    assert dense["faults"] == sparse["faults"] == 0
    assert dense["faults_malloc"] > 1000


def test_the_numba_example_runs(fresh):
    folder, python = fresh
    said = run(python, "numba_function/envelope.py", folder=folder)
    assert said.startswith("peak 0.98")


def test_the_core_builds_and_runs_without_python(tmp_path):
    said = run("make", "-C", ROOT / "csrc", "check", f"OUT={tmp_path}", folder=ROOT)
    lines = [line for line in said.splitlines() if line.startswith("100 frames")]
    assert len(lines) == 2  # linked with the static and with the shared library
    assert all("0 upstream calls after the second" in line for line in lines)
    assert (tmp_path / "stage" / "lib" / "pkgconfig" / "wspace.pc").exists()


def test_a_library_shows_only_the_functions_of_the_headers(tmp_path):
    run("make", "-C", ROOT / "csrc", f"OUT={tmp_path}", folder=ROOT)
    library = tmp_path / "libwspace.so"
    said = run("nm", "-D", "--defined-only", library, folder=ROOT)
    shown = {line.split()[-1] for line in said.splitlines()}
    headers = "".join(
        (ROOT / "csrc" / name).read_text() for name in ("wsp.h", "wsp_raw.h")
    )
    assert len(shown) > 50
    assert sorted(name for name in shown if f"{name}(" not in headers) == []
