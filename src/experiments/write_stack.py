"""Where the files of the seeds of a stack go: a directory for each, or the tables of the stack."""

import io
import json
import shutil
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from src.experiments.condition import Condition
from src.experiments.run_folder import RunFolder, StackedRun
from src.storage import stack_table
from src.storage.atomic import new_content, numbered_folder, remove_folder, take_place
from src.storage.csv_text import csv_text
from src.storage.schema import CHECKPOINT, RESULTS, TABLE, ArtifactError, Results, read_results
from src.training.checkpoint_file import load_checkpoint
from src.utils.seed_streams import SeedStreams
from src.utils.seeds import SEED_KEYS

FLUSH_THREADS = 4  # threads that wait for the disk, which makes several waits in the time of one,
MAX_PENDING = 8  # for at most so many seeds
ROWS_PER_BLOCK = 2**16  # of a table, which are read and written together
_FORMAT: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
_BESIDE_WEIGHTS = {"epoch", "global_step", "pytorch-lightning_version"}


class Store(Protocol):
    """Where the files of some seeds of a condition go."""

    def run(self, name: str) -> AbstractContextManager[RunFolder]:
        """Yield where the files of a run are written, which are stored when the body ends without an error."""


class SeedFolders:
    """A directory per seed, for ``storage=files``.

    Args:
        condition: The directory of the condition.
        threads: They wait for the disk and let directories take their places, while further seeds are evaluated.
    """

    def __init__(self, condition: Path, threads: Executor) -> None:
        self.condition = condition
        self._threads = threads
        self._pending: deque[Future[None]] = deque()

    @contextmanager
    def run(self, name: str) -> Iterator[RunFolder]:
        """Yield a directory that takes the place of that of the run.

        Raises:
            OSError: If this directory cannot be written, or one before it could not take its place.
        """
        target = self.condition / name
        with new_content(target) as folder:
            yield RunFolder(folder)
        self._pending.append(self._threads.submit(take_place, target))
        self.wait(MAX_PENDING)

    def wait(self, most: int = 0) -> None:
        """Wait until at most so many directories have not taken their places.

        Raises:
            OSError: If one of the others could not.
        """
        while len(self._pending) > most:
            self._pending.popleft().result()


@contextmanager
def open_store(condition: Condition, members: Sequence[SeedStreams]) -> Iterator[Store]:
    """Yield where the files of a stack go, as ``storage`` requests; its tables appear when the body ends.

    Args:
        condition: The condition.
        members: The random streams of its seeds, which this process has locked.
    """
    if condition.config["storage"] == "files":
        with ThreadPoolExecutor(FLUSH_THREADS) as threads:
            folders = SeedFolders(condition.folder, threads)
            yield folders
            folders.wait()
        return
    with new_stack(condition.folder, [condition.seed_folder(member).name for member in members]) as tables:
        yield tables


@contextmanager
def new_stack(condition: Path, names: Sequence[str]) -> Iterator["StackTables"]:
    """Yield the tables of a new stack of some runs, which take the place of what is stored of these runs.

    Raises:
        OSError: If a file cannot be written; nothing is changed then.
    """
    holder = condition / names[0]
    with numbered_folder(condition / stack_table.PREFIX, holder) as scratch, closing(StackTables(scratch)) as tables:
        yield tables
        tables.finish()
    stack_table.forget()
    for name in names:
        if (condition / name).is_dir():
            remove_folder(condition / name, holder)
    of_these = [stack for stack in stack_table.stacks(condition) if _holds_no_others(stack, names)]
    for replaced in of_these[:-1]:
        remove_folder(replaced, holder)
    stack_table.forget()


def _holds_no_others(stack: Path, names: Sequence[str]) -> bool:
    """Return whether all runs of a stack are among those of some names; False where it cannot be read."""
    with suppress(stack_table.BrokenStackError):
        return set(stack_table.open_stack(stack).names) <= set(names)
    return False


