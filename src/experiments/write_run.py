"""Evaluation of one trained seed, and the files that it leaves."""

import logging
import math
import re
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from src.config.instantiate import Components
from src.data.protocols import Distribution
from src.experiments import write_figures
from src.experiments.condition import Condition
from src.experiments.run_folder import RunFolder
from src.experiments.write_stack import Store
from src.metrics.classification import compute_metrics
from src.metrics.collapse import COLLAPSE_EPOCH, DECIDED_CLASSES, collapse_epoch, collapsed
from src.metrics.dead_units import dead_units
from src.metrics.log_odds import log_odds
from src.metrics.predictions import Predictions, predict, seed_network, seed_state, with_weights
from src.storage import schema
from src.storage.atomic import replacing_file
from src.storage.schema import Results
from src.storage.spreadsheet import escape_formula, escape_formulas
from src.training.history import Training
from src.utils.errors import first_line
from src.utils.seed_streams import SeedStreams
from src.utils.typed_path import typed_path
from src.utils.versions import versions

log = logging.getLogger(__name__)

REFERENCES = ("bayes/", "linear/", "ideal/")  # metrics that are the same for all seeds
ROWS_PER_WRITE = 2**14  # of predictions.csv, so that the table is never held whole


def write_run_safely(
    condition: Condition,
    store: Store,
    components: Components,
    index: int,
    training: Training,
    span: tuple[float, float],
    states: Mapping[int, dict[str, Tensor]],
) -> Results:
    """Evaluate and write one seed; any error but one of files fails this seed alone."""
    try:
        return write_run(condition, store, components, index, training, span, states)
    except OSError:
        raise
    except Exception as error:
        member = components.datamodule.streams[index]
        log.exception("%s failed", condition.seed_folder(member).name)
        return write_failure(condition, store, member, error, span[1] - span[0])


def write_failure(condition: Condition, store: Store, member: SeedStreams, error: Exception, seconds: float) -> Results:
    """Write the results of a seed that failed before it could be evaluated, and return them."""
    results = condition.results(member, seconds, {}, versions(), error=f"{type(error).__name__}: {first_line(error)}")
    with store.run(condition.seed_folder(member).name) as files:
        files.write_results(results)
    return results


def write_run(
    condition: Condition,
    store: Store,
    components: Components,
    index: int,
    training: Training,
    span: tuple[float, float],
    states: Mapping[int, dict[str, Tensor]],
) -> Results:
    """Evaluate one seed of a trained stack and write its files.

    Args:
        condition: The condition.
        store: Where the seed's files go.
        components: Data, objective and trained network of the stack.
        index: Index of the seed in the stack, in [0, S).
        training: The curves of the seed.
        span: When training started and ended, in seconds since 1970.
        states: The states of its network that a movie shows, by the number of finished epochs.

    Returns:
        What ``results.json`` holds.

    Raises:
        OSError: If a file cannot be written.
    """
    member = components.datamodule.streams[index]
    images: dict[str, Path] = {}
    movie: dict[int, bytes] = {}
    metrics: dict[str, float] = {}
    error = training.error
    with store.run(condition.seed_folder(member).name) as files:
        folder = files.path
        if condition.draws(member):
            images |= write_figures.write_loss_curve(folder, training, components.objective)
        if error is None:
            network = seed_network(components.network, index)
            metrics = seed_metrics(components, index, training.history)
            if wrong := [name for name, value in metrics.items() if not math.isfinite(value)]:
                metrics, error = {}, f"not finite after the last epoch: {', '.join(wrong)}"
            else:
                write_checkpoint(files, components.network, index, training)
                _write_table(condition, components, index, folder)
                images |= _write_test_set(files, condition, components, index, network, metrics)
                if states:
                    title = condition.folder.name
                    movie = write_figures.write_movie(folder, title, components, index, training, states)
        recorded = versions() | ({} if components.engine is None else {"engine": components.engine})
        names = components.datamodule.source.class_names if error is None else []
        results = condition.results(member, span[1] - span[0], metrics, recorded, class_names=names, error=error)
        if condition.export is not None:
            condition.export(
                folder,
                history=training.history,
                metrics={name: value for name, value in metrics.items() if not name.startswith(REFERENCES)},
                hparams=hparams(results),
                started=span[0],
                ended=span[1],
                images=images,
                movie=movie,
                failed=error is not None,
            )
        write_seed(files, results, training)
    return results


