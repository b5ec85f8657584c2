"""Rebuild a finished run from its directory alone, and check its metrics or predict with it."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from src.utils.fast_imports import import_lightning

if __name__ == "__main__":
    import_lightning()  # before the imports below, which would take longer

import pandas as pd
from rich.table import Table

from src.data.reading import read_table
from src.experiments.loading import Run, load_run
from src.experiments.write_run import without_clashes
from src.storage.atomic import replacing_file
from src.storage.schema import ArtifactError
from src.storage.spreadsheet import escape_formulas
from src.utils.console import command_name, console_output, stdout
from src.utils.errors import first_line
from src.utils.validation import Problem, SettingsError, check

USAGE = "%(prog)s run=DIR [data=FILE] [samples=IN.csv out=OUT.csv [unknown=none]] [allow_targets=PACKAGES]"
ROUNDING = 1e-6  # of float32 sums in another order, which another processor may take
SETTINGS = ("run", "samples", "out", "unknown", "data", "allow_targets")


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate one run and return the exit code: 0, 1 if its metrics are not reproduced, 2 for invalid settings."""
    parser = argparse.ArgumentParser(prog=command_name("src.evaluate"), usage=USAGE, description=__doc__)
    parser.add_argument("run=DIR", help="directory of one seed, such as outputs/<study>/<condition>/seed=7")
    parser.add_argument(
        "samples=IN.csv", nargs="?", help="samples to predict, with the columns x1, x2, ... or those of the table"
    )
    parser.add_argument("out=OUT.csv", nargs="?", help="where to write them, with the decision and probabilities")
    parser.add_argument("unknown=none", nargs="?", help="predict categories that training never saw as none of these")
    parser.add_argument("data=FILE", nargs="?", help="where the table of the run is now, if it has moved")
    parser.add_argument(
        "allow_targets=A,B", nargs="?", help="packages outside of this project whose code the run may use"
    )
    if (words := list(sys.argv[1:] if arguments is None else arguments)) in ([], ["-h"], ["--help"]):
        parser.print_help()
        return 0 if words else 2
    try:
        settings = parse(words)
        run = load_run(settings["run"], allowed(settings), settings.get("data"))
        if run.note:
            stdout().print(run.note, markup=False, soft_wrap=True)
        if "samples" in settings:
            return predict_file(run, Path(settings["samples"]), Path(settings["out"]), settings.get("unknown"))
        return compare(run)
    except (SettingsError, ArtifactError) as error:
        print(error, file=sys.stderr)
        return 2


def parse(words: Sequence[str]) -> dict[str, str]:
    """Split words such as ``run=DIR`` at their first equals sign.

    Raises:
        SettingsError: If a word is no setting, a setting is unknown, given twice or empty, or one is missing.

    Example:
        >>> parse(["run=outputs/hw4/loss=ce,classes=4-3f9a1c2b/seed=7"])
        {'run': 'outputs/hw4/loss=ce,classes=4-3f9a1c2b/seed=7'}
    """
    settings: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        known = name in SETTINGS and equals and name not in settings
        check(None if known else Problem(word, f"one of {', '.join(SETTINGS)}, given once as NAME=VALUE", word))
        check(None if value else Problem(name, "a path", value))
        settings[name] = value
    check(
        None if "run" in settings else Problem("run", "given, as the directory of one seed", None),
        None if ("samples" in settings) == ("out" in settings) else Problem("samples and out", "given together", words),
    )
    return settings


def allowed(settings: dict[str, str]) -> list[str]:
    """Return the packages that ``allow_targets=`` names, as ``A,B`` or as ``[A,B]``."""
    names = settings.get("allow_targets", "").strip("[]")
    return [name.strip() for name in names.split(",")] if names else []


def compare(run: Run) -> int:
    """Print every metric beside the stored one and return 1 if any stored one differs, otherwise 0.

    Where the run was trained the metrics are equal. On another processor they may differ by ``ROUNDING``, which is
    shown and does not count; nor does a metric that an older losslab did not store.
    """
    metrics = run.recompute_metrics()
    table = Table("metric", "stored", "recomputed", "", title=f"{run.results.condition}/{run.results.name}")
    different = 0
    for name in sorted(metrics.keys() | run.metrics.keys()):
        stored, again = run.metrics.get(name), metrics.get(name)
        if stored is None or stored == again:
            kind = "not stored" if stored is None else "equal"
        elif again is not None and math.isclose(stored, again, rel_tol=ROUNDING, abs_tol=ROUNDING):
            kind = "within rounding"
        else:
            kind = "different"
            different += 1
        table.add_row(name, str(stored), str(again), kind)
    stdout().print(table)
    if different:
        print(f"{different} of the stored metrics are not reproduced", file=sys.stderr)
    return int(different > 0)


def predict_file(run: Run, source: Path, target: Path, unknown: str | None = None) -> int:
    """Write the samples of a CSV file with the run's decision for each, and its probabilities if any.

    Raises:
        SettingsError: If the file cannot be read or lacks a feature, a feature is not a finite number, or the
            target cannot be written.
    """
    table = read_samples(run, source)
    predictions = run.predict(table, unknown)
    try:
        with replacing_file(target) as scratch:
            features = [] if run.table is None else [column.name for column in run.table.layout.columns]
            others = [name for name in predictions.columns if name in table.columns and name not in features]
            given = without_clashes(table.drop(columns=others), predictions)
            escape_formulas(given.join(predictions)).to_csv(scratch, index=False)
    except OSError as error:
        raise SettingsError(Problem("out", f"a file that can be written ({error.strerror})", str(target))) from None
    stdout().print(f"{len(table)} samples: {target}", markup=False, soft_wrap=True)
    return 0


def read_samples(run: Run, source: Path) -> pd.DataFrame:
    """Return a file of samples, read as the table of the run was.

    Raises:
        SettingsError: If it cannot be read.
    """
    if run.table is None:
        try:
            return pd.read_csv(source)
        except (OSError, ValueError) as error:
            raise SettingsError(Problem("samples", f"a CSV file ({first_line(error)})", str(source))) from None
    try:
        return read_table(str(source), None, run.config["data"].get("read"))
    except SettingsError as error:
        raise SettingsError(*(replace(problem, name="samples") for problem in error.problems)) from None


if __name__ == "__main__":
    sys.exit(main())