class StackTables:
    """The tables of a stack, as ``src.storage.stack_table`` describes them, while they are written.

    Args:
        folder: An empty directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self._tables: dict[str, _Table] = {}
        self._weights: list[dict[str, Tensor]] = []

    @contextmanager
    def run(self, name: str) -> Iterator[StackedRun]:
        """Yield where a run is written, and move the files of its directory into the tables where these can hold them.

        Raises:
            ArtifactError: If a row cannot hold its results.
        """
        folder = self.folder / name
        folder.mkdir()
        try:
            run = StackedRun(folder)
            yield run
            self._add(run)
        except BaseException:
            shutil.rmtree(folder)
            raise

    def _add(self, run: StackedRun) -> None:
        """Move a run into the tables; what they cannot hold exactly stays in its directory."""
        folder = run.path
        if run.results is None:
            run.results, run.written = read_results(folder), (folder / RESULTS).stat().st_mtime
            (folder / RESULTS).unlink()
        row = row_of(run.results, folder.name)
        row[stack_table.WRITTEN] = run.written
        if run.checkpoint is not None and not self._add_weights(run.checkpoint, row):
            RunFolder(folder).write_checkpoint(run.checkpoint)
        for name in sorted({*run.tables, *(path.name for path in folder.iterdir())}):
            if name in run.tables:
                if not self._add_table(name, run.tables[name], row):
                    row[stack_table.TEXT + name] = csv_text(run.tables[name])
            elif self._add_file(folder / name, row):
                (folder / name).unlink()
        self.rows.append(row)
        with suppress(OSError):  # something is left in it
            folder.rmdir()

    def _add_file(self, path: Path, row: dict[str, Any]) -> bool:
        """Add a file to the tables and return True, or False where they cannot hold it exactly."""
        if path.is_symlink():
            return False
        if path.name == CHECKPOINT:
            try:
                return self._add_weights(load_checkpoint(path), row)
            except Exception:  # torch's unpickler raises errors of any type for a broken file, which stays what it is
                return False
        if path.suffix == ".csv":
            table = _exact(path)
            return (table is not None and self._add_table(path.name, table, row)) or _add_text(path, row)
        return path.name == TABLE and _add_text(path, row)

    def finish(self) -> None:
        """Write what is left to write."""
        import pyarrow as pa  # an optional extra
        from pyarrow import parquet
        from safetensors.torch import save

        for table in self._tables.values():
            table.write()
            table.close()
        if self._weights:
            stacked = {name: torch.cat([each[name] for each in self._weights]) for name in self._weights[0]}
            (self.folder / stack_table.WEIGHTS).write_bytes(save(stacked))
        names = dict.fromkeys(name for row in self.rows for name in row)
        columns = {name: _column(name, [row.get(name) for row in self.rows]) for name in names}
        with (self.folder / stack_table.RESULTS).open("wb") as file:
            parquet.write_table(pa.table(columns), file, **_FORMAT)

    def close(self) -> None:
        """Close the files, also after an error, when they are thrown away."""
        for table in self._tables.values():
            with suppress(OSError):
                table.close()

    def _add_weights(self, content: dict[str, Any], row: dict[str, Any]) -> bool:
        weights = content.get("state_dict", {})
        shapes = {name: (value.shape, value.dtype) for name, value in weights.items()}
        if self._weights and shapes != {name: (value.shape, value.dtype) for name, value in self._weights[0].items()}:
            return False
        about = {name: value for name, value in content.items() if name != "state_dict"}
        if about.keys() != _BESIDE_WEIGHTS or any(value.shape[:1] != (1,) for value in weights.values()):
            return False
        self._weights.append(weights)
        row[stack_table.CHECKPOINT] = json.dumps(about)
        return True

    def _add_table(self, name: str, columns: Mapping[str, Any], row: dict[str, Any]) -> bool:
        stem = Path(name).stem
        if stem not in self._tables:
            self._tables[stem] = _Table(self.folder / f"{stem}.parquet", columns)
        if not self._tables[stem].add(row[stack_table.RUN], columns):
            return False
        row[stack_table.ROWS + stem] = len(next(iter(columns.values())))
        return True


class _Table:
    """A table of a stack: blocks of rows, of which each has all rows of some runs.

    Args:
        path: Its file.
        columns: The columns of the first run.
    """

    def __init__(self, path: Path, columns: Mapping[str, Any]) -> None:
        self.dtypes = _dtypes(columns)
        self.file = path.open("wb")
        self.runs: list[str] = []
        self.sizes: list[int] = []
        self.columns: dict[str, list[Any]] = {name: [] for name in columns}
        self.writer: Any = None

    def add(self, run: str, columns: Mapping[str, Any]) -> bool:
        """Add the rows of a run and return True, or False where its columns are not those of the first one."""
        if _dtypes(columns) != self.dtypes:
            return False
        for name, values in columns.items():
            self.columns[name].append(values)
        self.runs.append(run)
        self.sizes.append(len(values))
        if sum(self.sizes) >= ROWS_PER_BLOCK:
            self.write()
        return True

    def write(self) -> None:
        """Write the rows that were added."""
        import pyarrow as pa  # an optional extra
        from pyarrow import parquet

        if self.runs:
            runs = pd.Series(self.runs).repeat(self.sizes).reset_index(drop=True)
            joined = {name: pd.concat(map(pd.Series, parts), ignore_index=True) for name, parts in self.columns.items()}
            frame = pd.DataFrame({stack_table.RUN: runs, **joined})
            table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
            if self.writer is None:
                self.writer = parquet.ParquetWriter(self.file, table.schema, **_FORMAT)
            self.writer.write_table(table, row_group_size=len(table))
            self.runs, self.sizes = [], []
            self.columns = {name: [] for name in self.columns}

    def close(self) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
        self.file.close()


def _dtypes(columns: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, values.dtype) for name, values in columns.items()]


def row_of(results: Results, run: str) -> dict[str, Any]:
    """Return the row of a run, from which its results can be restored.

    Raises:
        ArtifactError: If they cannot.
    """
    config = results.config
    if isinstance(seeds := config.get("seeds"), dict):
        pinned = [word.partition("=")[0] for word in run.split(",")]
        config = config | {"seed": None, "seeds": seeds | {name: None for name in seeds if name in pinned}}
    texts = {name: json.dumps(getattr(results, name)) for name in stack_table.JSON} | {"config": json.dumps(config)}
    row = {
        stack_table.RUN: run,
        **{name: getattr(results, name) for name in stack_table.PLAIN},
        "seed": results.seed,
        **{key: results.streams.get(key.removeprefix("seeds.")) for key in SEED_KEYS[1:]},
        **results.metrics,
        **texts,
        stack_table.CHECKPOINT: None,
    }
    if Results(**stack_table.results_of(row, list(results.metrics))) != results:
        raise ArtifactError(f"{run}: a row of a table cannot hold its results exactly")
    return row


def _column(name: str, values: list[Any]) -> Any:
    """Return the column of a table, with its type also where all of its values are missing."""
    import pyarrow as pa  # an optional extra

    texts = (*stack_table.TEXTS, *stack_table.JSON, stack_table.CHECKPOINT)
    return pa.array(values, pa.string() if name in texts else None)


def _exact(path: Path) -> dict[str, Any] | None:
    """Return a CSV file as columns from which the same bytes can be written, or None where there are none."""
    content = path.read_bytes()
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = pd.read_csv(io.BytesIO(content), index_col=False, float_precision="round_trip")
    except (ValueError, pd.errors.ParserWarning):
        return None
    plain = not table.empty and stack_table.RUN not in table.columns
    same = plain and table.to_csv(index=False, lineterminator="\n").encode() == content
    uniform = same and all(
        pd.api.types.is_numeric_dtype(column) or column.map(lambda cell: isinstance(cell, str)).all()
        for _, column in table.items()
    )
    if not uniform:
        return None
    return {
        str(name): column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
        for name, column in table.items()
    }


def _add_text(path: Path, row: dict[str, Any]) -> bool:
    try:
        row[stack_table.TEXT + path.name] = path.read_bytes().decode()
    except UnicodeError:
        return False
    return True
