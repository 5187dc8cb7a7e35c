# SPDX-License-Identifier: BSD-3-Clause
"""The demonstration: its physics, its command line, its table and its picture."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wspace import __main__ as cli
from wspace.demo import DemoError, diffusion, runner, terrain, variants
from wspace.demo.diffusion import Field, Grid, Soil
from wspace.demo.progress import Progress
from wspace.demo.worker import Job, Sample

GRID = Grid(dx=30.0, dy=40.0)
SOIL = Soil()


def hills(rows: int = 24, columns: int = 31) -> Field:
    """Rough ground whose steepest cells are beyond the critical slope."""
    return 60.0 * np.random.default_rng(1).random((rows, columns))


def evolve(z: Field, steps: int, soil: Soil = SOIL) -> Field:
    return diffusion.evolve(z, diffusion.longest_step(z, GRID, soil), steps, GRID, soil)


# --- physics


def test_soil_is_neither_made_nor_lost() -> None:
    z = hills()
    after = evolve(z, 200)
    assert not np.allclose(after, z)
    assert after.sum() == pytest.approx(z.sum(), rel=1e-12)


def test_no_step_makes_a_new_summit_or_pit() -> None:
    z = hills()
    dt = diffusion.longest_step(z, GRID, SOIL)
    for _ in range(50):
        after = diffusion.step(z, dt, GRID, SOIL)
        assert z.min() <= after.min() and after.max() <= z.max()
        z = after


@pytest.mark.parametrize("axis", [0, 1])
def test_a_symmetric_landscape_stays_symmetric(axis: int) -> None:
    z = hills()
    z = z + np.flip(z, axis)
    after = evolve(z, 20)
    np.testing.assert_array_equal(after, np.flip(after, axis))


def test_level_ground_stays_as_it_is() -> None:
    z = np.full((5, 7), 321.0)
    np.testing.assert_array_equal(evolve(z, 10), z)


@pytest.mark.parametrize("axis", [0, 1])
def test_gentle_waves_decay_as_in_linear_diffusion(axis: int) -> None:
    cells, spacing = 32, (GRID.dy, GRID.dx)[axis]
    wave = np.cos(np.pi * (np.arange(cells) + 0.5) / cells)
    z = 1e-3 * np.moveaxis(np.tile(wave, (6, 1)), 1, axis)
    dt, steps = 0.02 * spacing**2 / SOIL.diffusivity, 400

    after = diffusion.evolve(z, dt, steps, GRID, SOIL)

    # The wave is an eigenvector of the second difference with closed ends.
    eigenvalue = (2.0 / spacing * np.sin(np.pi / (2 * cells))) ** 2
    decay = np.exp(-SOIL.diffusivity * eigenvalue * dt * steps)
    assert decay < 0.95
    np.testing.assert_allclose(after, decay * z, rtol=1e-4)


def test_steep_ground_creeps_faster_than_linear_diffusion() -> None:
    ramp = np.tile(np.array([0.0, 0.0, 30.0, 30.0]), (4, 1))  # a slope of 1 at most
    nonlinear = diffusion.rate_of_change(ramp, GRID, SOIL)
    linear = diffusion.rate_of_change(
        ramp, GRID, Soil(diffusivity=SOIL.diffusivity, critical_slope=1e9)
    )
    assert nonlinear[0, 1] > 1.1 * linear[0, 1] > 0  # the foot rises


def test_cliffs_give_finite_rates() -> None:
    cliff = np.where(np.arange(12) < 6, 0.0, 1e4) * np.ones((5, 1))
    assert np.isfinite(diffusion.rate_of_change(cliff, GRID, SOIL)).all()


def test_a_step_does_not_change_its_input() -> None:
    z = hills()
    z.flags.writeable = False
    assert evolve(z, 1) is not z


def test_the_model_knows_nothing_of_wspace() -> None:
    assert diffusion.__file__ is not None
    source = Path(diffusion.__file__).read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert imported == {"__future__", "dataclasses", "numpy"}
    assert "wspace" not in source


# --- terrain


def test_refining_keeps_the_ground_and_its_slopes() -> None:
    coarse = terrain.Terrain(elevation=hills(), grid=GRID)
    fine = terrain.refine(coarse, 3)
    assert fine.elevation.shape == (3 * 23 + 1, 3 * 30 + 1)
    assert (fine.grid.dx, fine.grid.dy) == (10.0, 40.0 / 3)
    np.testing.assert_array_equal(fine.elevation[::3, ::3], coarse.elevation)
    assert fine.elevation.flags.c_contiguous
    slope = np.abs(np.diff(fine.elevation, axis=1)).max() / fine.grid.dx
    assert slope <= np.abs(np.diff(coarse.elevation, axis=1)).max() / GRID.dx + 1e-9


# --- command line


def run_demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wspace", "demo", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def small_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[subprocess.CompletedProcess[str], Path]:
    picture = tmp_path_factory.mktemp("demo") / "demo.png"
    return run_demo("--scale", "1", "--cycles", "3", "--plot", str(picture)), picture


SmallRun = tuple[subprocess.CompletedProcess[str], Path]


def cells(output: str) -> dict[str, list[str]]:
    """Split the rows of the table at their wide gaps: label to cells."""
    lines = [re.split(r" {2,}", line) for line in output.splitlines()]
    return {line[0]: line[1:] for line in lines if len(line) == 7 and line[0]}


@pytest.mark.slow
def test_demo_succeeds_and_prints_nothing_but_its_report(small_run: SmallRun) -> None:
    finished, _ = small_run
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.slow
def test_demo_prints_a_row_for_each_variant(small_run: SmallRun) -> None:
    rows = cells(small_run[0].stdout)
    ran, skipped = variants.available()
    assert list(rows) == [variant.label for variant in ran]
    assert all(line in small_run[0].stdout for line in skipped)
    for time, speedup, faults, calls, upstream, peak in rows.values():
        assert re.fullmatch(r"[\d,.]+ ms", time)
        assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", speedup)
        assert re.fullmatch(r"[\d,.]+", faults)
        assert re.fullmatch(r"[\d,.]+", calls)
        assert re.fullmatch(r"[\d,.]+ \w*B", upstream)
        assert re.fullmatch(r"[\d,.]+ MiB", peak)


@pytest.mark.slow
def test_demo_asks_upstream_for_nothing_in_steady_cycles(small_run: SmallRun) -> None:
    rows = cells(small_run[0].stdout)
    assert rows[variants.WORKSPACE.label][3] == "0"
    # NumPy's count is the one of the workspace: two stages, five steps a cycle.
    assert int(rows[variants.BASELINE.label][3]) > 100


@pytest.mark.slow
def test_demo_values_are_bit_identical(small_run: SmallRun) -> None:
    rows = len(variants.available()[0])
    assert f"values: bit-identical in all {rows} rows" in small_run[0].stdout


@pytest.mark.slow
def test_demo_saves_a_picture_with_something_in_it(small_run: SmallRun) -> None:
    from matplotlib.image import imread

    image = imread(small_run[1])
    height, width, channels = image.shape
    assert height > 600 and width > 1000 and channels in (3, 4)
    # Maps above, curves below: both halves must hold more than a background.
    for half in (image[: height // 2], image[height // 2 :]):
        assert half[..., :3].std() > 0.05
    colors = np.round(255 * image[::3, ::3, :3].astype(np.float64)) @ [65536, 256, 1]
    assert len(np.unique(colors)) > 5000


@pytest.mark.slow
def test_demo_without_matplotlib_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('none here')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    finished = run_demo(PYTHONPATH=path.rstrip(os.pathsep))
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr == (
        "python -m wspace: the demo reads its landscape from matplotlib, "
        "which is not installed\nhint: pip install 'wspace[demo]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["demo", "--cycles", "0"], "a whole number from 1 to 100,000, got '0'"),
        (["demo", "--cycles", "two"], "a whole number from 1 to 100,000, got 'two'"),
        (["demo", "--scale", "13"], "a whole number from 1 to 12, got '13'"),
        (["demo", "--plot", "a.tiff"], "must be a PNG file, got 'a.tiff'"),
        (["demo", "--plot", "no/such/a.png"], "cannot write to 'no/such/a.png'"),
    ],
)
def test_wrong_arguments_exit_with_2_and_a_reason(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_help_shows_examples_and_exit_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["demo", "--help"])
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert "python -m wspace demo --plot demo.png" in shown
    assert "exit status" in shown


def test_different_values_exit_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = Sample(seconds=1.0, page_faults=2, resident=3 << 20, allocations=4)

    def fake_run(rows: list[variants.Variant], *_: Job, **__: object) -> object:
        samples = [sample] * (runner.SETTLING_CYCLES + 1)
        return [runner.Result(row, samples, row.key * 9, Path()) for row in rows]

    monkeypatch.setattr(runner, "run", fake_run)
    assert cli.main(["demo", "--cycles", "1"]) == 1
    shown = capsys.readouterr().out
    assert "values: NOT the same in all rows" in shown
    assert "workspace: workspaceworkspa" in shown


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job = Job(state=str(tmp_path / "none.npy"), dt=1.0, steps=1, dx=1.0, dy=1.0)
    with (
        pytest.raises(DemoError, match="the worker for 'NumPy' ended with status 1"),
        runner.Worker(variants.BASELINE, job) as worker,
    ):
        worker.cycle()
    assert "none.npy" in capfd.readouterr().err


# --- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_and_wiped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wspace.demo.progress._REDRAW_S", 0.0)
    stream = Terminal()
    with Progress(4, stream) as progress:
        progress.advance()
        assert " 25%," in stream.getvalue()
        assert "#." in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_progress_writes_nothing_elsewhere() -> None:
    stream = io.StringIO()
    with Progress(2, stream) as progress:
        progress.advance()
        progress.advance()
    assert stream.getvalue() == ""
