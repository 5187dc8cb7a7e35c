# SPDX-License-Identifier: BSD-3-Clause
"""A fixture for pytest: ``pytest_plugins = ["wspace.testing.pytest_plugin"]``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wspace.testing import assert_none_open

__all__ = ["no_workspace_open"]


@pytest.fixture
def no_workspace_open() -> Iterator[None]:
    """Fail a test that begins or ends with a workspace open on its thread.

    ``pytestmark = pytest.mark.usefixtures("no_workspace_open")`` at the top of a file
    asks for it in all of its tests.
    """
    assert_none_open("at the beginning of the test")
    yield
    assert_none_open("at the end of the test")
