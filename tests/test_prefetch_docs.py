# SPDX-License-Identifier: BSD-3-Clause
"""Examples of docs/prefetch.md run, and show what they say; each with its library."""

import importlib.util
import re
from pathlib import Path

import pytest

import wspace

PAGE = Path(__file__).parents[1] / "docs" / "prefetch.md"
FENCE = re.compile(r"^```python ?(\w*)\n(.*?)^```$", re.M | re.S)
BLOCKS = FENCE.findall(PAGE.read_text())
PLAIN = "\n".join(code for library, code in BLOCKS if not library)
LIBRARIES = {library: [] for library, _ in BLOCKS if library}
for library, code in BLOCKS:
    if library:
        LIBRARIES[library].append(code)


def test_there_is_an_adapter_for_each_library():
    assert set(LIBRARIES) == {"torch", "datasets", "h5py", "zarr", "PIL"}
    assert "def load(" in PLAIN


@pytest.mark.slow
def test_the_examples_without_libraries_print_what_they_say(run_python):
    shown = re.findall(r"^ *print\(.*\)\n +# (.*)$|^print\(.*\)\n# (.*)$", PLAIN, re.M)
    assert len(shown) == 3
    assert run_python(PLAIN).splitlines() == [one or other for one, other in shown]


@pytest.mark.slow
@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_an_adapter_works(run_python, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    # What the libraries themselves warn of is theirs.
    head = "import warnings\nwarnings.simplefilter('ignore')\n"
    run_python(head + "import numpy as np\nimport wspace\n" + LIBRARIES[library][0])


def test_names_that_the_page_mentions_exist():
    text = PAGE.read_text()
    for name in set(re.findall(r"\bwspace\.([A-Za-z]\w*)", text)):
        assert hasattr(wspace, name), name
    for name in set(re.findall(r"\bstats\.([a-z]\w*)", text)):
        assert name in wspace.PrefetchStats.__dataclass_fields__, name
