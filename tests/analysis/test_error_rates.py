"""Coverage and error rates of what the report shows, in simulated studies; the tables stand in docs/report.md.

python -m tests.analysis.test_error_rates prints the tables.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from src.statistics.anytime import sign_e_value, t_e_value
from src.statistics.betting import betting_interval
from src.statistics.intervals import MIN_BOOTSTRAP, interquartile_mean_interval, wilson_interval
from src.statistics.paired import compare_learned, holm, t_test
from src.statistics.proportions import mcnemar_test, paired_difference_interval

NUMBERS = (3, 5, 10, 20, 50)
STUDIES = 200
KINDS = {  # of the differences where both learn, and how often each loss collapses; "shared": on the same seeds
    "normal": ("normal", 0.0, 0.0, False),
    "skewed": ("skewed", 0.0, 0.0, False),
    "ties of 1/32": ("ties", 0.0, 0.0, False),
    "one loss collapses, 5%": ("normal", 0.0, 0.05, False),
    "one loss collapses, 15%": ("normal", 0.0, 0.15, False),
    "one loss collapses, 30%": ("normal", 0.0, 0.30, False),
    "both collapse, 15%": ("normal", 0.15, 0.15, False),
    "both collapse, 15%, half of it shared": ("normal", 0.15, 0.15, True),
}
EFFECT, SPREAD, FALL = 0.01, 0.012, 0.25
INTERVALS = ("t, where both learned", "Tango", "betting", "interquartile mean", "Wilson")


def draw(kind: str, shape: tuple[int, int], effect: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return differences of accuracy, and whether A and B collapsed: (studies, n) each."""
    noise, p_a, p_b, shared = KINDS[kind]
    rng = np.random.default_rng([seed, list(KINDS).index(kind), shape[1]])
    if noise == "ties":
        values = np.round(rng.normal(effect, 0.05, shape) * 32) / 32
    else:
        standard = rng.normal(size=shape) if noise == "normal" else rng.exponential(size=shape) - 1
        values = effect + SPREAD * standard
    own_a, own_b, common = (rng.random(shape) for _ in range(3))
    if shared:
        both = common < p_a / 2
        a, b = both | (own_a < p_a / 2 / (1 - p_a / 2)), both | (own_b < p_b / 2 / (1 - p_b / 2))
    else:
        a, b = own_a < p_a, own_b < p_b
    return np.where(a & b, 0.0, values - FALL * a + FALL * b), a, b


