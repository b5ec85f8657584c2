"""Content of a report, independent of its format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.analysis.collapse import collapse_sentences, kaiming_commands
from src.analysis.comparisons import lower_is_better
from src.analysis.findings import REGRET, Findings
from src.analysis.formatting import join_words, metric_label
from src.analysis.provenance import Provenance, provenance
from src.report.report_tables import ReportTable, all_tables, coefficient_table, settings_table

_CAPTIONS = {
    "accuracy": (
        "Accuracy",
        "One box per condition, one dot per seed or the density of many. Left: accuracy on the test samples. Right, if "
        "the distribution is known: exact accuracy of the same networks. The test set makes the left distributions "
        "wider. If classes are unequal, the balanced accuracy comes first, and a line is what always deciding for the "
        "largest class gives.",
    ),
    "sample_size": (
        "Regret by sample size",
        "Mean regret against the sample size, both on logarithmic scales, with the least-squares slope. The regret "
        "of a well-specified model decreases like 1/N (grey); that of a misspecified one levels off.",
    ),
    "loss_curves": (
        "Loss curves",
        "Training loss, median and quartiles over runs. Losses have different scales: compare shapes, not heights.",
    ),
    "reliability": (
        "Reliability",
        "Share of correct predictions against their probability, test samples of all runs pooled. Below the "
        "diagonal a classifier is overconfident. Samples of one network are not independent, so no intervals are "
        "shown.",
    ),
    "confusion": (
        "Confusion matrices",
        "Decisions in percent of the true class, test samples of all runs pooled. The diagonal is the recall of each "
        "class; its mean is the balanced accuracy.",
    ),
    "collapse": (
        "Seeds that did not learn",
        "Left: accuracy in training of the collapsed seeds (orange) beside the median seed that learned (black). "
        "Right: share of ReLU units that are 0 for every training sample, by hidden layer, one dot per seed or the "
        "density of many.",
    ),
    "collapse_map": ("Share of collapsed seeds", "In percent of the seeds of each condition."),
    "calibration": ("Calibration", "Mean distance of the predicted class's probability from its true posterior."),
}
_OF_COLLAPSE = ("collapse", "collapse_map")


@dataclass(frozen=True)
class Picture:
    """A figure: the name of its files, its title and its caption."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class Content:
    """Content of a report.

    Attributes:
        title: The studies.
        question: The question of the study.
        answer: Its answer, in sentences.
        notes: Remarks on how to read the numbers, in sentences.
        pictures: The figures.
        collapse: What is known of the seeds that did not learn, in sentences; empty where every seed learned.
        collapse_pictures: The figures of them.
        kaiming_commands: Commands that repeat these conditions from other initial weights.
        tables: The tables.
        left_out: Failed, missing and broken runs and other omissions, as lines by heading.
        settings: The settings in which the conditions differ.
        provenance: Commands, versions and time.
    """

    title: str
    question: str
    answer: list[str]
    notes: list[str]
    pictures: list[Picture]
    collapse: list[str]
    collapse_pictures: list[Picture]
    kaiming_commands: list[str]
    tables: list[ReportTable]
    left_out: dict[str, list[str]]
    settings: ReportTable
    provenance: Provenance


def content(findings: Findings, figures: Sequence[str], left_out: Mapping[str, Sequence[str]]) -> Content:
    """Return the content of a report.

    Args:
        findings: The findings of the study.
        figures: Names of the figures that could be drawn, in order.
        left_out: Lines by heading.
    """
    captions = _captions(findings)
    pictures = [Picture(name, *captions[name]) for name in figures]
    return Content(
        title=join_words(list(dict.fromkeys(findings.collection.runs["study"]))),
        question=_question(findings),
        answer=findings.answer,
        notes=findings.notes,
        pictures=[each for each in pictures if each.name not in _OF_COLLAPSE],
        collapse=collapse_sentences(findings.collection.completed),
        collapse_pictures=[each for each in pictures if each.name in _OF_COLLAPSE],
        kaiming_commands=kaiming_commands(findings.collection.results),
        tables=[*all_tables(findings), *filter(None, [coefficient_table(findings)])],
        left_out={kind: list(lines) for kind, lines in left_out.items() if lines},
        settings=settings_table(findings),
        provenance=provenance(findings.collection.results),
    )


