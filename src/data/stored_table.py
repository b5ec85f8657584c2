"""What a run keeps of its table: enough to encode new samples, whatever has become of the file.

It is a JSON file, as a run may be that of somebody else: nothing in it is code.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from src.data.columns import Column
from src.data.datamodule import StackedDataModule
from src.data.encoding import Encoder, Layout
from src.data.protocols import DataSource
from src.data.tabular import CsvTable, Preprocessing, Table, scaled
from src.storage.schema import TABLE, ArtifactError, file_text
from src.utils.validation import Problem, SettingsError, check, choice

_MAX_BYTES = 100_000_000  # of the split indices of ten million rows
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class StoredTable:
    """The encoder of one seed, the names of its classes and features, and its splits.

    Attributes:
        path: The file, as the run was given it.
        sha256: The hash of its content.
        class_names: The label of each class, (C,).
        encoder: The encoder of its categories.
        mean: Mean of each input over the training samples, (D,).
        deviation: Its standard deviation, (D,).
        splits: The rows of the training, validation and test samples, from 0.
        columns: All columns, features or not, for the report.
    """

    path: str
    sha256: str
    class_names: list[Any]
    encoder: Encoder
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    splits: dict[str, list[int]]
    columns: tuple[Column, ...] = ()

    @classmethod
    def of(cls, data: StackedDataModule, index: int) -> "StoredTable | None":
        """Return that of one seed of a stack, or None where the data are no file."""
        if not isinstance(source := data.source, CsvTable):
            return None
        preprocessing = data.preprocessing
        assert isinstance(preprocessing, Preprocessing)  # noqa: S101 - for mypy; it is that of every table
        rows = {name: part[index].tolist() for name, part in zip(_SPLITS, data.indices, strict=True)}
        mean, deviation = (moment[index, 0].numpy() for moment in (preprocessing.mean, preprocessing.deviation))
        encoder = preprocessing.encoder(index)
        names, columns = source.class_names, source.frame.columns
        return cls(source.path, str(source.sha256), names, encoder, mean, deviation, rows, columns)

    @property
    def layout(self) -> Layout:
        """Where the features are."""
        return self.encoder.layout

    def write(self, folder: Path) -> None:
        """Write ``table.json`` into the directory of a seed."""
        content = {
            "path": self.path,
            "sha256": self.sha256,
            "class_names": self.class_names,
            "layout": asdict(self.layout),
            "positions": self.encoder.positions,
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
            "splits": self.splits,
            "columns": list(map(asdict, self.columns)),
        }
        (folder / TABLE).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "StoredTable | None":
        """Read ``table.json`` of a seed, or return None where there is none.

        Raises:
            ArtifactError: If it is broken.
        """
        path = folder / TABLE
        if (text := file_text(path, _MAX_BYTES)) is None:
            return None
        try:
            return cls._from(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ArtifactError(f"{path} is not what a run keeps of its table: {error!r}") from None

    @classmethod
    def _from(cls, content: dict[str, Any]) -> "StoredTable":
        layout = dict(content["layout"])
        columns = tuple(_column(each) for each in layout.pop("columns"))
        positions = tuple(tuple(map(_whole, each)) for each in content["positions"])
        encoder = Encoder(Layout(columns, **layout), positions)
        mean, deviation = (np.array(content[name], dtype=float) for name in ("mean", "deviation"))
        widths = encoder.layout.widths()
        fits = [
            column.is_number or (len(places) == len(column.categories) + 1 and max(places) < width)
            for column, places, width in zip(columns, positions, widths, strict=True)
        ]
        shapes = mean.shape == deviation.shape == (sum(widths),)
        if not (shapes and all(fits) and np.isfinite([mean, deviation]).all() and _are_labels(content["class_names"])):
            raise ValueError("its parts do not fit together")
        splits = {name: [_whole(row) for row in content["splits"][name]] for name in _SPLITS}
        return cls(
            str(content["path"]), str(content["sha256"]), content["class_names"], encoder, mean, deviation, splits
        )

    def encode(self, samples: pd.DataFrame, unknown: str | None = None) -> Tensor:
        """Return samples as inputs of the network, (n, D), float32.

        Args:
            samples: A table with the columns of the features.
            unknown: What a category is that no training sample has: an ``error``, or ``none`` of the others; None for
                what the run was trained with.

        Raises:
            SettingsError: If a column is missing, has a category that no training sample has, or is not numeric.
        """
        check(None if unknown is None else choice("unknown", unknown, ("error", "none")))
        allowed = (unknown or self.layout.unknown) == "none"
        codes = self.layout.codes(samples, allow_unknown=allowed)
        for name, category, row in [] if allowed else self.encoder.unseen(codes):
            rule = f"a table whose column {name} holds categories of the training samples, or with unknown=none"
            check(Problem("samples", rule, f"{category} in row {row}"))
        return scaled(torch.from_numpy(self.encoder(codes)), *map(torch.from_numpy, (self.mean, self.deviation)))


class MissingTable(DataSource):
    """The table of a run whose file has moved or changed: new samples can be encoded, and none of its own drawn."""

    def __init__(self, stored: StoredTable) -> None:
        self.features = len(stored.mean)
        self.classes = len(stored.class_names)
        self.size = sum(map(len, stored.splits.values()))
        self.splits = Table.splits
        self._sizes = len(stored.splits["test"]), len(stored.splits["val"])
        self._class_names = stored.class_names

    @property
    def class_names(self) -> list[Any]:
        """The label of each class, (C,)."""
        return self._class_names

    def split_sizes(self, test: int, val: int, split: str, folds: int | None = None) -> tuple[int, int]:
        """Return the sizes of the splits that the run had."""
        return self._sizes

    def sample(self, generators: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Raise a SettingsError, as there are no samples."""
        raise SettingsError(Problem("data", "the file that the run was trained on, which has moved or changed", None))


def _column(content: dict[str, Any]) -> Column:
    categories = tuple(content.pop("categories"))
    column = Column(**content, categories=categories)
    if not all(isinstance(text, str) for text in (column.name, column.role, *categories)):
        raise ValueError("a column is none")
    return column


def _are_labels(names: Any) -> bool:
    return isinstance(names, list) and len(names) > 1 and all(isinstance(name, str | int | float) for name in names)


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("an index is no integer")
    return value
