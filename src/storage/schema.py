"""The files of a run: their schema, writer and reader.

Files are the interface between training, which writes them, and analysis, which reads them. One seed of one condition
is one directory::

    <study>/<condition>/seed=7/
        results.json       written last: its presence means that the seed is finished
        history.csv        one row per epoch
        predictions.csv    one row per test sample, unless predictions=false
        confusion.csv      test samples by true and predicted class, where no distribution is known
        regions.csv        predicted and Bayes-optimal class over a grid, unless figures=none
        table.json         encoder, classes and splits of a table, for data=csv
        checkpoint.ckpt    the weights of this seed alone
        events.out.tfevents.*  and  figures/*, where they are requested

With ``storage=table`` the stack that a seed was trained in holds them instead, see ``src.storage.stack_table``. The
seed's directory still names the run, and the readers here find it in either.
"""

import io
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from src.storage import stack_table
from src.storage.atomic import replacing_file
from src.storage.spreadsheet import unescape_formulas

SCHEMA = 2
RESULTS = "results.json"
MAX_RESULTS_BYTES = 10_000_000  # a thousand times what one seed leaves
HISTORY = "history.csv"
PREDICTIONS = "predictions.csv"
REGIONS = "regions.csv"
CONFUSION = "confusion.csv"
CHECKPOINT = "checkpoint.ckpt"
TABLE = "table.json"
FIGURES = "figures"
COMPLETED = "completed"
FAILED = "failed"
NO_LOSS = "none"  # the choice of ``loss`` that goes with models that are fitted in closed form

