# SPDX-License-Identifier: BSD-3-Clause
"""The judgment, the command and the page of the benchmarks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import _page, _registry, _result, _verdicts  # noqa: E402
from bench._case import Outcome, Row, digest  # noqa: E402
from bench._intervals import bootstrap, geometric_mean  # noqa: E402
from bench._report import Report, Verdict  # noqa: E402
from bench._runner import DifferentResults, refuse_different  # noqa: E402

# What the claims are about. A name that is gone here has been lost on purpose: say why.
ROWS = {
    "empty": 14,
    "rebind": 8,
    "chain": 11,
    "escapes": 5,
    "scope": 3,
    "c_path": 4,
    "alignment": 5,
    "workloads": 20,
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
    return Outcome("case", {name: Row(name, ns=list(ns)) for name, ns in rows.items()})


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


def test_noise_that_forgives_too_much_is_no_verdict():
    noise = np.array([0.7, 1.0, 1.4] * 9)
    found = outcome(base=100 * np.ones(27), again=100 * noise, ours=105 * np.ones(27))
    verdict = _verdicts.not_slower(found, "claim", "ours", "base", ("again", "base"))
    assert verdict.holds is None
    assert verdict.word == "too noisy"


@pytest.mark.parametrize(("speed", "holds"), [(0.98, True), (0.95, False)])
def test_a_row_is_lost_when_its_whole_interval_is_below(speed, holds):
    found = outcome(base=100 * np.ones(27), ours=100 / speed * np.ones(27))
    verdict = _verdicts.not_wholly_below(found, "claim", "ours", "base", 0.97)
    assert verdict.holds is holds


# ---- results -------------------------------------------------------------------------


def test_a_digest_tells_values_shapes_and_types_apart():
    x = np.arange(6.0)
    same = [x, x.copy(), np.arange(12.0)[::2] / 2]
    assert len({digest(array) for array in same}) == 1
    others = [x, x + 1e-15, x.reshape(2, 3), x.astype("f4"), (x, x), [x], -x, 0.0]
    others[5] = {"a": x + 1}
    assert len({digest(array) for array in others}) == len(others)


def test_variants_that_compute_something_else_are_refused():
    refuse_different("chain/x", {"a": ["1", "2"], "b": ["1", "2"], "torch": None})
    with pytest.raises(DifferentResults, match=r"chain/x: 'b' does not compute .* 'a'"):
        refuse_different("chain/x", {"a": ["1", "2"], "b": ["1", "3"]})


# ---- the suite -----------------------------------------------------------------------


def test_the_rows_are_fixed_by_name():
    for name in _registry.NAMES:
        benchmark = _registry.load(name)
        assert benchmark.name == name
        names = [case.name for case in getattr(benchmark, "cases", ())]
        assert len(names) == ROWS.get(name, 0)
        assert len(set(names)) == len(names)


def test_each_case_compares_wspace_with_every_peer():
    for name in ("empty", "rebind", "chain", "escapes", "workloads"):
        for case in _registry.load(name).cases:
            variants = [variant.name for variant in case.variants]
            assert variants[:2] == ["default", "default again (A/A)"]
            assert {"mallopt", "jemalloc", "mimalloc", "tcmalloc"} < set(variants)
            assert {"passthrough handler", "pure bump", "wspace"} < set(variants)


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
        (["nothing.py:step"], "no file 'nothing.py'"),
        (["--from", "x.json", "--quick"], "--from reads what was measured"),
    ],
)
def test_wrong_arguments_say_what_is_right(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_was_not_saved_by_it_is_refused(tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"schema": 0}')
    done = run("--from", other)
    assert done.returncode == 1
    assert "has schema 0, not 1" in done.stderr


def test_all_rows_are_listed():
    listed = run("--list").stdout.splitlines()
    assert sum(line.startswith("    ") for line in listed) == sum(ROWS.values())
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
    assert "wspace: " in done.stdout
    assert "worth it" in done.stdout
    assert "slower than" in done.stdout or "the best here" in done.stdout


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


# ---- the page ------------------------------------------------------------------------


def test_lost_rows_come_first_with_their_reasons():
    report = Report(["case", "time"], [("a", "1 ns")])
    report.verdicts = [
        Verdict("a is fast", True, "2.0", "a", "default"),
        Verdict("b is fast", False, "0.5", "no such row", "tcmalloc"),
    ]
    result = _result.Result({"CPU": "some"}, [], False)
    result.add("empty", "Title.\n\nText.", report, 1.0)
    text = _page.render(result)
    assert text.index("b is fast") < text.index("a is fast")
    assert "not found out yet" in text
    known = [{"benchmark": "chain", "against": "tcmalloc", "reason": "a\n  cache"}]
    assert _page.reason("chain", report.verdicts[1], known) == "a cache"
    assert _page.reason("chain", report.verdicts[0], known) == "not found out yet"


def test_the_reasons_name_rows_that_exist():
    for entry in _page.reasons():
        assert set(entry) <= {"benchmark", "row", "against", "reason"}
        names = [
            c.name for c in getattr(_registry.load(entry["benchmark"]), "cases", ())
        ]
        if "row" in entry and names:
            assert entry["row"] in [*names, "geometric mean"]
