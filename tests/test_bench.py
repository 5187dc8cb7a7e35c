# SPDX-License-Identifier: BSD-3-Clause
"""The judgment, the command and the page of the benchmarks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    "WSPACE_SANITIZE" in os.environ, reason="the workers preload other libraries"
)

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import _own, _page, _registry, _result, _verdicts  # noqa: E402
from bench._case import Outcome, Row, digest  # noqa: E402
from bench._intervals import bootstrap, geometric_mean  # noqa: E402
from bench._report import Report, Verdict  # noqa: E402
from bench._runner import DifferentResults, refuse_different  # noqa: E402
from bench._worker import environment  # noqa: E402

SIZES = ["16 KiB", "64 KiB", "256 KiB", "1 MiB", "8 MiB"]
WORKLOADS = (
    "digits-mlp sklearn-mlp gaussian-mixture nmf rk45 heston sp500-bootstrap diffusion "
    "gray-scott richardson-lucy background sigma-clipping particle-filter "
    "ensemble-sampler mfcc autograd-mlp pandas-groupby pandas-rolling tiny-net "
    "tiny-arrays"
)
# What the claims are about. A name that is gone here has been lost on purpose: say why.
ROWS = {
    "empty": [
        "64 B",
        "256 B",
        "512 B",
        "1008 B",
        "1 KiB",
        "4 KiB",
        "16 KiB",
        "64 KiB",
        "128 KiB",
        "256 KiB",
        "1 MiB",
        "4 MiB",
        "16 MiB",
        "64 MiB",
    ],
    "rebind": [
        "16 KiB",
        "64 KiB",
        "128 KiB",
        "256 KiB",
        "1 MiB",
        "4 MiB",
        "16 MiB",
        "64 MiB",
    ],
    "chain": [
        *(f"4 of {size}" for size in SIZES),
        *(f"12 of {size}" for size in SIZES),
        "12, 8 names of 1 MiB",
    ],
    "escapes": ["none", "one", "all", "ring of 20", "one, detached"],
    "scope": ["enter and exit", "exit", "whole cycle"],
    "c_path": [f"12 of {size}" for size in ("64 B", "4 KiB", "64 KiB", "1 MiB")],
    "alignment": [f"12 of {size}" for size in SIZES],
    "workloads": WORKLOADS.split(),
}


def run(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


# ---- figures -------------------------------------------------------------------------


def outcome(**rows):
    made = {name: Row(name, list(ns), generations=3) for name, ns in rows.items()}
    return Outcome("case", made)


NOISE = np.array([0.98, 1.0, 1.02] * 9)


def test_an_interval_holds_the_median_and_is_the_same_each_time():
    values = np.random.default_rng(0).normal(2.0, 0.1, 50)
    interval = bootstrap(values)
    assert interval.low < interval.median < interval.high
    assert interval.median == np.median(values)
    assert interval == bootstrap(values)


def test_the_geometric_mean_of_twice_and_half_is_one():
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_mean([4.0, 1.0]) == pytest.approx(2.0)


def test_a_ratio_is_taken_round_by_round():
    # The pace halves in the second round; both variants meet it.
    found = outcome(base=[100.0, 200.0, 100.0], ours=[50.0, 100.0, 50.0])
    assert found.ratio("ours", "base").median == 2.0
    assert found.ratio("ours", "base").low == found.ratio("ours", "base").high == 2.0


@pytest.mark.parametrize(
    ("speed", "holds"), [(1.1, True), (1.0, True), (0.99, True), (0.9, False)]
)
def test_not_slower_means_within_what_identical_code_differs_by(speed, holds):
    found = outcome(
        base=100 * np.ones(27), again=100 * NOISE, ours=100 / speed * np.ones(27)
    )
    verdict = _verdicts.not_slower(found, "claim", "ours", "base", ("again", "base"))
    assert verdict.holds is holds, verdict


@pytest.mark.parametrize("pace", [0.92, 1 / 0.92])
def test_which_of_two_equals_is_the_base_is_chance(pace):
    # Either way identical code is 8 % apart, so 5 % less is no loss.
    ones = np.ones(27)
    found = outcome(base=100 * ones, again=100 * pace * ones, ours=105 * ones)
    verdict = _verdicts.not_slower(found, "claim", "ours", "base", ("again", "base"))
    assert verdict.holds


def test_a_clear_loss_is_one_however_noisy_the_control():
    noise = np.array([0.7, 1.0, 1.4] * 9)
    found = outcome(base=100 * np.ones(27), again=100 * noise, ours=300 * np.ones(27))
    verdict = _verdicts.not_slower(found, "claim", "ours", "base", ("again", "base"))
    assert verdict.holds is False


@pytest.mark.parametrize(("speed", "holds"), [(2.6, True), (2.4, False)])
def test_at_least_so_many_times_as_fast(speed, holds):
    found = outcome(base=100 * np.ones(27), ours=100 / speed * np.ones(27))
    assert _verdicts.at_least(found, "claim", "ours", "base", 2.5).holds is holds


def test_generations_that_differ_widen_an_interval():
    # Nine rounds each, all alike: what differs are the processes.
    apart = np.repeat([0.9, 1.0, 1.1], 9)
    assert bootstrap(apart, 3).low == pytest.approx(0.9)
    assert bootstrap(apart, 3).high == pytest.approx(1.1)
    alike = np.tile(np.linspace(0.9, 1.1, 9), 3)
    assert bootstrap(alike, 3).low > 0.92


def test_noise_that_forgives_too_much_is_no_verdict():
    noise = np.array([0.7, 1.0, 1.4] * 9)
    found = outcome(base=100 * np.ones(27), again=100 * noise, ours=105 * np.ones(27))
    verdict = _verdicts.not_slower(found, "claim", "ours", "base", ("again", "base"))
    assert verdict.holds is None
    assert verdict.word == "too noisy"


@pytest.mark.parametrize(
    ("speeds", "holds"),
    [((0.98,) * 3, True), ((0.95,) * 3, False), ((0.95, 0.95, 0.98), True)],
)
def test_a_row_is_lost_when_its_whole_interval_is_below(speeds, holds):
    found = outcome(base=100 * np.ones(27), ours=100 / np.repeat(speeds, 9))
    verdict = _verdicts.not_wholly_below(found, "claim", "ours", "base", 0.97)
    assert verdict.holds is holds


# ---- results -------------------------------------------------------------------------


def test_a_digest_tells_values_shapes_types_and_nesting_apart():
    x = np.arange(6.0)
    same = [x, x.copy(), np.arange(12.0)[::2] / 2]
    assert len({digest(array)[0] for array in same}) == 1
    others = [x, x + 1e-15, x.reshape(2, 3), x.astype("f4"), -x, 0.0]
    others += [[x], (x,), (x, x), {"a": x}, {"b": x}, [[x]]]
    assert len({digest(array)[0] for array in others}) == len(others)


def test_variants_that_compute_something_else_are_refused():
    found = [("1", 10.0), ("2", 20.0)]
    near = [("3", 10.001), ("4", 20.0)]
    far = [("3", 11.0), ("4", 20.0)]
    missing = [("5", float("nan"))]  # of what has no sum only the bits count
    refuse_different("chain/x", {"a": (True, missing), "b": (True, missing)})
    refuse_different("chain/x", {"a": (True, found), "b": (True, found), "c": None})
    refuse_different("chain/x", {"a": (True, found), "torch": (False, near)})
    for name, result in (("b", (True, near)), ("torch", (False, far))):
        with pytest.raises(
            DifferentResults, match=f"chain/x: '{name}' does not .* 'a'"
        ):
            refuse_different("chain/x", {"a": (True, found), name: result})


def test_the_environment_of_a_worker_holds_nothing_that_tunes_malloc(monkeypatch):
    for name in ("LD_PRELOAD", "MALLOC_TRIM_THRESHOLD_", "PYTHONOPTIMIZE", "WSPACE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("WSPACE_BENCH_JEMALLOC", "kept")
    found = environment({"LD_PRELOAD": "ours"})
    assert found["LD_PRELOAD"] == "ours"
    assert found["WSPACE_BENCH_JEMALLOC"] == "kept"
    assert not {"MALLOC_TRIM_THRESHOLD_", "PYTHONOPTIMIZE", "WSPACE"} & set(found)


# ---- the suite -----------------------------------------------------------------------


def test_the_rows_are_fixed_by_name():
    for name in _registry.NAMES:
        benchmark = _registry.load(name)
        assert benchmark.name == name
        names = [case.name for case in getattr(benchmark, "cases", ())]
        assert names == ROWS.get(name, [])


def test_each_case_compares_wspace_with_every_peer():
    for name in ("empty", "rebind", "chain", "escapes", "workloads"):
        for case in _registry.load(name).cases:
            variants = [variant.name for variant in case.variants]
            assert variants[:2] == ["default", "default again (A/A)"]
            assert {"mallopt", "jemalloc", "mimalloc", "tcmalloc"} < set(variants)
            assert {"passthrough handler", "pure bump", "wspace"} < set(variants)
            assert {"default, warmed", "wspace, huge pages"} < set(variants)


def test_nothing_in_the_engine_knows_of_a_benchmark():
    checked = 0
    for folder in ("src", "csrc"):
        for path in (ROOT / folder).rglob("*.[chp]*"):
            if path.suffix in (".so", ".pyc") or "demo" in path.parts:
                continue
            checked += 1
            assert "bench" not in path.read_text().lower(), path
    assert checked > 30


# ---- the command ---------------------------------------------------------------------


def test_it_measures_saves_and_writes_a_page(tmp_path):
    saved, page = tmp_path / "run.json", tmp_path / "page.md"
    row = "chain/4 of 16 KiB"
    done = run(row, "--quick", "--json", saved, "--markdown", page)
    assert done.returncode == 0, done.stderr
    assert "times as fast" in done.stdout

    result = json.loads(saved.read_text())
    (part,) = result["parts"]
    rows = {row["variant"]: row for row in part["report"]["data"][0]["rows"]}
    assert {"default", "wspace", "out= by hand", "wspace, checked"} <= set(rows)
    assert all(row["skipped"] or min(row["ns"]) > 0 for row in rows.values())
    assert rows["wspace"]["operations"] > 0

    text = page.read_text()
    assert "What does not hold" in text and "What holds" in text
    assert "| 4 of 16 KiB | default |" in text
    again = tmp_path / "again.md"
    assert run("--from", saved, "--markdown", again).returncode == 0
    assert again.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chian"], "no benchmark 'chian'; is it 'chain'?"),
        (["chain/4 of 16KiB"], "no row '4 of 16KiB' in 'chain'; is it '4 of 16 KiB'?"),
        (["cycles/none"], "'cycles' has no rows to choose from"),
        (["chain", "--cycles", "3"], "--cycles is for a function of yours"),
        (["app.py"], "which function of 'app.py'? app.py:FUNCTION"),
        (["nothing.py:step"], "no file 'nothing.py'"),
        (["--from", "x.json", "--quick"], "--from reads what was measured"),
    ],
)
def test_wrong_arguments_say_what_is_right(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 0}', "has schema 0, not 1"),
        ('{"schema": 1}', "is not what --json saves"),
        ("[", "could not read"),
    ],
)
def test_what_was_not_saved_by_it_is_refused(tmp_path, text, message):
    other = tmp_path / "other.json"
    other.write_text(text)
    done = run("--from", other)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_all_rows_are_listed():
    listed = run("--list").stdout.splitlines()
    assert sum(line.startswith("    ") for line in listed) == sum(
        map(len, ROWS.values())
    )
    assert "    workloads/gray-scott" in listed


# ---- a function of one's own ---------------------------------------------------------

OWN = """
import numpy as np
x = np.linspace(0, 1, 100_000)
called = 0

