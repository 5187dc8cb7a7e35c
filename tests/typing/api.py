# SPDX-License-Identifier: BSD-3-Clause
"""What type checkers are told of the public interface; read by mypy, not run."""

from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import wspace
from wspace import Array, Workspace, WorkspaceConfig, WorkspaceStats

Floats = npt.NDArray[np.float64]
Checked = Array[tuple[int, int], np.dtype[np.float32]]


# Workspaces


def making_one() -> None:
    assert_type(Workspace(), Workspace)
    assert_type(Workspace("a", WorkspaceConfig(), max_size="1MiB"), Workspace)
    assert_type(wspace.get("a"), Workspace)
    assert_type(wspace.get("a", WorkspaceConfig(), spill="fail"), Workspace)
    Workspace("a", initial_sise="1MiB")  # type: ignore[call-arg]
    Workspace("a", checked="yes")  # type: ignore[arg-type]


def opening_one(ws: Workspace) -> None:
    with ws as opened:
        assert_type(opened, Workspace)
    with ws.borrow() as borrowed:
        assert_type(borrowed, Workspace)
    with wspace.scope_out() as nothing:
        assert_type(nothing, None)
    assert_type(wspace.current(), Workspace | None)
    assert_type(wspace.destroy_all(), None)


def asking_one(ws: Workspace) -> None:
    assert_type(ws.name, str)
    assert_type(ws.config, WorkspaceConfig)
    assert_type(ws.is_open, bool)
    assert_type(ws.generation, int)
    assert_type(ws.stats, WorkspaceStats)
    assert_type(ws.stats.high_water - ws.stats.used, int)
    assert_type(ws.trim(), int)
    assert_type(ws.release(), None)
    assert_type(ws.close(), None)
    ws.name = "b"  # type: ignore[misc]


# Configuration


def configuring() -> None:
    config = WorkspaceConfig(initial_size="1MiB", learning="none", record=True)
    assert_type(config.initial_size, int)
    assert_type(config.max_size, int | None)
    assert_type(config.learning, wspace.LearningPolicy)
    assert_type(config.allocation, wspace.AllocationPolicy)
    assert_type(config.spill, wspace.SpillPolicy)
    assert_type(config.escape, wspace.EscapePolicy)
    assert_type(config.overallocation, float)
    assert_type(config.replace(escape=wspace.EscapePolicy.RAISE), WorkspaceConfig)
    config.record = False  # type: ignore[misc]


# Creators


def creating(ws: Workspace) -> None:
    made: list[Array] = [
        ws.empty(3),
        ws.zeros((2, 3), np.float32, "F"),
        ws.ones([2, 3], dtype="i4"),
        ws.full((2, 3), 1.5, order="F"),
        ws.arange(3),
        ws.arange(0, 1, 0.25, dtype=np.float32),
        ws.linspace(0, 1, 5, endpoint=False, dtype=float),
        ws.eye(3, 4, 1),
        ws.array([[1, 2], [3, 4]], float, order="F", ndmin=3),
        ws.asarray((1.0, 2.0)),
    ]
    like: list[Array] = [
        ws.empty_like(made[0], shape=(4,)),
        ws.zeros_like([1, 2], float),
        ws.ones_like(made[0], order="K"),
        ws.full_like(made[0], 2.5, dtype="f4"),
    ]
    assert_type(ws.zeros(3), Array[Any, Any])
    assert_type(like[0].detach(), np.ndarray[tuple[Any, ...], np.dtype[Any]])
    ws.zeros(3, order="Z")  # type: ignore[arg-type]


def a_checked_array_is_an_ndarray(x: Checked) -> None:
    plain: npt.NDArray[np.float32] = x
    print(plain)
    assert_type(x.detach(), np.ndarray[tuple[int, int], np.dtype[np.float32]])
    assert_type(x.shape, tuple[int, int])
    assert_type(x.dtype, np.dtype[np.float32])


# Out of a workspace


def detaching(x: Floats, checked: Checked, ws: Workspace) -> None:
    assert_type(wspace.detach(x), Floats)
    assert_type(wspace.keep(x), Floats)
    assert_type(wspace.leverage(x), Floats)
    assert_type(wspace.leverage_to(x, ws), Floats)
    assert_type(wspace.leverage_to(x, "a"), Floats)
    assert_type(wspace.leverage_or_detach(x, "a"), Floats)
    assert_type(wspace.migrate(x), Floats)
    detached = wspace.detach(checked)
    assert_type(detached, np.ndarray[tuple[int, int], np.dtype[np.float32]])
    kept = wspace.keep(checked)
    assert_type(kept, np.ndarray[tuple[int, int], np.dtype[np.float32]])


