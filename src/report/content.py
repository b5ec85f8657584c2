"""What a report says, before it takes the form of a page or of Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from src.analysis.conclusions import joined, spoken
from src.analysis.findings import REGRET, Findings
from src.analysis.provenance import Provenance, provenance
from src.report.report_tables import Sheet, coefficient_sheet, settings_sheet, sheets

_CAPTIONS = {
    "accuracy": (
        "Accuracy",
        "Every run of every condition. On the left what the test points say, on the right, if the distribution is "
        "known, the exact accuracy of the same networks: the difference in width is what a finite test set does.",
    ),
    "sample_size": (
        "Regret by sample size",
        "Mean regret against the points of a sample, both on logarithmic scales; the slope is that of the least "
        "squares line. A model that can be the truth comes as close as its data allow, like 1/N (grey); the others "
        "level off at what their form costs.",
    ),
    "loss_curves": (
        "Loss curves",
        "Training loss, median and quartiles over runs. Losses have their own scales: compare shapes, not heights.",
    ),
    "reliability": (
        "Reliability",
        "Share of right predictions against their probability, test points of all runs pooled. Below the diagonal "
        "a classifier is too sure. Points of one network are not independent, so the dots carry no intervals.",
    ),
    "calibration": ("Calibration", "Mean distance of the predicted class's probability from its true posterior."),
}


@dataclass(frozen=True)
class Picture:
    """A figure: the name of its files, what it shows, and how to read it."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class Content:
    """Everything that a report says.

    Attributes:
        title: The studies.
        question: What was asked.
        answer: What the data support, in sentences.
        notes: What a reader has to know, in sentences.
        pictures: The figures that could be drawn.
        sheets: The tables.
        left_out: Lines by heading: diverged, missing and broken runs, and what else is left out.
        settings: What the conditions differ in.
        provenance: How it was run.
    """

    title: str
    question: str
    answer: list[str]
    notes: list[str]
    pictures: list[Picture]
    sheets: list[Sheet]
    left_out: dict[str, list[str]]
    settings: Sheet
    provenance: Provenance


def content(findings: Findings, figures: Sequence[str], left_out: Mapping[str, Sequence[str]]) -> Content:
    """Put together what a report says.

    Args:
        findings: What the study says.
        figures: Names of the figures that could be drawn, in order.
        left_out: Lines by heading.
    """
    captions = _captions(findings)
    return Content(
        title=joined(list(dict.fromkeys(findings.collection.runs["study"]))),
        question=_question(findings),
        answer=findings.answer,
        notes=findings.notes,
        pictures=[Picture(name, *captions[name]) for name in figures],
        sheets=[*sheets(findings), *filter(None, [coefficient_sheet(findings)])],
        left_out={kind: list(lines) for kind, lines in left_out.items() if lines},
        settings=settings_sheet(findings),
        provenance=provenance(findings.collection.results),
    )


def _question(findings: Findings) -> str:
    """Say what was asked: which losses, on what, under which class counts, on how many seeds."""
    names = list(dict.fromkeys(findings.contenders["contender"]))
    others = [name for name in names if name != findings.plan.baseline]
    counts = joined([str(classes) for classes in sorted(findings.contenders["classes"].unique())])
    seeds = findings.main["n"].agg(["min", "max"]) if len(findings.main) else None
    many = "" if seeds is None else f", on {_range(int(seeds['min']), int(seeds['max']))} {findings.unit.name}"
    settings = findings.contenders["setting"].nunique()
    under = f", under {settings} settings" if settings > 1 else ""
    where = f"for C = {counts}{under}{many}?"
    if not others:
        return f"How good is {names[0]} on {spoken(findings.metric)} {where}"
    listed = joined(others) if len(others) <= 6 else f"{len(others)} losses"
    verb = "do" if len(others) > 1 else "does"
    what = f"{listed} differ from {findings.plan.baseline} on {spoken(findings.metric)}"
    return f"How much does the choice of {_choice(findings)} matter: by how much {verb} {what} {where}"


def _choice(findings: Findings) -> str:
    """Say in what the contenders differ."""
    runs = findings.collection.completed
    if runs["model"].nunique() > 1 and not findings.contenders["setting"].str.contains("model=").any():
        return "model and loss"  # a model is either a part of the contenders or a setting
    return "loss" if runs["loss"].nunique() > 1 else "settings"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _captions(findings: Findings) -> dict[str, tuple[str, str]]:
    """Return the title and caption of each figure by name."""
    metric, plan = spoken(findings.metric), findings.plan
    parts = "the networks' own spread" if findings.unit.stream is None else "its sources and their interactions"
    return _CAPTIONS | {
        "differences": (
            "Paired differences",
            f"{metric.capitalize()} less that of {plan.baseline}, paired. A filled diamond is a difference that stands "
            "after Holm's correction for all comparisons; an interval of its own may leave out 0 and not stand.",
        ),
        "regret": (
            "Regret" if findings.metric != REGRET else "Regret by class count",
            "Bayes accuracy less population accuracy: 0 is the best that any classifier could do.",
        ),
        "scatter": (
            "Test points",
            f"The median run of each condition by {metric}, of those with saved decision regions where there are any. "
            "Colour is the prediction, shape the true class; rings mark errors, the dashed line is the Bayes boundary.",
        ),
        "variance": (
            "Variance",
            f"The variance of test accuracy is that of population accuracy, {parts}, and the binomial part of a finite "
            "test set. On the right the standard deviation that the parts add up to.",
        ),
    }
