"""Loading of finished runs and studies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from src.analysis.collect import collect
from src.config.instantiate import Components, build_components, stack
from src.config.stored import has_content, read_weights, stored_settings
from src.data.stored_table import MissingTable, StoredTable
from src.experiments.write_run import prediction_columns, seed_metrics, table_copy
from src.metrics.predictions import predict, seed_network
from src.storage.schema import (
    CHECKPOINT,
    COMPLETED,
    FILE_DATA,
    HISTORY,
    PREDICTIONS,
    TABLE,
    ArtifactError,
    Results,
    read_results,
    typed_folder_of_run,
)
from src.storage.schema import read_table as read_csv
from src.training.single_thread import single_threaded
from src.utils.errors import first_line
from src.utils.typed_path import typed_path
from src.utils.validation import Problem, check


@dataclass(frozen=True)
class Run:
    """One finished seed of one condition, rebuilt from its directory.

    Attributes:
        folder: The directory of the seed.
        results: What its ``results.json`` holds.
        components: Its data, objective and trained network, as a stack of one seed.
        network: The trained network, (N, D) -> (N, O), on the CPU.
        table: What it keeps of its table, or None where its data are no file or an older losslab trained it.
        note: Which file its data are read from, where it is not the one that it was trained on; or None.
    """

    folder: Path
    results: Results
    components: Components
    network: Callable[[Tensor], Tensor]
    table: StoredTable | None = None
    note: str | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The stored metrics by name."""
        return self.results.metrics

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration that the run was trained with."""
        return self.results.config

    @cached_property
    def history(self) -> pd.DataFrame:
        """The curves: one row per epoch, with the columns epoch, step, train/loss, train/accuracy, ..."""
        return read_csv(self.folder / HISTORY, ("epoch", "step"))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per test sample: the features, target, pred, correct, and probabilities if any."""
        return read_csv(self.folder / PREDICTIONS, ("target", "pred", "correct"))

    @single_threaded()
    def recompute_metrics(self) -> dict[str, float]:
        """Return all metrics, computed again from the data, weights and curves: bit for bit the stored ones."""
        if isinstance(self.components.datamodule.source, MissingTable):
            raise ArtifactError(f"{self.folder}: {self.note}")
        return seed_metrics(self.components, 0, self.history)

    @single_threaded()
    def predict(self, samples: pd.DataFrame, unknown: str | None = None) -> pd.DataFrame:
        """Return the decision for each of some samples, and its probabilities where the objective has them.

        Args:
            samples: One row per sample, with the columns of the training data: x1, x2, ... or those of the table.
            unknown: What a category is that no training sample has: an ``error``, or ``none`` of the others; None for
                what the run was trained with.

        Returns:
            The column pred, a label, and p0, ..., p{C-1} or p_LABEL if any, in the order of the rows.

        Raises:
            SettingsError: If a column is missing or holds something other than finite numbers where those are needed.
        """
        data = self.components.datamodule
        x = data.encode(samples) if self.table is None else self.table.encode(samples, unknown)
        predictions = predict(self.network(x), self.components.objective)
        return prediction_columns(predictions, data.source.class_names)


@single_threaded()
def load_run(folder: Path | str, allow_targets: Sequence[str] = (), data: Path | str | None = None) -> Run:
    """Rebuild one finished seed: its data, its objective and its trained network.

    Args:
        folder: The directory of the seed, such as ``outputs/hw4/loss=ce,classes=4-3f9a1c2b/seed=7``, which it need
            not have where ``storage=table`` was set; the last ``/`` may also be a ``#``.
        allow_targets: Packages outside of this project whose code the run may use.
        data: Where the file of a run with ``data=csv`` is now, with the content that it had; None looks where it was,
            then for the copy beside the runs.

    Raises:
        ArtifactError: If the directory is not that of a completed run, or a file in it is broken.
        SettingsError: If its configuration cannot be built.
    """
    folder = typed_folder_of_run(str(folder))
    results = read_results(folder)
    if results.status != COMPLETED:
        raise ArtifactError(f"{folder} holds a failed run: {results.error}")
    table = StoredTable.read(folder)
    place, note = find_table(results, folder, data) if results.data in FILE_DATA else (None, None)
    config = stored_settings(results, allow_targets, place)
    missing = results.data in FILE_DATA and place is None
    if missing and table is None:
        raise ArtifactError(f"{folder}: {note}")
    components = build_components(config, stack(config), MissingTable(table) if missing and table else None)
    if table is not None and len(table.mean) != components.datamodule.source.features:
        raise ArtifactError(f"{folder / TABLE} is not that of this run")
    state = components.classifier.state_dict()
    weights = read_weights(folder, size=2 * sum(value.nbytes for value in state.values()))  # or in double precision
    try:
        components.classifier.load_state_dict(weights, assign=True)  # in the precision it was trained in
    except Exception as error:  # a broken file may hold anything in place of the weights
        raise ArtifactError(f"{folder / CHECKPOINT} is not the checkpoint of this run: {first_line(error)}") from None
    if not missing:
        components.datamodule.setup()
    return Run(folder, results, components, seed_network(components.network, 0), table, note)


def find_table(results: Results, folder: Path, given: Path | str | None = None) -> tuple[Path | None, str | None]:
    """Return where the table of a run with ``data=csv`` is now, and a line about it unless it is where it was.

    Args:
        results: The stored results, which may be those of somebody else; a path in them is only compared and read.
        folder: The directory of the seed.
        given: Where it is, or None.

    Returns:
        The path of a file with the content that the run was trained on, or None.

    Raises:
        SettingsError: If a path is given, of a file with another content.
    """
    stored: Any = results.config.get("data")
    path, sha256 = (stored.get(name) for name in ("path", "sha256")) if isinstance(stored, dict) else (None, None)
    if isinstance(stored, dict) and (test := stored.get("test_path")) is not None:
        sha256_of_test = stored.get("test_sha256")
        if not has_content(test, sha256_of_test):
            return (
                None,
                f"{test!r} is missing or has changed; the run was tested on it, with the sha256 {sha256_of_test!r}",
            )
    if given is not None:
        rule = f"a file with the content that the run was trained on, of the sha256 {sha256}"
        check(None if has_content(given, sha256) else Problem("data", rule, str(given)))
        return Path(given), f"the table is read from {given}"
    if has_content(path, sha256):
        return Path(str(path)), None
    what = "has changed" if isinstance(path, str) and "\0" not in path and typed_path(path).is_file() else "is missing"
    copy = folder.parent / table_copy(str(path), str(sha256))
    if not copy.is_symlink() and has_content(copy, sha256):
        return copy, f"{path!r} {what}; its copy {copy} is read"
    return None, f"{path!r} {what}; data=FILE names the file that the run was trained on, with the sha256 {sha256!r}"


def load_study(*folders: Path | str) -> pd.DataFrame:
    """Return the runs of one or more studies as a tidy table, one row per run.

    Args:
        folders: Directories of studies, such as ``outputs/hw4``.

    Returns:
        The columns label, study, condition, fingerprint, loss, model, data, classes, the settings in which the
        conditions differ, seed and the seeds of the random streams, status, seconds, one column per metric, and
        folder. Failed runs have no metrics.

    Raises:
        ArtifactError: If a directory does not exist.
    """
    return collect([Path(folder) for folder in folders]).runs