def seed_metrics(components: Components, index: int, history: pd.DataFrame) -> dict[str, float]:
    """Return all final metrics of one seed.

    Args:
        components: Data, objective and trained network of the stack.
        index: Index of the seed in the stack, in [0, S).
        history: The curves of the seed, one row per epoch.
    """
    data, objective = components.datamodule, components.objective
    train, test, val = (split[index : index + 1] for split in (data.train, data.test, data.val))
    population = components.population_metrics(index)
    metrics = with_weights(
        components.network,
        seed_state(components.network, index),
        lambda network: compute_metrics(network, objective, data.source, train, test, val, population),
    )
    metrics |= dead_units(components.network, index, train.x[0])
    if collapsed(metrics[DECIDED_CLASSES]) and "train/accuracy" in history.columns:
        count = train.target.numel()
        share = int(train.target.unique(return_counts=True)[1].max()) / count
        epoch = collapse_epoch(history["train/accuracy"], share, count)
        metrics |= {} if epoch is None else {COLLAPSE_EPOCH: epoch}
    return metrics | log_odds(components.network, objective, index)


def _write_table(condition: Condition, components: Components, index: int, folder: Path) -> None:
    """Write what a seed keeps of its table, if it has one, and the copy of the file beside the seeds if asked for."""
    data = components.datamodule
    if isinstance(data.source, Distribution):
        return
    from src.data.stored_table import StoredTable  # with scikit-learn, whose import takes a second

    table = StoredTable.of(data, index)
    if table is None:
        return
    table.write(folder)
    copy = condition.folder / table_copy(table.path, table.sha256)
    if condition.config["data"].get("copy") and not copy.exists():
        with replacing_file(copy) as scratch:
            shutil.copyfile(typed_path(table.path), scratch)


def table_copy(path: str, sha256: str) -> str:
    """Return the name of the copy of a table in the directory of a condition.

    Example:
        >>> table_copy("data/iris.CSV", "3f9a1c2b77")
        'table-3f9a1c2b.csv'
    """
    suffix = "".join(re.findall(r"\.[a-z0-9]{1,8}", Path(path).name.lower())[-2:])
    return f"table-{re.sub('[^0-9a-f]', '', sha256)[:8]}{suffix}"


def _write_test_set(
    files: RunFolder,
    condition: Condition,
    components: Components,
    index: int,
    network: Callable[[Tensor], Tensor],
    metrics: dict[str, float],
) -> dict[str, Path]:
    """Write the predictions and the figures of the test set, and return the images by tag."""
    data, objective = components.datamodule, components.objective
    test = data.test[index : index + 1]
    images: dict[str, Path] = {}
    unknown = not isinstance(data.source, Distribution)
    if condition.config["predictions"] or unknown:
        predictions = predict(network(test.x[0]), objective)
    if unknown:
        draws = condition.draws(data.streams[index])
        images = write_figures.write_confusion(
            files.path, predictions.preds, test.target[0], data.source.class_names, draws
        )
    if condition.config["predictions"]:
        write_predictions(files, data.test_features(index), test.target[0], predictions, data.source.class_names)
    if condition.config["figures"] != "none":
        write_figures.write_regions(files, network, objective, data.source, test)
    if condition.draws(data.streams[index]):
        images |= write_figures.write_scatter(files.path, network, objective, data.source, test, metrics)
    return images


def write_predictions(
    files: RunFolder, features: pd.DataFrame, target: Tensor, predictions: Predictions, names: Sequence[Any]
) -> None:
    """Write ``predictions.csv``: one row per test sample with features, target, pred, correct, probabilities.

    Args:
        files: Where the seed's files go.
        features: The features of the samples; one named like another column of the file becomes ``feature.NAME``.
        target: Their classes, (N,).
        predictions: What was predicted for them.
        names: The label of each class, (C,).
    """
    kinds = [kind.kind if isinstance(kind, np.dtype) else "" for kind in features.dtypes]
    starts = range(0, len(target), ROWS_PER_WRITE)
    parts = (_part(target, predictions, names, slice(start, start + ROWS_PER_WRITE)) for start in starts)
    if _are_numbers(names) and set(kinds) <= set("iuf") and features.columns.is_unique:
        given = {name: features[name].to_numpy() for name in features.columns}
        files.write_numbers(schema.PREDICTIONS, (_with_features(given, *part) for part in parts))
        return
    with (files.path / schema.PREDICTIONS).open("w", encoding="utf-8", newline="") as file:
        for rows, own in parts:
            table = without_clashes(features[rows].reset_index(drop=True), own).join(pd.DataFrame(own))
            escape_formulas(table).to_csv(file, index=False, header=rows.start == 0)


