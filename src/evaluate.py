"""Rebuild a finished run from its directory alone, and check its metrics or predict with it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils.fast_imports import import_lightning

if __name__ == "__main__":
    import_lightning()  # before the imports below, which would take longer

import pandas as pd
from rich.table import Table

from src.experiments.loading import Run, load_run
from src.storage.atomic import replacing_file
from src.storage.schema import ArtifactError
from src.utils.console import command_name, console_output, stdout
from src.utils.errors import first_line
from src.utils.validation import Problem, SettingsError, check

USAGE = "%(prog)s run=DIR [samples=IN.csv out=OUT.csv] [allow_targets=PACKAGES]"
SETTINGS = ("run", "samples", "out", "allow_targets")


@console_output()
def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate one run and return the exit code: 0, 1 if its metrics are not reproduced, 2 for invalid settings."""
    parser = argparse.ArgumentParser(prog=command_name("src.evaluate"), usage=USAGE, description=__doc__)
    parser.add_argument("run=DIR", help="directory of one seed, such as outputs/<study>/<condition>/seed=7")
    parser.add_argument("samples=IN.csv", nargs="?", help="samples to predict, with the columns x1, x2, ...")
    parser.add_argument("out=OUT.csv", nargs="?", help="where to write them, with the decision and probabilities")
    parser.add_argument(
        "allow_targets=A,B", nargs="?", help="packages outside of this project whose code the run may use"
    )
    if (words := list(sys.argv[1:] if arguments is None else arguments)) in ([], ["-h"], ["--help"]):
        parser.print_help()
        return 0 if words else 2
    try:
        settings = parse(words)
        run = load_run(settings["run"], allowed(settings))
        if "samples" in settings:
            return predict_file(run, Path(settings["samples"]), Path(settings["out"]))
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

    A metric that an older losslab did not store is shown and does not count.
    """
    metrics = run.recompute_metrics()
    table = Table("metric", "stored", "recomputed", "", title=f"{run.results.condition}/{run.results.name}")
    different = 0
    for name in sorted(metrics.keys() | run.metrics.keys()):
        stored, again = run.metrics.get(name), metrics.get(name)
        kind = "not stored" if stored is None else "equal" if stored == again else "different"
        different += kind == "different"
        table.add_row(name, str(stored), str(again), kind)
    stdout().print(table)
    if different:
        print(f"{different} of the stored metrics are not reproduced", file=sys.stderr)
    return int(different > 0)


def predict_file(run: Run, source: Path, target: Path) -> int:
    """Write the samples of a CSV file with the run's decision for each, and its probabilities if any.

    Raises:
        SettingsError: If the file cannot be read or lacks a feature, a feature is not a finite number, or the
            target cannot be written.
    """
    try:
        table = pd.read_csv(source)
    except (OSError, ValueError) as error:
        raise SettingsError(Problem("samples", f"a CSV file ({first_line(error)})", str(source))) from None
    predictions = run.predict(table)
    try:
        with replacing_file(target) as scratch:
            table.drop(columns=predictions.columns, errors="ignore").join(predictions).to_csv(scratch, index=False)
    except OSError as error:
        raise SettingsError(Problem("out", f"a file that can be written ({error.strerror})", str(target))) from None
    stdout().print(f"{len(table)} samples: {target}", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
