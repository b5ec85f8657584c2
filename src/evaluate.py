"""Rebuild a finished run from its folder alone, and measure it again or let it predict."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from src.utils.fast_imports import import_lightning

if __name__ == "__main__":
    import_lightning()  # before the imports below, which would take longer

import pandas as pd
import torch
from rich.table import Table
from torch import Tensor

from src.config.instantiate import Components, build_components, check_settings, stack
from src.experiments.write_run import prediction_columns
from src.metrics.classification import evaluate
from src.metrics.log_odds import log_odds
from src.metrics.predictions import predict, seed_network
from src.storage.atomic import replacing_file
from src.storage.schema import CHECKPOINT, COMPLETED, ArtifactError, Results, read_results
from src.training.single_thread import single_threaded
from src.utils.console import stdout
from src.utils.validation import Problem, SettingsError, check

USAGE = "python -m src.evaluate run=DIR [points=IN.csv out=OUT.csv] [allow_targets=PACKAGES]"
SETTINGS = ("run", "points", "out", "allow_targets")


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate one run and return the exit code: 0, 1 if its metrics are not reproduced, 2 for bad settings."""
    parser = argparse.ArgumentParser(prog="python -m src.evaluate", usage=USAGE, description=__doc__)
    parser.add_argument("run=DIR", help="folder of one seed, such as outputs/<study>/<condition>/seed=7")
    parser.add_argument("points=IN.csv", nargs="?", help="points to predict for, with the columns x1, x2, ...")
    parser.add_argument("out=OUT.csv", nargs="?", help="where to write them, with their label and probabilities")
    parser.add_argument("allow_targets=A,B", nargs="?", help="packages, beside losslab's, whose code the run may call")
    if (words := list(sys.argv[1:] if arguments is None else arguments)) in ([], ["-h"], ["--help"]):
        parser.print_help()
        return 0 if words else 2
    try:
        settings = parse(words)
        with single_threaded():
            results, parts, network = load(Path(settings["run"]), allowed(settings))
            if "points" in settings:
                return predict_points(parts, network, Path(settings["points"]), Path(settings["out"]))
            return compare(results, parts, network)
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
        None if "run" in settings else Problem("run", "given, as the folder of one seed", None),
        None if ("points" in settings) == ("out" in settings) else Problem("points and out", "given together", words),
    )
    return settings


def allowed(settings: dict[str, str]) -> list[str]:
    """Return the packages that ``allow_targets=`` names, as ``A,B`` or as ``[A,B]``."""
    names = settings.get("allow_targets", "").strip("[]")
    return [name.strip() for name in names.split(",")] if names else []


def load(folder: Path, allow_targets: Sequence[str] = ()) -> tuple[Results, Components, Callable[[Tensor], Tensor]]:
    """Rebuild the data and the network of one finished seed.

    Args:
        folder: The folder of the seed.
        allow_targets: Packages whose code its configuration may call; what it says of that itself does not count.

    Raises:
        ArtifactError: If the folder is not that of a completed seed, or a file of it is broken.
        SettingsError: If its configuration is not one that this losslab can build.
    """
    results = read_results(folder)
    if results.status != COMPLETED:
        raise ArtifactError(f"{folder} holds a failed run: {results.error}")
    try:
        own = {"trainer": results.config["trainer"] | {"accelerator": "cpu"}, "allow_targets": list(allow_targets)}
        config = results.config | own
        check_settings(config)
        parts = build_components(config, stack(config))
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder} has a configuration without what losslab needs: {error!r}") from error
    path = folder / CHECKPOINT
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        parts.classifier.load_state_dict(state, assign=True)  # in the precision it was trained in
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing") from None
    except Exception as error:  # torch's unpickler raises whatever a broken file leads it to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{path} is not the checkpoint of this run: {reason}") from None
    parts.datamodule.setup()
    return results, parts, seed_network(parts.network, 0)


def compare(results: Results, parts: Components, network: Callable[[Tensor], Tensor]) -> int:
    """Print every metric beside the stored one and return 1 if any differs, else 0."""
    data = parts.datamodule
    metrics = evaluate(network, parts.objective, data.distribution, data.train, data.test, data.val)
    metrics |= log_odds(parts.network, parts.objective, 0)
    table = Table("metric", "stored", "recomputed", "", title=f"{results.condition}/{results.name}")
    different = 0
    for name in sorted(metrics.keys() | results.metrics.keys()):
        stored, again = results.metrics.get(name), metrics.get(name)
        different += stored != again
        table.add_row(name, str(stored), str(again), "equal" if stored == again else "different")
    stdout().print(table)
    if different:
        print(f"{different} of the stored metrics are not reproduced", file=sys.stderr)
    return int(different > 0)


def predict_points(parts: Components, network: Callable[[Tensor], Tensor], source: Path, target: Path) -> int:
    """Write the points of a CSV file with the label, and the probabilities if any, that the run gives each.

    Raises:
        SettingsError: If the file cannot be read or lacks a feature, a feature is not a finite number, or the
            target cannot be written.
    """
    try:
        table = pd.read_csv(source)
    except (OSError, ValueError) as error:
        raise SettingsError(Problem("points", f"a CSV file ({str(error).splitlines()[0]})", str(source))) from None
    x = parts.datamodule.encode(table)
    predictions = prediction_columns(predict(network(x), parts.objective))
    try:
        with replacing_file(target) as scratch:
            table.drop(columns=predictions.columns, errors="ignore").join(predictions).to_csv(scratch, index=False)
    except OSError as error:
        raise SettingsError(Problem("out", f"a file that can be written ({error.strerror})", str(target))) from None
    stdout().print(f"{len(table)} points: {target}", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