# Settings, with all below them, that change neither data nor training.
FILE_DATA = ("csv", "openml_file")  # choices of data that are a table in a file
EXCLUDED_FROM_FINGERPRINT = (
    *("seed", "seeds", "study", "resume", "optimized_metric", "predictions", "fail_fast", "allow_targets"),
    *("storage", "figures", "export", "hydra", "engine", "tags", "data.copy", "data.test_path"),
    *("logger", "profiler", "paths"),
    *("trainer.checkpoint_every", "trainer.accelerator", "trainer.devices", "trainer.logger"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.enable_checkpointing"),
)

OBSERVERS = (  # callbacks that change no result
    "src.training.callbacks.progress.SeedProgressBar",
    *(
        f"lightning.pytorch.callbacks.{name}"
        for name in ("LearningRateMonitor", "ModelCheckpoint", "ModelSummary", "RichModelSummary", "RichProgressBar")
    ),
)

_UNSET: dict[str, Any] = {  # settings of the data by their values before there were such settings
    **{
        f"data.{name}": None for name in ("features", "groups", "split_by", "labels", "min_frequency", "max_categories")
    },
    **{f"data.{name}": [] for name in ("drop", "categorical", "numeric")},
    "data.ordered": {},
    "data.class_weights": "none",
    "data.stratified_batches": False,
    "data.split": "stratified",
    "data.merge_labels": False,
    "data.unknown": "error",
}
_SAMPLES = {"noisy_cubic": "samples_per_class", "xor": "samples_per_corner"}  # what schema 1 calls data.points
_SEED_FOLDER = re.compile(r"seed=\d+(,(data|split|init|shuffle)=\d+)*", flags=re.ASCII)


def is_off(name: str, value: Any) -> bool:
    """Return whether a setting changes no result, as if it were absent: no scheduler, a callback that only observes.

    So runs that were trained before there were such settings keep their fingerprints.

    Example:
        >>> is_off("scheduler", {"_target_": None}), is_off("callbacks", {"mine": {"_target_": "my.Callback"}})
        (True, False)
    """
    if name.startswith("data.read."):
        return value is None
    if name in _UNSET:
        return bool(value == _UNSET[name])
    if not isinstance(value, Mapping):
        return False
    if name == "data.read":
        return all(each is None for each in value.values())
    if name == "callbacks":
        return all(is_off(f"callbacks.{key}", each) for key, each in value.items())
    target = value.get("_target_")
    return (name == "scheduler" and target is None) or (name.startswith("callbacks.") and target in OBSERVERS)


class ArtifactError(ValueError):
    """A file of a run is missing, broken or of another schema; the message is one line."""


class NewerSchemaError(ArtifactError):
    """A newer losslab wrote the file."""


@dataclass(frozen=True)
class Results:
    """The content of ``results.json``: one seed of one condition.

    Attributes:
        study: Name of the study, the folder under ``outputs``.
        condition: Name of the condition, the folder under the study.
        fingerprint: Hash of the settings that decide the condition's results.
        loss: Choice of the ``loss`` group.
        model: Choice of the ``model`` group.
        data: Choice of the ``data`` group.
        classes: Number of classes C.
        seed: The seed.
        overrides: The command line's overrides.
        config: The resolved configuration.
        versions: Versions of Python and the libraries, the commit, and the engine that trained it.
        seconds: Wall-clock seconds of training, of all seeds that trained together.
        metrics: Final metrics by name; empty for a failed seed.
        status: ``completed`` or ``failed``.
        error: Why a failed seed failed.
        streams: The seeds of the random streams (data, split, init, shuffle) by purpose; all follow ``seed`` unless
            they were pinned.
        class_names: The label of each class: texts, integers, floats or booleans; empty for a failed seed.
        schema: Version of this schema.
    """

    study: str
    condition: str
    fingerprint: str
    loss: str
    model: str
    data: str
    classes: int
    seed: int
    overrides: list[str]
    config: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    status: str = COMPLETED
    error: str | None = None
    streams: dict[str, int] = field(default_factory=dict)
    class_names: list[Any] = field(default_factory=list)
    schema: int = SCHEMA

    @property
    def name(self) -> str:
        """The name of the seed's folder."""
        given = self.config.get("seeds", {})
        pins = {purpose: seed for purpose, seed in self.streams.items() if given.get(purpose) is not None}
        return seed_folder(Path(), self.seed, pins).name


_KNOWN = frozenset(item.name for item in fields(Results))
_REQUIRED = _KNOWN - {"metrics", "status", "error", "streams", "class_names", "schema"}


def seed_folder(condition: Path, seed: int, pins: Mapping[str, int] = MappingProxyType({})) -> Path:
    """Return the folder of one seed of a condition.

    Args:
        condition: The folder of the condition.
        seed: The seed.
        pins: The seeds of those random streams that do not follow it.

    Example:
        >>> seed_folder(Path("ce"), 7).name, seed_folder(Path("ce"), 0, {"data": 3, "init": 1}).name
        ('seed=7', 'seed=0,data=3,init=1')
    """
    return condition / ",".join(f"{name}={value}" for name, value in {"seed": seed, **pins}.items())


def write_results(folder: Path, results: Results) -> None:
    """Write ``results.json`` into a folder, atomically.

    Raises:
        ValueError: If a metric is NaN or infinite, which JSON cannot say.
    """
    text = json.dumps(vars(results), indent=2, allow_nan=False)
    with replacing_file(folder / RESULTS, durable=False) as scratch:
        scratch.write_text(text + "\n", encoding="utf-8")


def read_results(folder: Path) -> Results:
    """Read the results of a seed: ``results.json`` in its folder, or its row in a stack.

    Raises:
        ArtifactError: If the file is missing, is not JSON, lacks a key, has a value of the wrong type, or was
            written by a newer schema.
    """
    path = folder / RESULTS
    try:
        if run := stack_table.find_run(folder):
            content: Any = run.results()
        elif (text := file_text(path, MAX_RESULTS_BYTES)) is None:
            raise ArtifactError(f"{folder} is not the folder of a finished run: it has no {RESULTS}")
        else:
            content = json.loads(text)
    except (ArtifactError, stack_table.BrokenStackError) as error:
        raise ArtifactError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} holds {type(content).__name__}, expected an object")
    schema: Any = content.get("schema")
    if schema == 1 and _is_whole(schema):
        content = _upgrade(content)
    elif schema != SCHEMA:
        newer = _is_whole(schema) and schema > SCHEMA
        kind = NewerSchemaError if newer else ArtifactError
        raise kind(f"{path} has schema {schema!r}, this losslab reads schemas 1 and {SCHEMA}")
    if missing := sorted(_REQUIRED - content.keys()):
        raise ArtifactError(f"{path} lacks {', '.join(missing)}")
    results = Results(**{name: value for name, value in content.items() if name in _KNOWN})
    if problem := _type_error(results):
        raise ArtifactError(f"{path}: {problem}")
    return results


