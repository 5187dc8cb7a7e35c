# SPDX-License-Identifier: BSD-3-Clause
"""Random blocks, debug modes and transfers in several threads; see fuzz_blocks.py."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_blocks.py")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_nothing_crashes_and_no_array_shows_the_bytes_of_another(seed):
    command = [sys.executable, "-X", "faulthandler", str(SCRIPT), str(seed), "4000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done 3\n", "")
