# SPDX-License-Identifier: BSD-3-Clause
"""What type checkers are told, checked against the sources and the binary."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.types, pytest.mark.slow]


def check(*arguments):
    """Run a module of mypy's; return how many files it says to have checked."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    success = re.search(r"no issues found in (\d+)", done.stdout)
    assert success, done.stdout
    return int(success[1])


def test_the_sources_are_typed_throughout():
    modules = list((ROOT / "src" / "wspace").rglob("*.py"))
    stubs = list((ROOT / "src" / "wspace").glob("*.pyi"))
    typing_tests = list((ROOT / "tests" / "typing").glob("*.py"))
    assert modules
    assert stubs
    assert typing_tests
    assert check("mypy") == len(modules + stubs + typing_tests)


def test_the_stubs_say_what_the_binary_has():
    options = ["--mypy-config-file", "pyproject.toml"]
    modules = list((ROOT / "src" / "wspace").rglob("*.py"))
    stubs = list((ROOT / "src" / "wspace").glob("*.pyi"))
    folders = ["include", "include/wspace"]  # of headers; namespaces to Python
    assert check("mypy.stubtest", *options, "wspace") == len(modules + stubs + folders)


def test_a_wrong_type_is_found(tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text("import wspace\nwspace.get(3)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(probe)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "[arg-type]" in done.stdout


@pytest.mark.parametrize("pyx", ["_arena", "_scope"])
def test_each_extension_module_has_a_stub_without_docstrings(pyx):
    source = ROOT / "src" / "wspace"
    assert (source / f"{pyx}.pyx").is_file()
    assert '"""' not in (source / f"{pyx}.pyi").read_text()
    assert (source / "py.typed").is_file()
