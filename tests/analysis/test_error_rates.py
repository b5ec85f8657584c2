"""Coverage and error rates of what the report shows, in simulated studies; the tables stand in docs/report.md.

python -m tests.analysis.test_error_rates prints the tables.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestPower

from src.statistics.anytime import sign_e_value, t_e_value
from src.statistics.betting import betting_interval
from src.statistics.intervals import MIN_FULL_LEVEL, MIN_VALUES, interquartile_mean_interval, wilson_interval
from src.statistics.paired import compare_learned, difference_test, holm
from src.statistics.proportions import mcnemar_test, paired_difference_interval

NUMBERS = (3, 5, 10, 20, 50)
STUDIES, SLOW_STUDIES = 2_000, 200  # of a coverage; the latter for intervals by betting and by resampling
NULL_STUDIES, POWER_STUDIES = 10_000, 2_000  # of the tables of false findings and of power
FEWER_STUDIES = 300  # of a test
KINDS = {  # of the differences where both learn, and how often each loss collapses; "shared": on the same seeds
    "normal": ("normal", 0.0, 0.0, False),
    "skewed": ("skewed", 0.0, 0.0, False),
    "heavy tails": ("heavy", 0.0, 0.0, False),
    "ties of 1/32": ("ties", 0.0, 0.0, False),
    "one loss collapses, 5%": ("normal", 0.0, 0.05, False),
    "one loss collapses, 15%": ("normal", 0.0, 0.15, False),
    "one loss collapses, 30%": ("normal", 0.0, 0.30, False),
    "both collapse, 15%": ("normal", 0.15, 0.15, False),
    "both collapse, 15%, half of it shared": ("normal", 0.15, 0.15, True),
}
POWER_KINDS = ("normal", "skewed", "one loss collapses, 15%", "one loss collapses, 30%", "both collapse, 15%")
POWER_NUMBERS = (5, 10, 20, 50)
COLLAPSE_KINDS, COLLAPSE_NUMBERS = ("one loss collapses, 15%", "one loss collapses, 30%"), (10, 20, 50, 100)
EFFECT, SPREAD, FALL = 0.01, 0.012, 0.25
INTERVALS = ("mean, where both learned", "Tango", "betting", "interquartile mean", "Wilson")


def standardized(noise: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return numbers of mean 0 and standard deviation 1."""
    if noise == "skewed":
        return rng.exponential(size=shape) - 1
    return rng.standard_t(3, shape) / np.sqrt(3) if noise == "heavy" else rng.normal(size=shape)


