"""All that the results of a study support, before anything is drawn or written."""

from dataclasses import dataclass

import pandas as pd

from src.analysis.collect import Collection
from src.analysis.comparison_groups import name_contenders
from src.analysis.comparisons import Plan, compare_losses
from src.analysis.conclusions import answer, joined
from src.analysis.replication_unit import Unit, find_unit
from src.analysis.runs import tuned
from src.analysis.summary import ACCURACIES, summarize
from src.analysis.variance import decompose, test_set_sentence

REGRET = "population/regret"


@dataclass(frozen=True)
class Findings:
    """What a study says.

    Attributes:
        collection: Its runs, and what is wrong with them.
        metric: The metric that the question is about.
        plan: The baseline, alpha and gamma.
        unit: What n counts.
        contenders: A row a condition, as ``name_contenders`` returns it.
        summary: A row a condition, as ``summarize`` returns it.
        comparisons: A row a comparison, on the metric and then on regret, as ``compare_losses`` returns it.
        variance: The parts of the variance, as ``decompose`` returns it.
        answer: The answer to the question, in sentences.
        notes: What a reader has to know to read the numbers, in sentences.
        left_out: Lines by heading: what the numbers leave out, and why.
    """

    collection: Collection
    metric: str
    plan: Plan
    unit: Unit
    contenders: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    variance: pd.DataFrame
    answer: list[str]
    notes: list[str]
    left_out: dict[str, list[str]]

    @property
    def main(self) -> pd.DataFrame:
        """The comparisons on the metric that the question is about."""
        return self.of(self.metric)

    def of(self, metric: str) -> pd.DataFrame:
        """Return the comparisons on one metric."""
        return self.comparisons[self.comparisons["metric"] == metric]


def find(collection: Collection, metric: str, plan: Plan) -> Findings:
    """Work out everything that the completed runs of a study support.

    Args:
        collection: Runs of which at least one is completed and has the metric.
        metric: The metric that the question is about.
        plan: The baseline, alpha and gamma.
    """
    runs = collection.completed
    unit = find_unit(runs)
    contenders = name_contenders(runs)
    tables, unpaired = [], []
    for name in dict.fromkeys([metric, REGRET]):
        if name in runs.columns and runs[name].notna().any():
            table, lines = compare_losses(runs, name, plan, unit)
            tables.append(table)
            unpaired += lines if name == metric else []
    filled = [table for table in tables if len(table)] or tables[:1]
    comparisons = pd.concat(filled, ignore_index=True)
    variance, unbalanced = decompose(runs)
    summary = summarize(collection.runs, [*ACCURACIES, metric], 1 - plan.alpha, unit)
    return Findings(
        collection,
        metric,
        plan,
        unit,
        contenders,
        summary,
        comparisons,
        variance,
        answer(tables[0], metric, plan, unit),
        _notes(collection, metric, unit, variance),
        {**collection.problems, "without a partner": unpaired, "not in the crossed design": unbalanced},
    )


def _notes(collection: Collection, metric: str, unit: Unit, variance: pd.DataFrame) -> list[str]:
    runs = collection.completed
    notes = [unit.note, test_set_sentence(variance), _tuned_sentence(collection)]
    if runs.groupby("fingerprint").size().max() == 1:
        notes.append("Each condition has one seed: intervals and tests need at least two, so there are none.")
    if metric == ACCURACIES[0] and ACCURACIES[1] not in runs.columns:
        notes.append(
            "No run has a population accuracy, as the distribution of its data is not known: regret and the other "
            "population metrics are left out, and this is about the accuracy on the test points."
        )
    if spared := len(runs) - len(collection.predicted):
        notes.append(
            f"{spared} of {len(runs)} runs left no predictions, as predictions=false asked: what is drawn from test "
            "points is without them."
        )
    return [note for note in notes if note]


def _tuned_sentence(collection: Collection) -> str:
    """Say what was found for each tuned condition, or nothing."""
    conditions = {results.fingerprint: results for results in collection.results if tuned(results)}
    texts = [
        f"{', '.join(f'{key} = {value:.4g}' for key, value in tuned(results).items() if isinstance(value, float))} for "
        f"{results.loss} at C = {results.classes}"
        for results in sorted(conditions.values(), key=lambda results: (results.classes, results.loss))
    ]
    return f"Tuned on other seeds: {joined(texts)}." if texts else ""