def exists(path: Path) -> bool:
    """Return whether a run has a file, such as ``results.json``, in its folder or in a stack."""
    run = stack_table.find_run(path.parent)
    return path.is_file() if run is None else path.name == RESULTS or run.has(path.name)


def written(folder: Path) -> float:
    """Return when the results of a run were written, in seconds since 1970."""
    run = stack_table.find_run(folder)
    return (folder / RESULTS).stat().st_mtime if run is None else run.written


def files_beside(folder: Path) -> Path:
    """Return the directory with those files of a run that no table holds, such as figures."""
    run = stack_table.find_run(folder)
    return folder if run is None else run.beside


def file_text(path: Path, max_bytes: int | None = None) -> str | None:
    """Return a text file of a run, from its folder or as a stack holds it, or None where the run has none.

    Args:
        path: The file in the folder of the run.
        max_bytes: Bytes that it may have.

    Raises:
        ArtifactError: If it cannot be read, has more bytes or leads out of the folder.
    """
    try:
        run = stack_table.find_run(path.parent)
        if run is not None and (text := run.text(path.name)) is not None:
            return text
        if run is not None:
            path = run.beside / path.name
            if not os.path.lexists(path):  # before slower checks, as few runs of a stack have such files
                return None
        check_contained(path, path.parent)
        if max_bytes is not None and (size := path.stat().st_size) > max_bytes:
            raise ArtifactError(f"{path} has {size} bytes, expected at most {max_bytes}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except stack_table.BrokenStackError as error:
        raise ArtifactError(str(error)) from None
    except (OSError, UnicodeError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None


def check_contained(path: Path, folder: Path) -> None:
    """Raise unless a file of a run, if it exists, is a regular one that lies in the run's directory.

    Raises:
        ArtifactError: If it is a link that leads out of the directory, or a device or pipe.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(f"{path} leads out of {folder}, and links are not followed")
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} cannot be read: it is not a regular file")


def _type_error(results: Results) -> str | None:
    """Return which value of a results file has the wrong type, or None."""
    for name, (rule, valid) in _RULES.items():
        if not valid(value := getattr(results, name)):
            return f"expected {name} to be {rule}, got {value!r}"
    if not isinstance(pins := results.config.get("seeds", {}), Mapping):
        return f"expected config.seeds to be an object, got {pins!r}"
    for name, value in results.metrics.items():
        if not _is_finite(value):
            return f"expected the metric {name!r} to be a finite number, got {value!r}"
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("study", "condition", "fingerprint", "loss", "model", "data"), ("text", _is_text)),
    **dict.fromkeys(("classes", "seed"), ("a whole number of at least 0", _is_whole)),
    **dict.fromkeys(("config", "versions", "metrics"), ("an object", _is_object)),
    "error": ("text or null", lambda value: value is None or _is_text(value)),
    "overrides": ("a list of text", lambda value: isinstance(value, list) and all(map(_is_text, value))),
    "class_names": (
        "a list of texts, numbers and booleans",
        lambda value: isinstance(value, list) and all(isinstance(name, str | int | float) for name in value),
    ),
    "seconds": ("a finite number", _is_finite),
    "status": (f"{COMPLETED} or {FAILED}", lambda value: value in (COMPLETED, FAILED)),
    "streams": (
        "whole numbers of at least 0 by purpose",
        lambda value: _is_object(value) and all(map(_is_whole, value.values())),
    ),
}


def _upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of schema 1 holds with the names that schema 2 gives to its settings."""
    config = dict(content["config"]) if _is_object(content.get("config")) else {}
    if "returns" in config:
        config["optimized_metric"] = config.pop("returns")
    if "logger" in config:
        config["export"] = config.pop("logger")
    if _is_object(config.get("data")) and "points" in config["data"]:
        data = dict(config["data"])
        data[_SAMPLES.get(str(content.get("data")), "samples")] = data.pop("points")
        config["data"] = data
    return content | {"config": config, "schema": SCHEMA}


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV file of a run, such as ``history.csv`` or ``predictions.csv``.

    Args:
        path: The file.
        columns: The columns that it must have.

    Raises:
        ArtifactError: If the file is missing, is not CSV or lacks a column.
    """
    try:
        run = stack_table.find_run(path.parent)
        table = None if run is None else run.table(path.name)
    except stack_table.BrokenStackError as error:
        raise ArtifactError(str(error)) from None
    if table is None:
        table = _read_csv(path)
    if missing := [column for column in columns if column not in table.columns]:
        raise ArtifactError(f"{path} lacks the column {', '.join(missing)}")
    return unescape_formulas(table)


def read_numbers(path: Path, columns: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read columns of numbers of a CSV file of a run; those of many runs of a stack are read at once.

    Args:
        path: The file.
        columns: The columns, whose names no spreadsheet would run as formulas.

    Raises:
        ArtifactError: If the file is missing, is not CSV, lacks a column, or has one of something else.
    """
    try:
        run = stack_table.find_run(path.parent)
        found = None if run is None else run.columns(path.name, columns)
    except stack_table.BrokenStackError as error:
        raise ArtifactError(str(error)) from None
    if found is None:
        table = read_table(path, columns)
        found = {name: table[name].to_numpy() for name in columns}
    for name, values in found.items():
        if values.dtype.kind not in "iuf":
            raise ArtifactError(f"{path}: expected numbers in the column {name}")
    return found


def _read_csv(path: Path) -> pd.DataFrame:
    if (text := file_text(path)) is None:
        raise ArtifactError(f"{path} is missing")
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            # Without index_col rows longer than the header would shift its columns.
            return pd.read_csv(io.StringIO(text), index_col=False, float_precision="round_trip")
    except (ValueError, pd.errors.ParserWarning) as error:
        raise ArtifactError(f"{path} cannot be read: {str(error).strip()}") from None


def seed_folders(study: Path) -> list[Path]:
    """Return the folders of all seeds of all conditions of a study, sorted by condition, then by seed and pins.

    Those that only a stack holds are among them.

    Raises:
        ArtifactError: If the study's folder does not exist.
    """
    if not study.is_dir():
        raise ArtifactError(f"{study} is not a folder")
    root = study.resolve()  # links that lead out of the study are not followed
    conditions = [path for path in sorted(study.iterdir()) if path.is_dir() and path.resolve().is_relative_to(root)]
    folders = [folder for condition in conditions for folder in run_folders(condition)]
    return [folder for folder in folders if not folder.is_symlink() or folder.resolve().is_relative_to(root)]


def run_folders(condition: Path) -> list[Path]:
    """Return the folders of all seeds of a condition, those that only a stack holds included, by seed and pins."""
    folders = {*condition.glob("seed=*"), *(condition / name for name in stack_table.runs_in_stacks(condition))}
    found = [path for path in folders if _SEED_FOLDER.fullmatch(path.name)]
    return sorted(found, key=lambda path: [int(word) for word in re.findall(r"\d+", path.name)])


def typed_folder_of_run(text: str) -> Path:
    """Return the folder of a run as it is typed, in which ``PATH#seed=7`` names a seed of a condition or of a stack.

    Example:
        >>> [typed_folder_of_run(text).as_posix() for text in ("hw4/ce#seed=7", "hw4/ce/stack-0#seed=7")]
        ['hw4/ce/seed=7', 'hw4/ce/seed=7']
    """
    place, mark, name = text.rpartition("#")
    if not mark or not _SEED_FOLDER.fullmatch(name):
        return Path(text)
    condition = Path(place)
    return (condition.parent if stack_table.is_stack(condition) else condition) / name
