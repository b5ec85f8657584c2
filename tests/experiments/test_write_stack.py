import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Timer

import numpy as np
import pandas as pd
import pytest
import torch

from src.analysis.collect import collect
from src.analysis.confusion_files import read_confusion
from src.analysis.reliability_bins import read_reliability
from src.analysis.run_files import read_curves, read_predictions, read_regions
from src.config.stored import read_weights
from src.evaluate import main as evaluate
from src.experiments import load_run, run, runner, write_run, write_stack
from src.experiments.write_stack import MAX_PENDING, SeedFolders, new_stack
from src.storage import atomic, stack_table
from src.storage.atomic import numbered_folder
from src.storage.schema import TABLE, exists, file_text, files_beside, read_results, seed_folders
from src.storage.stack_table import Stack, find_run, forget, stacks

pytest.importorskip("safetensors")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SMALL = ("data.samples_per_class=20", "trainer.max_epochs=2")
PARTS = ("history.csv", "predictions.csv", "regions.csv")


def small(folder, storage, seed, **more):
    settings = {"figures": "none"} | more
    return run(*SMALL, loss="ce", classes=3, seed=seed, storage=storage, output_dir=folder, **settings)


def condition_of(folder):
    [path] = folder.glob("runs/loss=ce*")
    return path


def test_at_most_so_many_directories_wait_for_the_disk(tmp_path, monkeypatch):
    flushing, slow = [], Event()

    def flush(*_):
        flushing.append(1)
        slow.wait(60)

    monkeypatch.setattr(atomic, "flush", flush)
    with ThreadPoolExecutor(1) as threads:
        folders = SeedFolders(tmp_path, threads)
        for number in range(MAX_PENDING + 1):
            if number == MAX_PENDING:
                Timer(0.1, slow.set).start()  # this one waits for the first
            with folders.run(f"seed={number}") as files:
                (files.path / "a.txt").write_text("whole")
            assert slow.is_set() == (number == MAX_PENDING)
        folders.wait()
    assert len(flushing) == 2 * (MAX_PENDING + 1)  # each directory, and the one that holds it
    assert len([*tmp_path.glob("seed=*/a.txt")]) == MAX_PENDING + 1
    assert len([*tmp_path.iterdir()]) == MAX_PENDING + 1


