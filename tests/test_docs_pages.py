# SPDX-License-Identifier: BSD-3-Clause
"""Pages in docs/: their examples run, show what they say, and lead somewhere."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import wspace
import wspace.testing

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


def shown(page):
    """Return the lines that comments below a print promise."""
    found = []
    for block in blocks(page):
        for match in re.finditer(r"^ *print\(.*\)\n((?: *# .*\n)+)", block, re.M):
            found += [line.strip()[2:] for line in match[1].splitlines()]
    return found


WITH_EXAMPLES = [page for page in PAGES if shown(page)]


def test_there_are_pages():
    without = {page.name for page in PAGES} - {page.name for page in WITH_EXAMPLES}
    assert without == {"benchmarks.md", "c-api.md"}  # the latter needs a compiler
    assert {"modes.md", "policies.md"} < {page.name for page in WITH_EXAMPLES}
    assert len(shown(ROOT / "docs" / "modes.md")) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_one_after_the_other(page, run_python, tmp_path):
    out = run_python("\n".join(blocks(page))).splitlines()
    for line in shown(page):
        assert line in out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_that_a_page_mentions_exist(page):
    text = page.read_text()
    for name in set(re.findall(r"\bwspace\.([A-Za-z]\w*)", text)):
        assert hasattr(wspace, name) or find_spec(f"wspace.{name}"), name
    run = wspace.StagedWorkspace()
    for name in set(re.findall(r"\brun\.([A-Za-z]\w*)", text)):
        assert hasattr(run, name), name


def test_the_measured_table_has_a_row_for_each_mode():
    text = (ROOT / "docs" / "modes.md").read_text()
    measured = text.split("<!-- measured -->")[1]
    measured = measured.split("<!-- end -->")[0]
    for mode in wspace.WorkspaceMode:
        assert re.search(rf"^\| `{mode.value}` \| \d+ ms ", measured, re.M)
