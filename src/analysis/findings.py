"""Statistical findings of a study, as tables and sentences."""

from dataclasses import dataclass, replace

import pandas as pd

from src.analysis.collect import Collection
from src.analysis.comparison_groups import name_methods
from src.analysis.comparisons import Plan, compare_losses
from src.analysis.conclusions import answer, where
from src.analysis.formatting import join_words
from src.analysis.replicate import Replicate, find_replicate, fold_overlap
from src.analysis.runs import tuned
from src.analysis.summary import ACCURACIES, MAJORITY, has_unequal_classes, summarize
from src.analysis.variance import decompose, test_set_sentence

REGRET = "population/regret"
_SKEWED = 0.01  # p value of the test of skewness below which a comparison is named
_MAX_NAMED = 3
_ANYTIME = (
    "The study was extended by further seeds, or --anytime was given: the tests are e-values, and the intervals of "
    "differences confidence sequences, which hold at every number of seeds at once, however it was chosen, and are "
    "wider. Other intervals, such as those of one share or of P(better), hold for a fixed number."
)


@dataclass(frozen=True)
class Findings:
    """Statistical findings of a study.

    Attributes:
        collection: Its runs and their problems.
        metric: The metric that the question is about.
        plan: The baseline, alpha and margin.
        replicate: The replicate that n counts.
        methods: One row per condition, as ``name_methods`` returns it.
        summary: One row per condition, as ``summarize`` returns it.
        comparisons: One row per comparison, as ``compare_losses`` returns it.
        variance: The parts of the variance, as ``decompose`` returns it.
        answer: The answer to the question, in sentences.
        notes: Remarks on how to read the numbers, in sentences.
        left_out: What the numbers leave out and why, as lines by heading.
    """

    collection: Collection
    metric: str
    plan: Plan
    replicate: Replicate
    methods: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    variance: pd.DataFrame
    answer: list[str]
    notes: list[str]
    left_out: dict[str, list[str]]


def find(collection: Collection, metric: str, plan: Plan) -> Findings:
    """Return the findings of the completed runs of a study.

    Args:
        collection: Runs of which at least one is completed and has the metric.
        metric: The metric that the question is about.
        plan: The baseline, alpha and margin.
    """
    runs = collection.completed
    replicate = replace(find_replicate(runs), overlap=fold_overlap(collection.results))
    methods = name_methods(runs)
    comparisons, unpaired = compare_losses(runs, metric, plan, replicate)
    variance, unbalanced = decompose(runs)
    summary = summarize(collection.runs, [*ACCURACIES, metric], 1 - plan.alpha, replicate)
    return Findings(
        collection,
        metric,
        plan,
        replicate,
        methods,
        summary,
        comparisons,
        variance,
        answer(comparisons, metric, plan, replicate),
        _notes(collection, metric, replicate, variance, comparisons, plan),
        {**collection.problems, "without a partner": unpaired, "not in the crossed design": unbalanced},
    )


def _notes(
    collection: Collection,
    metric: str,
    replicate: Replicate,
    variance: pd.DataFrame,
    comparisons: pd.DataFrame,
    plan: Plan,
) -> list[str]:
    runs = collection.completed
    notes = [
        *(_ANYTIME if plan.anytime else _skewed_sentence(comparisons), replicate.note, replicate.fold_note),
        *(test_set_sentence(variance), _tuned_sentence(collection)),
    ]
    if runs.groupby("fingerprint").size().max() == 1:
        notes.append("Each condition has one seed: intervals and tests need at least two, so there are none.")
    if metric == ACCURACIES[0] and ACCURACIES[1] not in runs.columns:
        notes.append(
            "No run has a population accuracy, as the distribution of the data is unknown: regret and the other "
            "population metrics are left out, and the report is about the accuracy on the test samples."
        )
    if has_unequal_classes(runs):
        notes.append(
            f"Always deciding for the largest class is right for {runs[MAJORITY].mean():.1%} of the test samples. The "
            "report is therefore about the balanced accuracy, the mean over the classes, unless --metric names another."
        )
    if missing := len(runs) - len(collection.predicted):
        notes.append(
            f"{missing} of {len(runs)} runs left no predictions, because of predictions=false, and are missing "
            f"from the figures that "
            "show test samples."
        )
    return [note for note in notes if note]


def _skewed_sentence(comparisons: pd.DataFrame) -> str:
    """Return the comparisons whose differences are visibly skewed as a sentence; empty where there are none."""
    skewed = comparisons[comparisons["learned_p_skewness"] < _SKEWED]
    names = [f"{row['loss']} {where(row)}" for _, row in skewed.head(_MAX_NAMED).iterrows()]
    if not names:
        return ""
    names += [f"{len(skewed) - len(names)} more"] if len(skewed) > len(names) else []
    return (
        f"Where both learned, the differences are skewed for {join_words(names)} (D'Agostino's test, p < {_SKEWED}). "
        f"Their intervals are extended on the longer side (Hall 1992), as a t interval would be too short there. Read "
        f"the Hodges-Lehmann estimate beside the mean."
    )


def _tuned_sentence(collection: Collection) -> str:
    """Return the tuned settings of each condition as a sentence; empty if none was tuned."""
    conditions = {results.fingerprint: results for results in collection.results if tuned(results)}
    texts = [
        f"{', '.join(f'{key} = {value:.4g}' for key, value in tuned(results).items() if isinstance(value, float))} for "
        f"{results.loss} at C = {results.classes}"
        for results in sorted(conditions.values(), key=lambda results: (results.classes, results.loss))
    ]
    return f"Tuned on other seeds: {join_words(texts)}." if texts else ""
