# SPDX-License-Identifier: BSD-3-Clause
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self, final

from typing_extensions import disjoint_base

from wspace._arena import Arena
from wspace._workspace import Workspace

WATCH_ALLOCATIONS: Final[int]
WATCH_SPILLS: Final[int]
WATCH_CARRIED: Final[int]
WATCH_ESCAPES: Final[int]

@disjoint_base
class Scope:
    _watch: int
    def __init__(self, name: str, capture: bool) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def _arena(self) -> Arena: ...
    @property
    def _capture(self) -> bool: ...
    def _renew(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def _check_open(self, action: str = "allocate in") -> None: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def generation(self) -> int: ...
    def borrow(self) -> AbstractContextManager[Self, None]: ...

@final
class Frame: ...

@final
class Borrow:
    def __new__(cls, scope: Scope) -> Self: ...
    def __enter__(self) -> Scope: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

@final
class ScopeOut:
    def __enter__(self) -> None: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

def scope_out() -> AbstractContextManager[None, None]: ...
def current() -> Workspace | None: ...
def open_scopes() -> list[Workspace]: ...