def draw(kind: str, shape: tuple[int, int], effect: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return differences of accuracy, and whether A and B collapsed: (studies, n) each."""
    noise, p_a, p_b, shared = KINDS[kind]
    rng = np.random.default_rng([seed, list(KINDS).index(kind), shape[1]])
    if noise == "ties":
        values = np.round(rng.normal(effect, 0.05, shape) * 32) / 32
    else:
        values = effect + SPREAD * standardized(noise, shape, rng)
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
    for study, (values, a, b) in enumerate(zip(*draw(kind, (STUDIES, n), EFFECT, 1), strict=True)):
        both = ~(a | b)
        learned = compare_learned(values[both], np.zeros(both.sum()))
        wins = (np.round(values, 12) > 0).sum() + (np.round(values, 12) == 0).sum() / 2
        found = {
            "mean, where both learned": (learned.low, learned.high),
            "Tango": paired_difference_interval(int((a & ~b).sum()), int((b & ~a).sum()), n),
        }
        if n >= MIN_VALUES["P(better)"]:
            found["Wilson"] = wilson_interval(wins, n)
        if study < SLOW_STUDIES:
            found["betting"] = betting_interval(values.clip(-1, 1), -1, 1)
            found["interquartile mean"] = interquartile_mean_interval(values)[1:]
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
            p_values += [mcnemar_test(*counts), difference_test(values)]
    return bool((holm(np.minimum(p_values, 1)) <= 0.05).any())


def false_findings(kind: str, n: int, studies: int = FEWER_STUDIES) -> tuple[float, float]:
    """Return how often a study of five losses that are alike finds anything.

    Returns:
        The rate at n seeds by the tests, and that of a look after every five seeds up to n by e-values.
    """
    noise, p, q, shared = KINDS[kind]
    rate = max(p, q)
    rng = np.random.default_rng([n, list(KINDS).index(kind), 7])
    found, looked = 0, 0
    for _ in range(studies):
        standard = standardized(noise, (5, n), rng)
        if noise == "skewed":  # the baseline alone, as the differences would otherwise be symmetric
            standard[1:] = 0.3 * rng.normal(size=(4, n))
        accuracy = np.round(standard * 2) / 32 if noise == "ties" else SPREAD * standard
        collapsed = rng.random((5, n)) < rate
        if shared:
            collapsed |= rng.random(n) < rate / 2
        found += any_found(accuracy, collapsed, anytime=False)
        looks = range(5, n + 1, 5)
        looked += any(any_found(accuracy[:, :seeds], collapsed[:, :seeds], anytime=True) for seeds in looks)
    return found / studies, looked / studies


def power(kind: str, n: int, studies: int) -> tuple[float, float]:
    """Return how often a true difference of ``EFFECT`` where both learned is found.

    Returns:
        The rate of the report, by Holm's method over (a) and (b), and that of the oracle test: a z test that knows the
        standard deviation of the differences, and that they alone are asked about.
    """
    found, oracle = 0, 0
    for values, a, b in zip(*draw(kind, (studies, n), EFFECT, 2), strict=True):
        learned = values[~(a | b)]
        p_values = [mcnemar_test(int((a & ~b).sum()), int((b & ~a).sum())), difference_test(learned)]
        found += holm(p_values)[1] <= 0.05
        oracle += len(learned) > 0 and abs(learned.mean()) * np.sqrt(len(learned)) / SPREAD > stats.norm.isf(0.025)
    return found / studies, oracle / studies


def collapse_power(kind: str, n: int, studies: int) -> float:
    """Return how often the report finds that one loss collapses more often, of which the other never does.

    An oracle that knows the latter needs one collapse to find it: its power is 1 - (1 - p)^n.
    """
    found = 0
    for values, a, b in zip(*draw(kind, (studies, n), 0.0, 3), strict=True):
        p_values = [mcnemar_test(int((a & ~b).sum()), int((b & ~a).sum())), difference_test(values[~(a | b)])]
        found += holm(p_values)[0] <= 0.05
    return found / studies


def collapse_power_table() -> list[str]:
    lines = ["| power of (a) (of the oracle) | " + " | ".join(f"n = {n}" for n in COLLAPSE_NUMBERS) + " |"]
    lines.append("|---|" + "---:|" * len(COLLAPSE_NUMBERS))
    for kind in COLLAPSE_KINDS:
        rates = [(collapse_power(kind, n, POWER_STUDIES), 1 - (1 - KINDS[kind][2]) ** n) for n in COLLAPSE_NUMBERS]
        lines.append(f"| {kind} | " + " | ".join(f"{100 * one:.0f}% ({100 * two:.0f}%)" for one, two in rates) + " |")
    return lines


def power_table() -> list[str]:
    lines = ["| power of the report (of the oracle) | " + " | ".join(f"n = {n}" for n in POWER_NUMBERS) + " |"]
    lines.append("|---|" + "---:|" * len(POWER_NUMBERS))
    for kind in POWER_KINDS:
        rates = [power(kind, n, POWER_STUDIES) for n in POWER_NUMBERS]
        lines.append(f"| {kind} | " + " | ".join(f"{100 * one:.0f}% ({100 * two:.0f}%)" for one, two in rates) + " |")
    return lines


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
        rates = [false_findings(kind, n, NULL_STUDIES) for n in (10, 20, 50)]
        texts = [f"{100 * fixed:.1f}%" for fixed, _ in rates] + [f"{100 * rates[-1][1]:.1f}%"]
        lines.append(f"| {kind} | " + " | ".join(texts) + " |")
    return lines


def documented(head: str) -> list[list[str]]:
    """Return the cells of the rows of a table in docs/report.md."""
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    lines = re.search(rf"^\| {head}(?:.|\n(?=\|))*", text, flags=re.MULTILINE).group().splitlines()
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def percent(cell: str) -> float:
    """Return the number of a cell; NaN where the report shows no interval."""
    return float(cell.rstrip("%")) if "%" in cell else np.nan


def test_intervals_are_left_out_where_they_fall_below_their_level():
    def wilson_coverage(n: int, true: float) -> float:
        ends = np.array([wilson_interval(wins, n) for wins in range(n + 1)])
        return float(stats.binom.pmf(np.arange(n + 1), n, true)[(ends[:, 0] <= true) & (true <= ends[:, 1])].sum())

    true = float(stats.norm.cdf(EFFECT / SPREAD))  # of normal differences
    least = MIN_VALUES["P(better)"]
    assert wilson_coverage(least - 1, true) < 0.9
    assert wilson_coverage(least, true) > 0.935
    for name, head in (("P(better)", "Wilson"), ("interquartile mean", "interquartile mean")):
        rows = [[percent(cell) for cell in row[2:]] for row in documented("coverage of") if row[0] == head]
        assert len(rows) == len(KINDS)
        shown = np.isfinite(rows).all(axis=0)
        assert list(shown) == [n >= MIN_VALUES[name] for n in NUMBERS]
        error = 100 * np.sqrt(0.95 * 0.05 / (STUDIES if name == "P(better)" else SLOW_STUDIES))
        assert np.array(rows)[:, shown].min() >= 93.5 - 1.65 * error


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["skewed", "both collapse, 15%, half of it shared"])
def test_documented_coverage_is_that_of_the_simulation(kind: str):
    column = 2 + NUMBERS.index(10)
    written = {row[0]: percent(row[column]) for row in documented("coverage of") if row[1] == kind}
    simulated = coverage(kind, 10)
    assert len(written) >= 4
    for name, expected in written.items():
        assert 100 * simulated[name] == pytest.approx(expected, abs=1.1, nan_ok=True), name


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_documented_error_rates_are_those_of_the_simulation(kind: str):
    [row] = [row for row in documented("any false finding") if row[0] == kind]
    rate = percent(row[1]) / 100
    found = round(FEWER_STUDIES * false_findings(kind, 10)[0])
    assert stats.binomtest(found, FEWER_STUDIES, rate).pvalue > 0.001  # 9 rates are compared


def documented_power(head: str = "power of the report") -> dict[str, list[list[float]]]:
    """Return the rates of the report and of the oracle by kind, one pair per number of seeds."""
    rows = documented(head)
    return {row[0]: [[int(each) / 100 for each in re.findall(r"\d+", cell)] for cell in row[1:]] for row in rows}


def test_documented_power_of_normal_differences_is_nearly_the_t_tests():
    error = 2.5 * np.sqrt(0.25 / POWER_STUDIES) + 0.005
    for n, (report, oracle) in zip(POWER_NUMBERS, documented_power()["normal"], strict=True):
        alpha = 0.05 if n >= MIN_FULL_LEVEL else 0.025
        student = TTestPower().power(EFFECT / SPREAD, n, alpha)
        assert student - 0.1 - error <= report <= student + error  # Hall's statistic is asked too
        assert oracle == pytest.approx(NormalIndPower(ddof=0).power(EFFECT / SPREAD, n, 0.05, ratio=0), abs=error)


@pytest.mark.integration
@pytest.mark.parametrize("kind", POWER_KINDS)
def test_documented_power_is_that_of_the_simulation(kind: str):
    studies = POWER_STUDIES // 2
    error = 3.5 * np.sqrt(0.25 / studies + 0.25 / POWER_STUDIES)  # 40 rates are compared
    for n, expected in zip(POWER_NUMBERS, documented_power()[kind], strict=True):
        assert power(kind, n, studies) == pytest.approx(expected, abs=error)


def test_documented_power_to_see_collapses_is_that_of_the_binomial():
    error = 2.5 * np.sqrt(0.25 / POWER_STUDIES) + 0.005
    documented = documented_power(r"power of \(a\)")
    assert list(documented) == list(COLLAPSE_KINDS)
    for kind, rates in documented.items():
        p = KINDS[kind][2]
        for n, (report, oracle) in zip(COLLAPSE_NUMBERS, rates, strict=True):
            # 2 / 2^6 is below 5%, and 2 / 2^7 below the half of it that Holm's method leaves beside (b).
            assert stats.binom.sf(6, n, p) - error <= report <= stats.binom.sf(5, n, p) + error
            assert oracle == pytest.approx(1 - (1 - p) ** n, abs=0.006)


@pytest.mark.integration
@pytest.mark.parametrize("kind", COLLAPSE_KINDS)
def test_documented_power_to_see_collapses_is_that_of_the_simulation(kind: str):
    for n, (report, _) in zip(COLLAPSE_NUMBERS, documented_power(r"power of \(a\)")[kind], strict=True):
        assert collapse_power(kind, n, 500) == pytest.approx(
            report, abs=3.5 * np.sqrt(0.25 / 500 + 0.25 / POWER_STUDIES)
        )


def test_no_null_finds_more_than_it_may():
    rates = [float(cell.rstrip("%")) for row in documented("any false finding") for cell in row[1:]]
    assert len(rates) == 4 * len(KINDS)
    assert max(rates) <= 5.5


def test_the_mean_where_both_learned_is_covered_in_every_row():
    rows = [[percent(cell) for cell in row[2:]] for row in documented("coverage of") if row[0].startswith("mean")]
    assert len(rows) == len(KINDS)
    assert np.min(rows) >= 94


if __name__ == "__main__":
    print("\n".join([*coverage_table(), "", *error_table(), "", *power_table(), "", *collapse_power_table()]))