def _question(findings: Findings) -> str:
    """Return the question: which losses, on which metric, for which class counts, on how many seeds."""
    names = list(dict.fromkeys(findings.methods["method"]))
    others = [name for name in names if name != findings.plan.baseline]
    counts = join_words([str(classes) for classes in sorted(findings.methods["classes"].unique())])
    seeds = " to ".join(map(str, sorted({findings.comparisons["n"].min(), findings.comparisons["n"].max()})))
    many = f", on {seeds} {findings.replicate.name}" if len(findings.comparisons) else ""
    settings = findings.methods["setting"].nunique()
    under = f", under {settings} settings" if settings > 1 else ""
    where = f"for C = {counts}{under}{many}?"
    if not others:
        return f"How good is {names[0]} on {metric_label(findings.metric)} {where}"
    listed = join_words(others) if len(others) <= 6 else f"{len(others)} losses"
    verb = "do" if len(others) > 1 else "does"
    what = f"{listed} differ from {findings.plan.baseline} on {metric_label(findings.metric)}"
    return f"How much does the choice of {_choice(findings)} matter: by how much {verb} {what} {where}"


def _choice(findings: Findings) -> str:
    """Return the kind of choice in which the methods differ."""
    runs = findings.collection.completed
    if runs["model"].nunique() > 1 and not findings.methods["setting"].str.contains("model=").any():
        return "model and loss"  # a model is either a part of the methods or a setting
    return "loss" if runs["loss"].nunique() > 1 else "settings"


def _captions(findings: Findings) -> dict[str, tuple[str, str]]:
    """Return the title and caption of each figure by name."""
    metric, plan = metric_label(findings.metric), findings.plan
    parts = "of the networks" if findings.replicate.stream is None else "its sources and their interactions"
    return _CAPTIONS | {
        "differences": (
            "Paired differences",
            f"{metric.capitalize()} minus that of {plan.baseline} in the seeds where both learned, and how much more "
            "often the loss collapsed, paired by seed. Filled diamonds are significant after Holm's correction for all "
            "tests of the study; an uncorrected interval may exclude 0 without that. An arrow leads beyond the axis."
            + ("" if plan.margin is None else " Grey: the margin of equivalence."),
        ),
        "profiles": (
            "Performance profiles",
            f"Share of {findings.replicate.name} {'below' if lower_is_better(findings.metric) else 'above'} each value "
            f"of the {metric}, collapsed or not. Where one line is above another everywhere, its loss is the better "
            f"one for any threshold. Bands, for up to three losses: {1 - plan.alpha:.0%} for a whole distribution.",
        ),
        "ranks": (
            "Average ranks",
            "Each class count, data set and setting is one block, in which the losses are ranked by their mean over "
            "the seeds, collapsed or not. Nemenyi's test at alpha = "
            f"{plan.alpha:g}, which corrects for all pairs, tells two losses apart where the dot of one is beyond the "
            "bar of the other; it needs many blocks for that.",
        ),
        "regret": (
            "Regret" if findings.metric != REGRET else "Regret by class count",
            "Bayes accuracy minus population accuracy: 0 is the best that any classifier can achieve. A mean over "
            "collapsed and other seeds has no interval.",
        ),
        "scatter": (
            "Test samples",
            f"The median run of each condition by {metric}, among those with saved decision regions if any. "
            "Colour: predicted class; shape: true class; rings: errors; dashed line: Bayes boundary.",
        ),
        "variance": (
            "Variance",
            f"Variance of test accuracy: that of population accuracy ({parts}), and the binomial part of a finite test "
            "set. Right: the standard deviation of the sum.",
        ),
    }