def step():
    global called
    called += 1
    return (np.sin(x) * x + x).sum()

def fails():
    raise ValueError("mine")
"""


@pytest.mark.slow
def test_a_function_of_ones_own_runs_under_every_malloc(tmp_path):
    (tmp_path / "app.py").write_text(OWN)
    done = run(f"{tmp_path / 'app.py'}:step", "--cycles", "6")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = [line for line in lines if line.startswith("step  ")]
    assert len(rows) == 12
    assert not [row for row in rows if row.startswith("step  wspace  skipped")]
    (advice,) = [line for line in lines if line.startswith("wspace: ")]
    assert advice.endswith(("worth it", "not worth it", "slower"))
    assert "wspace is not slower than" in lines[-1]


def figures(**pace):
    """Rows of a function of one's own, all alike but for these."""
    names = ["default", "default again (A/A)", "default, warmed", "mallopt"]
    names += ["jemalloc", "mimalloc", "tcmalloc", "wspace", "wspace again (A/A)"]
    ns = dict.fromkeys(names, 100.0) | {"wspace again (A/A)": pace["wspace"]} | pace
    rows = {name: Row(name, [each] * 27, generations=3) for name, each in ns.items()}
    return Outcome("step", rows)


@pytest.mark.parametrize(
    ("pace", "worth", "best", "holds"),
    [
        ({"wspace": 50.0}, "worth it", "default", True),
        ({"wspace": 150.0}, "slower", "default", False),
        ({"wspace": 50.0, "tcmalloc": 40.0}, "worth it", "tcmalloc", False),
        ({"wspace": 100.0}, "not worth it", "default", True),
    ],
)
def test_the_advice_follows_from_the_figures(pace, worth, best, holds):
    report = Report(["case"])
    _own.advise(report, [figures(**pace)])
    (told,) = [note for note in report.notes if note.startswith("wspace: ")]
    assert told.endswith(f", {worth}")
    (verdict,) = report.verdicts
    assert verdict.against == best
    assert verdict.holds is holds