def _part(
    target: Tensor, predictions: Predictions, names: Sequence[Any], rows: slice
) -> tuple[slice, dict[str, NDArray[Any]]]:
    """Return some rows of the predictions, and what they are."""
    probabilities = predictions.probabilities
    part = Predictions(predictions.preds[rows], None if probabilities is None else probabilities[rows])
    pred, *others = _prediction_arrays(part, names).items()
    right = (part.preds == target[rows]).int().numpy()
    return rows, dict([("target", label_column(target[rows], names)), pred, ("correct", right), *others])


def _with_features(
    features: Mapping[Any, NDArray[Any]], rows: slice, own: Mapping[str, NDArray[Any]]
) -> dict[Any, NDArray[Any]]:
    """Return rows of the predictions after the features of the samples, which are numbers."""
    given = {_beside(own, name): column[rows] for name, column in features.items()}
    return {escape_formula(name): column for name, column in {**given, **own}.items()}


def prediction_columns(predictions: Predictions, names: Sequence[Any]) -> pd.DataFrame:
    """Return the columns pred and, where there are probabilities, p0, ..., p{C-1}, or p_LABEL for other labels."""
    return pd.DataFrame(_prediction_arrays(predictions, names))


def _prediction_arrays(predictions: Predictions, names: Sequence[Any]) -> dict[str, NDArray[Any]]:
    columns = {"pred": label_column(predictions.preds, names)}
    if predictions.probabilities is not None:
        for name, column in zip(names, predictions.probabilities.T, strict=True):
            columns[f"p{name}" if _are_numbers(names) else f"p_{name}"] = column.numpy()
    return columns


def label_column(classes: Tensor, names: Sequence[Any]) -> NDArray[Any]:
    """Return the labels of some classes, (N,)."""
    return classes.numpy() if _are_numbers(names) else np.array(names, dtype=object)[classes.numpy()]


def without_clashes(features: pd.DataFrame, own: Container[str]) -> pd.DataFrame:
    """Return features of which those that are named like a column of another table are called ``feature.NAME``."""
    return features.rename(columns=lambda name: _beside(own, name))


def _beside(own: Container[str], name: Any) -> Any:
    return f"feature.{name}" if name in own else name


def _are_numbers(names: Sequence[Any]) -> bool:
    """Return whether labels are 0, ..., C-1, which need no name."""
    return [*map(str, names)] == [*map(str, range(len(names)))]


def write_checkpoint(files: RunFolder, network: nn.Module, index: int, training: Training) -> None:
    """Write one seed's weights, with a leading axis S = 1, so that they load with ``weights_only=True``."""
    state = {
        f"network.{name}": value[index : index + 1].cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    epochs, steps = (int(training.history[name].max()) if len(training.history) else 0 for name in ("epoch", "step"))
    content = {
        "state_dict": state,
        "epoch": epochs,
        "global_step": steps,
        "pytorch-lightning_version": L.__version__,
    }
    files.write_checkpoint(content)


def write_seed(files: RunFolder, results: Results, training: Training) -> None:
    """Write the files that every seed leaves, failed or not; the results last."""
    history = training.history
    files.write_numbers(schema.HISTORY, [{name: history[name].to_numpy() for name in history.columns}])
    files.write_results(results)


def hparams(results: Results) -> dict[str, str | int | float | bool]:
    """Return what TensorBoard's HParams table shows of a run: choices, classes, seed and the groups' settings."""
    chosen: dict[str, Any] = {name: getattr(results, name) for name in ("loss", "model", "data", "classes", "seed")}
    chosen |= {f"seeds.{purpose}": seed for purpose, seed in results.config["seeds"].items() if seed is not None}
    chosen["optimizer"] = results.config["optimizer"]["_target_"].rpartition(".")[2]
    for group in ("data", "model", "loss", "optimizer"):
        chosen |= {f"{group}.{name}": value for name, value in results.config[group].items() if name != "_target_"}
    chosen["trainer.max_epochs"] = results.config["trainer"]["max_epochs"]
    return {
        name: value if isinstance(value, str | int | float | bool) else str(value) for name, value in chosen.items()
    }
