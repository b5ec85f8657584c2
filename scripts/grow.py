"""Growth of a study: train further seeds until every interval is narrow enough.

python -m scripts.grow outputs/hw4 --until 1 --max-seeds 200

The settings are those that the runs of the study were trained with. What names code of others or is Hydra's own has to
be typed again, as the files may be those of somebody else.
"""

import argparse
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from scripts.aggregate import AggregateError, chosen_metric, chosen_plan, collect_completed
from scripts.cli import Parser, at_least_one, between
from src.analysis.collect import Collection
from src.analysis.comparisons import Plan, compare_losses, scale
from src.analysis.formatting import metric_label
from src.analysis.provenance import command_words
from src.analysis.replicate import find_replicate, fold_overlap
from src.utils.console import command_name, console_output


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 where the intervals are narrow enough, otherwise 1."""
    options = _parser().parse_intermixed_args(arguments)
    try:
        while True:
            collection = collect_completed([options.study])
            width, line = _widest(collection, options)
            seeds = int(collection.completed["seed"].max()) + 1
            print(f"{seeds} seeds: {line}", flush=True)
            if width < options.until:
                return 0
            if seeds >= options.max_seeds:
                print(f"grow: stopped at --max-seeds {options.max_seeds}, before every interval was narrow enough")
                return 1
            _train(options, collection, min(seeds + options.step, options.max_seeds))
    except AggregateError as error:
        print(f"grow: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _parser() -> Parser:
    parser = Parser(
        prog=command_name("scripts.grow"),
        description="Train further seeds of a study, some at a time, until the interval of every comparison where both "
        "losses learned is narrower than some points. The intervals are confidence sequences, which hold although the "
        "number of seeds depends on them. The same command again continues where it stopped.",
        epilog="Example: python -m scripts.grow outputs/hw4 --until 1 --max-seeds 200",
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help="folder of a study, as outputs/hw4")
    parser.add_argument(
        "typed", nargs="*", metavar="SETTING", help="of its runs, such as allow_targets=[mypackage], if you trust them"
    )
    parser.add_argument(
        "--until", type=between(0, math.inf), required=True, metavar="POINTS", help="width of the widest interval"
    )
    for name, default, what in (("--max-seeds", 200, "seeds at most"), ("--step", 20, "seeds at a time")):
        parser.add_argument(name, type=at_least_one, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.add_argument("--baseline", metavar="LOSS", help="loss that all others are compared with")
    parser.add_argument("--metric", metavar="NAME", help="metric to compare")
    parser.add_argument(
        "--alpha", type=between(0, 0.5, closed=True), default=Plan.alpha, metavar="A", help="error rate (default: 0.05)"
    )
    return parser


def _widest(collection: Collection, options: argparse.Namespace) -> tuple[float, str]:
    """Return the width of the widest interval, infinite where there is none, and describe it."""
    metric = chosen_metric(collection, options.metric)
    plan = chosen_plan(collection, options.baseline, alpha=options.alpha, anytime=True)
    replicate = find_replicate(collection.completed)
    if replicate.stream is not None:
        raise AggregateError(f"STUDY: {options.study} crosses random streams; expected one with plain seeds")
    if fold_overlap(collection.results):
        raise AggregateError(f"STUDY: {options.study} has folds for seeds; expected independent seeds, not split=kfold")
    table, _ = compare_losses(collection.completed, metric, plan, replicate)
    if table.empty:
        raise AggregateError(f"STUDY: {options.study} has one loss alone; expected several to compare")
    widths = (table["learned_high"] - table["learned_low"]).fillna(math.inf)
    row = table.loc[widths.idxmax()]
    points = " points" if scale(metric) > 1 else ""
    where = ", ".join(filter(None, [f"{row['loss']} at C = {row['classes']}", row["setting"]]))
    return float(
        widths.max()
    ), f"the widest interval of {metric_label(metric)} is {widths.max():.2f}{points}, of {where}"


def _train(options: argparse.Namespace, collection: Collection, seeds: int) -> None:
    """Train the conditions of the study with seeds from 0, of which finished ones are kept."""
    study, done = options.study, len(collection.completed)
    commands = [_settings(words, options.typed) for words in command_words(collection.results)]
    for words in commands:
        words += [f"study={study.resolve().name}", f"seed=range({seeds})"]
        finished = subprocess.run([sys.executable, "-m", "src.train", "--multirun", *words], check=False)
        if finished.returncode:
            raise AggregateError(f"training ended with exit code {finished.returncode}: {shlex.join(words)}")
    if len(collect_completed([study]).completed) <= done:
        raise AggregateError(f"STUDY: no seeds were added to {study}; run this where outputs/ is that of the study")


def _settings(command: Sequence[str], typed: Sequence[str]) -> list[str]:
    """Return the settings of a command of ``command_words`` without study and seed.

    Raises:
        AggregateError: If one of them names code of others, or is Hydra's own and was not typed, or is no setting.
    """
    settings = []
    for word in command[3:]:
        if word == "--multirun":
            continue
        if (key := _key(word)) is None:
            raise AggregateError(f"STUDY: expected its runs to be trained with settings alone, got {word}")
        if {"hydra", "allow_targets"} & set(key) and word not in typed:
            raise AggregateError(f"STUDY: its runs were trained with {word}; add that to this command if you trust it")
        if key not in (["study"], ["seed"]):
            settings.append(word)
    return settings


def _key(word: str) -> list[str] | None:
    """Return the parts of a setting's name and of its package, or None for what is no setting."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return None
    return re.split(r"[./@]", "@".join(filter(None, [override.key_or_group, override.package])))


if __name__ == "__main__":
    sys.exit(main())