@pytest.mark.parametrize("cycles", [1, 5, 20, 36, 200, 10_000])
def test_a_number_of_cycles_is_about_what_is_timed(cycles):
    effort = _own.effort(cycles)
    timed = effort.generations * effort.rounds * effort.samples * effort.most
    assert max(3, cycles * 0.7) <= max(3, timed) <= max(3, cycles)


def test_a_function_that_is_not_there_is_named(tmp_path):
    (tmp_path / "app.py").write_text(OWN)
    done = run(f"{tmp_path / 'app.py'}:stepp")
    assert done.returncode == 2
    assert "no function 'stepp'" in done.stderr
    assert "it has fails, step" in done.stderr


def test_a_function_that_raises_shows_its_traceback(tmp_path):
    (tmp_path / "app.py").write_text(OWN)
    done = run(f"{tmp_path / 'app.py'}:fails", "--cycles", "1")
    assert done.returncode == 1
    assert "ValueError: mine" in done.stderr
    assert "failed (ValueError: mine)" in done.stdout


# ---- the page ------------------------------------------------------------------------


def test_lost_rows_come_first_with_their_reasons():
    report = Report(["case", "time"], [("a", "1 ns")])
    report.verdicts = [
        Verdict("a is fast", True, "2.0", "a", "default"),
        Verdict("b is fast", False, "0.5", "no such row", "tcmalloc"),
    ]
    result = _result.Result({"CPU": "some"}, [], False)
    about = {"date": "today", "load": "1"}
    result.add("empty", "Title.\n\nText.", report, 1.0, about)
    text = _page.render(result)
    assert text.index("b is fast") < text.index("a is fast")
    assert "not found out yet" in text
    known = [{"benchmark": "chain", "row": "no such row", "reason": "a\n  cache"}]
    assert _page.reason("chain", report.verdicts[1], known) == "a cache"
    assert _page.reason("chain", report.verdicts[0], known) == "not found out yet"
    known[0]["against"] = "jemalloc"
    assert _page.reason("chain", report.verdicts[1], known) == "not found out yet"


def test_the_reasons_name_rows_that_exist():
    for entry in _page.reasons():
        assert set(entry) <= {"benchmark", "row", "against", "reason"}
        names = [
            c.name for c in getattr(_registry.load(entry["benchmark"]), "cases", ())
        ]
        if "row" in entry and names:
            assert entry["row"] in [*names, "geometric mean"]