@cache
def truth(kind: str) -> dict[str, float]:
    """Return what the intervals estimate, from a large sample."""
    values, a, b = draw(kind, (1, 2_000_000), EFFECT, 0)
    values, a, b = values[0], a[0], b[0]
    middle = np.sort(values)[len(values) // 4 : 3 * len(values) // 4]
    exact = KINDS[kind][1] - KINDS[kind][2]
    wins = np.mean(np.round(values, 12) > 0) + np.mean(np.round(values, 12) == 0) / 2
    learned = EFFECT if KINDS[kind][0] != "ties" else values.mean()
    return dict(zip(INTERVALS, (learned, exact, values.mean(), middle.mean(), wins), strict=True))


def coverage(kind: str, n: int) -> dict[str, float]:
    """Return how often each interval covers, over the studies in which there is one."""
    hits: dict[str, list[bool]] = {name: [] for name in INTERVALS}
    expected = truth(kind)
    for values, a, b in zip(*draw(kind, (STUDIES, n), EFFECT, 1), strict=True):
        both = ~(a | b)
        learned = compare_learned(values[both], np.zeros(both.sum()))
        wins = (np.round(values, 12) > 0).sum() + (np.round(values, 12) == 0).sum() / 2
        found = {
            INTERVALS[0]: (learned.low, learned.high),
            INTERVALS[1]: paired_difference_interval(int((a & ~b).sum()), int((b & ~a).sum()), n),
            INTERVALS[2]: betting_interval(values.clip(-1, 1), -1, 1),
            INTERVALS[3]: interquartile_mean_interval(values)[1:] if n >= MIN_BOOTSTRAP else (np.nan, np.nan),
            INTERVALS[4]: wilson_interval(wins, n),
        }
        for name, (low, high) in found.items():
            if np.isfinite(low):
                hits[name].append(low <= expected[name] <= high)
    return {name: float(np.mean(each)) if each else np.nan for name, each in hits.items()}


def any_found(accuracy: np.ndarray, collapsed: np.ndarray, *, anytime: bool) -> bool:
    """Return whether anything is found in (a) or (b) of four losses against a baseline, the first of five rows."""
    p_values = []
    for loss in range(1, 5):
        a, b = collapsed[loss], collapsed[0]
        both = ~(a | b)
        counts = int((a & ~b).sum()), int((b & ~a).sum())
        values = np.round(accuracy[loss] - accuracy[0], 12)[both]
        if anytime:
            p_values += [1 / sign_e_value(*counts), 1 / t_e_value(values)]
        else:
            p_values += [mcnemar_test(*counts), t_test(values)]
    return bool((holm(np.minimum(p_values, 1)) <= 0.05).any())


def false_findings(kind: str, n: int, studies: int = 300) -> tuple[float, float]:
    """Return how often a study of five losses that are alike finds anything.

    Returns:
        The rate at n seeds by the tests, and that of a look after every five seeds up to n by e-values.
    """
    noise, p, q, shared = KINDS[kind]
    rate = max(p, q)
    rng = np.random.default_rng([n, list(KINDS).index(kind), 7])
    found, looked = 0, 0
    for _ in range(studies):
        standard = rng.normal(size=(5, n)) if noise == "normal" else rng.exponential(size=(5, n))
        accuracy = np.round(standard * 2) / 32 if noise == "ties" else SPREAD * standard
        collapsed = rng.random((5, n)) < rate
        if shared:
            collapsed |= rng.random(n) < rate / 2
        found += any_found(accuracy, collapsed, anytime=False)
        looks = range(5, n + 1, 5)
        looked += any(any_found(accuracy[:, :seeds], collapsed[:, :seeds], anytime=True) for seeds in looks)
    return found / studies, looked / studies


def coverage_table() -> list[str]:
    lines = ["| coverage of | differences | " + " | ".join(f"n = {n}" for n in NUMBERS) + " |"]
    lines.append("|---|---|" + "---:|" * len(NUMBERS))
    cells = {(kind, n): coverage(kind, n) for kind in KINDS for n in NUMBERS}
    for name in INTERVALS:
        for kind in KINDS:
            if name == "Tango" and not any(KINDS[kind][1:3]):
                continue
            row = [cells[kind, n][name] for n in NUMBERS]
            texts = ["–" if np.isnan(each) else f"{100 * each:.0f}%" for each in row]  # noqa: RUF001 - an en dash
            lines.append(f"| {name} | {kind} | " + " | ".join(texts) + " |")
    return lines


def error_table() -> list[str]:
    lines = ["| any false finding, four losses alike | n = 10 | n = 20 | n = 50 | a look every 5 up to 50 |"]
    lines.append("|---|---:|---:|---:|---:|")
    for kind in KINDS:
        rates = [false_findings(kind, n) for n in (10, 20, 50)]
        texts = [f"{100 * fixed:.1f}%" for fixed, _ in rates] + [f"{100 * rates[-1][1]:.1f}%"]
        lines.append(f"| {kind} | " + " | ".join(texts) + " |")
    return lines


def documented(head: str) -> list[list[str]]:
    """Return the cells of the rows of a table in docs/report.md."""
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    lines = re.search(rf"^\| {head}(?:.|\n(?=\|))*", text, flags=re.MULTILINE).group().splitlines()
    return [line.strip("| ").split(" | ") for line in lines[2:]]


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["skewed", "one loss collapses, 15%", "both collapse, 15%, half of it shared"])
def test_documented_coverage_is_that_of_the_simulation(kind: str):
    column = 2 + NUMBERS.index(10)
    written = {row[0]: float(row[column].rstrip("%")) for row in documented("coverage of") if row[1] == kind}
    simulated = coverage(kind, 10)
    assert len(written) >= 4
    for name, percent in written.items():
        assert 100 * simulated[name] == pytest.approx(percent, abs=1.1), name


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_documented_error_rates_are_those_of_the_simulation(kind: str):
    [row] = [row for row in documented("any false finding") if row[0] == kind]
    assert 100 * false_findings(kind, 10)[0] == pytest.approx(float(row[1].rstrip("%")), abs=0.7)


def test_no_null_finds_more_than_it_may():
    rates = [float(cell.rstrip("%")) for row in documented("any false finding") for cell in row[1:]]
    assert len(rates) == 4 * len(KINDS)
    assert max(rates) <= 5 + 100 * 1.65 * np.sqrt(0.05 * 0.95 / 300)  # 300 simulated studies


if __name__ == "__main__":
    print("\n".join([*coverage_table(), "", *error_table()]))