def detaching_containers(pair: tuple[Floats, int], named: dict[str, Floats]) -> None:
    assert_type(wspace.detach(pair), tuple[Floats, int])
    assert_type(wspace.keep([pair]), list[tuple[Floats, int]])
    assert_type(wspace.leverage(named), dict[str, Floats])


def asking_an_array(x: Floats) -> None:
    assert_type(wspace.owner(x), Workspace | None)
    assert_type(wspace.is_attached(x), bool)
    assert_type(wspace.is_stale(x), bool)
    assert_type(wspace.in_scope(x), bool)


# Decorators keep signatures


@wspace.scoped
def bare(x: Floats, *, n: int = 1) -> Floats:
    return x * n


@wspace.scoped("name", WorkspaceConfig(), result="keep", max_size="1GiB")
def with_arguments(x: Floats, *, n: int = 1) -> Floats:
    return x * n


@wspace.scoped()
def empty_parentheses(x: Floats) -> tuple[Floats, int]:
    return x, 1


def of_a_workspace(ws: Workspace) -> None:
    @ws.scoped
    def inner(x: Floats) -> float:
        return float(x.sum())

    @ws.scoped(result="leverage")
    def configured(x: Floats) -> float:
        return float(x.sum())

    assert_type(inner(np.zeros(3)), float)
    assert_type(configured(np.zeros(3)), float)
    inner("no array")  # type: ignore[arg-type]
    configured()  # type: ignore[call-arg]


def decorated(x: Floats) -> None:
    assert_type(bare(x, n=2), Floats)
    assert_type(with_arguments(x, n=2), Floats)
    assert_type(empty_parentheses(x), tuple[Floats, int])
    bare(x, 2)  # type: ignore[call-arg]
    with_arguments(x, m=2)  # type: ignore[call-arg]
    as_value: Callable[[Floats], tuple[Floats, int]] = empty_parentheses
    print(as_value(x))


class Model:
    @wspace.scoped
    def step(self, x: Floats) -> Floats:
        return x + 1.0

    @staticmethod
    @wspace.scoped("norm")
    def norm(x: Floats) -> float:
        return float(x.sum())


def methods(model: Model, x: Floats) -> None:
    assert_type(model.step(x), Floats)
    assert_type(Model.norm(x), float)


# Errors


def errors(error: wspace.WorkspaceFullError) -> None:
    as_memory_error: MemoryError = error
    as_workspace_error: wspace.WorkspaceError = error
    print(as_memory_error, as_workspace_error)


# The manager, counters, debug modes


def managing() -> None:
    assert_type(wspace.exists("a"), bool)
    assert_type(wspace.is_open("a"), bool)
    assert_type(wspace.any_open(), bool)
    assert_type(wspace.names(), list[str])
    assert_type(wspace.all_workspaces(), list[Workspace])
    assert_type(wspace.destroy("a"), None)
    assert_type(wspace.get_default_config(), WorkspaceConfig)
    assert_type(wspace.set_default_config(record=True), WorkspaceConfig)
    wspace.set_default_config(initial_sise=3)  # type: ignore[call-arg]


def counting(ws: Workspace) -> None:
    with wspace.counters(ws) as counted:
        assert_type(counted, wspace.Counters)
    assert_type(counted.peak + counted.spills, int)
    assert_type(wspace.stats().process_resident, int | None)
    assert_type(wspace.stats().workspaces[0].stats, WorkspaceStats)
    assert_type(wspace.summary(), str)
    assert_type(wspace.bytes_for((3, 4), np.float32), int)
    wspace.counters("a")  # type: ignore[arg-type]


def debugging(ws: Workspace) -> None:
    with wspace.set_debug("poison") as mode:
        assert_type(mode, wspace.DebugMode)
    assert_type(wspace.get_debug(), wspace.DebugMode)
    with ws.paused() as paused:
        assert_type(paused, Workspace)


# Staged programs


def staging(x: Floats) -> None:
    run = wspace.StagedWorkspace("a", "single", max_size="1GiB")
    with run as opened, run.stage("b"), run.results():
        assert_type(opened, wspace.StagedWorkspace)
    assert_type(run.result(x), Floats)
    assert_type(run.mode, wspace.WorkspaceMode)
    run.mode = "none"
    assert_type(run.current, Workspace | None)
    assert_type(run.workspaces, tuple[Workspace, Workspace])
    assert_type(run.stats.stages["b"].copied, int)
    wspace.StagedWorkspace("a", mode=3)  # type: ignore[arg-type]
