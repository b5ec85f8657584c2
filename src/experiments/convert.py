"""Conversion of what is stored of a condition: from a directory per seed to the tables of a stack, and back."""

import io
import os
import shutil
from pathlib import Path

import torch

from src.experiments.write_stack import new_stack, row_of
from src.storage import stack_table
from src.storage.atomic import recover, remove_folder, replacing_folder
from src.storage.locks import lock_free
from src.storage.schema import CHECKPOINT, RESULTS, ArtifactError, read_results, run_folders, write_results
from src.storage.stack_table import BrokenStackError, StackRun, open_stack

SEEDS_PER_STACK = 1000


def to_tables(condition: Path) -> tuple[int, list[str]]:
    """Store the seeds of a condition that have directories as tables, and remove these directories afterwards.

    Returns:
        The number of seeds that were converted, and a line for each that was not.

    Raises:
        OSError: If a file cannot be written; the stacks before it are converted.
    """
    names, problems = [], []
    for folder in run_folders(condition):
        if folder.is_dir() and not folder.is_symlink():
            try:
                row_of(read_results(folder), folder.name)
                names.append(folder.name)
            except ArtifactError as error:
                problems.append(str(error))
    if not names:
        return 0, problems
    with lock_free(condition, names) as free:
        for start in range(0, len(free), SEEDS_PER_STACK):
            part = free[start : start + SEEDS_PER_STACK]
            with new_stack(condition, part) as tables:
                for name in part:
                    with tables.run(name) as run:
                        shutil.copytree(condition / name, run.path, symlinks=True, dirs_exist_ok=True)
    return len(free), problems + _busy(condition, names, free)


def to_files(condition: Path) -> tuple[int, list[str]]:
    """Give each seed that the stacks of a condition hold a directory, and remove the stacks afterwards.

    Returns:
        The number of seeds that were converted, and a line for each, or each stack, that was not.

    Raises:
        OSError: If a file cannot be written; the seeds before it are converted.
    """
    problems = stack_table.broken_stacks(condition)
    runs = {name: run for name, run in stack_table.runs_in_stacks(condition).items() if not (condition / name).is_dir()}
    converted: list[str] = []
    if runs:
        with lock_free(condition, list(runs)) as free:
            for name in free:
                try:
                    write_files(condition / name, runs[name])
                    converted.append(name)
                except (ArtifactError, BrokenStackError) as error:
                    problems.append(str(error))
        problems += _busy(condition, list(runs), free)
    for folder in stack_table.stacks(condition):
        try:
            if all((condition / name).is_dir() for name in open_stack(folder).names):
                recover(folder)
                remove_folder(folder, holder=folder)
        except BrokenStackError:
            continue  # which is among the problems
    stack_table.forget()
    return len(converted), problems


def write_files(target: Path, run: StackRun) -> None:
    """Write the directory of a run with all that a stack holds of it.

    Raises:
        ArtifactError: If its results cannot be read.
        BrokenStackError: If a file of the stack cannot be read.
        OSError: If a file cannot be written.
    """
    results = read_results(target)
    with replacing_folder(target) as folder:
        if run.beside.is_dir():
            shutil.copytree(run.beside, folder, symlinks=True, dirs_exist_ok=True)
        for name in run.texts:
            (folder / name).write_bytes((run.text(name) or "").encode())
        if (content := run.checkpoint()) is not None:
            buffer = io.BytesIO()
            torch.save(content, buffer)
            (folder / CHECKPOINT).write_bytes(buffer.getbuffer())  # torch itself hides why a file cannot be written
        write_results(folder, results)
        os.utime(folder / RESULTS, (run.written, run.written))


def _busy(condition: Path, names: list[str], free: list[str]) -> list[str]:
    busy = len(names) - len(free)
    return [f"{condition}: {busy} seeds are in use by another command; convert them when it has ended"] if busy else []