def test_a_stack_stays_where_another_process_adds_the_next_one(tmp_path, monkeypatch):
    """Of 100 stacks that two processes wrote, 2 were taken for replaced ones and removed."""
    small(tmp_path, "table", [0, 1])
    condition = condition_of(tmp_path)
    held = {path.name: stack_table.open_stack(path).names for path in stacks(condition)}
    assert held == {"stack-0": ["seed=0", "seed=1"]}

    @contextmanager
    def before_the_next_one(prefix, holder):
        with numbered_folder(prefix, holder) as scratch:
            yield scratch
        shutil.copytree(condition / "stack-0", condition / "stack-2")  # of other seeds, by another process
        table = pq.read_table(condition / "stack-2" / "results.parquet")
        runs = pa.array(["seed=5", "seed=6"])
        table = table.set_column(table.column_names.index("run"), "run", runs)
        pq.write_table(table, condition / "stack-2" / "results.parquet")

    monkeypatch.setattr(write_stack, "numbered_folder", before_the_next_one)
    small(tmp_path, "table", [2, 3])
    assert [path.name for path in stacks(condition)] == ["stack-0", "stack-1", "stack-2"]
    monkeypatch.setattr(write_stack, "numbered_folder", numbered_folder)
    small(tmp_path, "table", [2, 3], resume=False)
    held = {path.name: stack_table.open_stack(path).names for path in stacks(condition)}
    assert held == {"stack-0": ["seed=0", "seed=1"], "stack-2": ["seed=5", "seed=6"], "stack-3": ["seed=2", "seed=3"]}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Return the directory of a condition that was stored as files, and of the same one that was stored as tables."""
    folders = {storage: tmp_path_factory.mktemp(storage) for storage in ("files", "table")}
    for storage, folder in folders.items():
        small(folder, storage, [0, 1, 2], figures="first")
    return [condition_of(folder) for folder in folders.values()]


@pytest.fixture
def table(tmp_path):
    """Return the directory of a condition whose seeds 0 and 1 are stored as tables."""
    small(tmp_path, "table", [0, 1])
    return condition_of(tmp_path)


def trained(folder, monkeypatch, *arguments, **more):
    """Return the seeds of each stack that a command trains."""
    found = []
    train_stack = runner.train_stack

    def counted(condition, members):
        found.append([member.seed for member in members])
        return train_stack(condition, members)

    monkeypatch.setattr(runner, "train_stack", counted)
    small(folder, *arguments, **more)
    monkeypatch.undo()
    return found


def names(condition):
    return [Stack(folder).names for folder in stacks(condition)]


# What is read is what a directory per seed holds.


def test_a_stack_has_the_files_of_its_seeds(both):
    files, table = both
    assert files.name == table.name  # the same fingerprint
    assert [path.name for path in table.glob("stack-*")] == ["stack-0"]
    assert {path.name for path in table.glob("stack-0/*")} == {
        *("results.parquet", "history.parquet", "predictions.parquet", "regions.parquet", "weights.safetensors"),
        "seed=0",  # with its figures
    }
    for seed in range(3):
        mine, other = table / f"seed={seed}", files / f"seed={seed}"
        for name in PARTS:
            assert file_text(mine / name) == (other / name).read_text(), name
        weights, expected = (read_weights(each, 10**6) for each in (mine, other))
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in weights)
        one, two = read_results(mine), read_results(other)
        for name in ("metrics", "versions", "streams", "class_names", "fingerprint", "condition", "seed", "name"):
            assert getattr(one, name) == getattr(two, name), name
        assert {key for key in one.config if one.config[key] != two.config[key]} <= {"storage", "export", "paths"}
    figures = {path.name for path in files.glob("seed=0/figures/*")}
    assert {path.name for path in (files_beside(table / "seed=0") / "figures").glob("*")} == figures


def test_reports_read_the_stack_in_blocks_with_the_same_numbers(both, monkeypatch):
    files, table = (collect([condition.parent]) for condition in both)
    same = [name for name in files.runs if name not in ("seconds", "folder")]
    pd.testing.assert_frame_equal(files.runs[same], table.runs[same], check_exact=True)
    assert not any(table.problems.values())
    for read in (read_curves, read_reliability):
        [one] = read(files.runs)[0].values()
        with monkeypatch.context() as context:
            for name in ("read_table", "read_numbers"):  # the readers of a single run
                context.delattr(f"{read.__module__}.{name}", raising=False)
            [two] = read(table.runs)[0].values()
        for name, value in vars(one).items():
            np.testing.assert_array_equal(getattr(two, name), value, name)
    for read in (read_predictions, read_regions):
        for (_, one), (_, two) in zip(files.runs.iterrows(), table.runs.iterrows(), strict=True):
            for name, value in vars(read(one)).items():
                np.testing.assert_array_equal(getattr(read(two), name), value, name)


@pytest.mark.integration
def test_a_study_may_hold_both(both, tmp_path):
    small(tmp_path, "files", [0])
    small(tmp_path, "table", [0, 1])
    assert [path.name for path in seed_folders(tmp_path / "runs")] == ["seed=0", "seed=1"]
    assert names(condition_of(tmp_path)) == [["seed=1"]]
    assert collect([tmp_path / "runs", both[0].parent]).disagreeing == []


@pytest.mark.parametrize("typed", ["{}#seed=1", "{}/seed=1", "{}/stack-0#seed=1"])
def test_one_seed_of_a_stack_is_evaluated(both, typed, capsys):
    assert evaluate([f"run={typed.format(both[1])}"]) == 0
    assert "different" not in capsys.readouterr().out
    stored = load_run(typed.format(both[1]))
    assert stored.history.equals(load_run(both[0] / "seed=1").history)
    assert stored.results.seed == 1


def test_labels_that_are_texts_and_tables_of_the_encoder_are_kept(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("size,kind,label\n" + "1,NA,NA\n2,u,7\n" * 20 + "3,v,NA\n" * 3)
    texts = []
    for storage in ("files", "table"):
        words = (
            "data=csv",
            "data.target=label",
            f"data.path={table}",
            "data.read.keep_default_na=false",
            "figures=none",
        )
        out = tmp_path / storage
        run(*words, "trainer.max_epochs=2", storage=storage, seed=[0, 1], output_dir=out)
        folder = condition_of(out) / "seed=1"
        texts.append({name: file_text(folder / name) for name in ("predictions.csv", "confusion.csv", TABLE)})
        runs = collect([out / "runs"]).runs
        texts[-1]["confusion"] = read_confusion(runs)[0].popitem()[1].counts.tolist()
        assert read_reliability(runs)[1] == []
        assert not exists(folder / "regions.csv")
        assert evaluate([f"run={folder}"]) == 0
    assert texts[0] == texts[1]


@pytest.mark.integration
def test_pinned_streams_are_kept(tmp_path):
    for storage in ("files", "table"):
        run(*SMALL, "seeds.init=[5,6]", "figures=none", storage=storage, seed=[0, 1], output_dir=tmp_path / storage)
    files, table = (condition_of(tmp_path / storage) for storage in ("files", "table"))
    assert names(table) == [[path.name for path in seed_folders(files.parent)]]
    for path in seed_folders(table.parent):
        one, two = read_results(path), read_results(files / path.name)
        assert (one.name, one.streams) == (path.name, two.streams)
        assert [word.replace("table", "files") for word in one.overrides] == two.overrides
        assert one.config["seeds"] == two.config["seeds"]


# Resuming.


def test_only_missing_seeds_are_trained_and_stored_in_a_further_stack(table, tmp_path, monkeypatch):
    before = (table / "stack-0/results.parquet").stat().st_mtime_ns
    assert trained(tmp_path, monkeypatch, "table", [0, 1]) == []
    assert trained(tmp_path, monkeypatch, "table", [0, 1, 2]) == [[2]]
    assert trained(tmp_path, monkeypatch, "files", [0, 1, 2, 3]) == [[3]]
    assert names(table) == [["seed=0", "seed=1"], ["seed=2"]]
    assert (table / "stack-0/results.parquet").stat().st_mtime_ns == before
    assert len(collect([table.parent]).runs) == 4


@pytest.mark.integration
def test_seeds_that_are_trained_again_replace_what_was_stored(table, tmp_path, monkeypatch):
    small(tmp_path, "files", [2])
    assert trained(tmp_path, monkeypatch, "table", [1, 2], resume=False) == [[1, 2]]
    assert names(table) == [["seed=0", "seed=1"], ["seed=1", "seed=2"]]
    assert not (table / "seed=2").exists()
    assert find_run(table / "seed=1").stack.folder.name == "stack-1"
    assert trained(tmp_path, monkeypatch, "table", [0, 1, 2], resume=False) == [[0, 1, 2]]
    assert [path.name for path in stacks(table)] == ["stack-2"]
    assert trained(tmp_path, monkeypatch, "files", [0], resume=False) == [[0]]
    assert read_results(table / "seed=0").config["storage"] == "files"
    assert len(collect([table.parent]).runs) == 3


def test_a_seed_that_fails_is_stored_and_trained_again(tmp_path, monkeypatch):
    metrics = write_run.seed_metrics

    def second_fails(components, index, *arguments):
        if index == 1:
            raise ValueError("no metrics")
        return metrics(components, index, *arguments)

    monkeypatch.setattr(write_run, "seed_metrics", second_fails)
    with pytest.raises(runner.FailedSeedsError, match="no metrics"):
        small(tmp_path, "table", [0, 1, 2])
    monkeypatch.undo()
    [failed] = collect([tmp_path / "runs"]).failed
    assert "seed=1: ValueError: no metrics" in failed
    assert trained(tmp_path, monkeypatch, "table", [0, 1, 2]) == [[1]]
    assert not any(collect([tmp_path / "runs"]).problems.values())
    for seed in range(3):
        assert evaluate([f"run={condition_of(tmp_path)}#seed={seed}"]) == 0


def test_a_stack_that_cannot_be_written_leaves_nothing(table, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = sorted(path.name for path in table.iterdir())
    monkeypatch.setattr(write_run, "write_seed", full)
    with pytest.raises(OSError, match="No space"):
        small(tmp_path, "table", [1, 2], resume=False)
    assert sorted(path.name for path in table.iterdir()) == before
    assert names(table) == [["seed=0", "seed=1"]]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    small(tmp_path, "table", [1])
    condition = condition_of(tmp_path)
    (condition / ".seed=0.new/seed=0").mkdir(parents=True)
    (condition / ".seed=0.new/history.parquet").write_bytes(b"PAR1")
    small(tmp_path, "table", [0, 1])
    assert {path.name for path in condition.iterdir()} == {".lock", "stack-0", "stack-1"}


# Broken stacks.


@pytest.mark.parametrize("damage", ["missing", "empty", "half"])
def test_a_stack_without_its_results_is_reported_and_trained_again(damage, table, tmp_path, monkeypatch):
    path = table / "stack-0/results.parquet"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"")
    forget()  # which stacks there were
    [line] = collect([table.parent]).unreadable
    assert str(path) in line
    assert "remove" in line
    assert "\n" not in line
    assert trained(tmp_path, monkeypatch, "table", [0, 1]) == [[0, 1]]
    assert len(collect([table.parent]).runs) == 2


@pytest.mark.parametrize("name", ["history.parquet", "weights.safetensors"])
def test_another_broken_file_of_a_stack_is_named(name, table, capsys):
    (table / "stack-0" / name).write_bytes(b"PAR1")
    if name == "history.parquet":
        [one, _] = read_curves(collect([table.parent]).runs)[1]
        assert name in one
        return
    assert evaluate([f"run={table}#seed=1"]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert "\n" not in error.strip()


def test_results_that_a_row_cannot_hold_are_refused(finished, tmp_path):
    (tmp_path / "condition").mkdir()
    content = json.loads((finished / "results.json").read_text())
    content["metrics"]["fingerprint"] = 1.0
    with pytest.raises(ValueError, match="seed=7: a row of a table cannot hold"):  # noqa: SIM117
        with new_stack(tmp_path / "condition", ["seed=7"]) as store, store.run("seed=7") as files:
            Path(files.path / "results.json").write_text(json.dumps(content))
    assert list((tmp_path / "condition").iterdir()) == []


# Size.


@pytest.mark.integration
def test_a_seed_takes_at_most_two_kilobytes_beside_its_weights(tmp_path):
    small(tmp_path, "table", list(range(40)), figures="first")  # with decision regions
    [folder] = stacks(condition_of(tmp_path))
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.parquet")}
    few = 30_000  # of columns, configuration and schema, which a stack has once
    assert sum(sizes.values()) - few < 40 * 2_000, sizes
