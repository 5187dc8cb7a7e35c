# SPDX-License-Identifier: BSD-3-Clause
"""Examples in the documentation run, and show what they say."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import wspace
import wspace.testing

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MODULES = ["wspace"] + [
    info.name for info in pkgutil.walk_packages(wspace.__path__, "wspace.")
]


def docstring_tests():
    """Find the examples of all modules, those that are compiled included."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for name in MODULES:
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        for test in finder.find(module, name):
            if test.examples:
                # A name that a module imports from another one is found there, too.
                found.setdefault(test.docstring, test)
    return list(found.values())


DOCSTRINGS = docstring_tests()


@pytest.mark.parametrize("test", DOCSTRINGS, ids=lambda test: test.name)
def test_an_example_in_a_docstring_shows_what_happens(test):
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
    assert runner.tries == len(test.examples) > 0


def test_all_examples_of_the_sources_are_found():
    written = 0
    for suffix in ("py", "pyx", "c"):
        for path in (ROOT / "src" / "wspace").rglob(f"*.{suffix}"):
            written += len(re.findall(r'^\s*"?>>> ', path.read_text(), flags=re.M))
    assert written == sum(len(test.examples) for test in DOCSTRINGS)
    assert written > 100
    compiled = [test for test in DOCSTRINGS if test.name.startswith("wspace._scope.")]
    assert len(compiled) >= 3


# README


def blocks(language, path=README):
    found = re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.M | re.S)
    assert found
    return found


@pytest.mark.slow
def test_the_first_example_of_the_readme_runs_by_itself(run_python):
    out = run_python(blocks("python")[0])
    assert "retained" in out


@pytest.mark.slow
def test_the_examples_of_the_readme_run_one_after_the_other(run_python):
    out = run_python("\n".join(blocks("python")))
    assert len(blocks("python")) >= 2
    assert out


@pytest.mark.slow
def test_what_the_readme_shows_in_comments_is_what_is_printed(run_python):
    out = run_python("\n".join(blocks("python")))
    shown = [
        match[1]
        for block in blocks("python")
        for match in re.finditer(r"^ *print\(.*\)\n +# (.*)$", block, re.M)
    ]
    assert shown
    for line in shown:
        assert line in out.splitlines()


def test_names_that_the_readme_mentions_exist():
    text = README.read_text()
    for name in set(re.findall(r"\bwspace\.([A-Za-z]\w*)", text)):
        assert hasattr(wspace, name), name
    ws = wspace.Workspace()
    for name in set(re.findall(r"\bws\.([A-Za-z]\w*)", text)):
        assert hasattr(ws, name), name


def test_the_readme_states_the_versions_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = project["requires-python"].removeprefix(">=")
    (numpy,) = (d for d in project["dependencies"] if d.startswith("numpy"))
    text = README.read_text()
    assert f"CPython {python} or later" in text
    assert f"NumPy {numpy.removeprefix('numpy>=')} or later" in text


def test_the_two_commands_of_the_readme_are_the_promised_ones():
    assert blocks("sh") == [
        "pip install '.[demo]' && python -m wspace demo\n",
        "pip install '.[test]' && python -m pytest\n",
    ]


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")), ids=lambda p: p.name)
def test_links_to_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.slow
def test_the_command_line_says_what_it_can_do():
    command = [sys.executable, "-m", "wspace", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "demo" in done.stdout
