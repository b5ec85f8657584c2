from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

from scripts import aggregate
from src import evaluate
from src.data import datamodule
from src.data.dataframe import TableSettings, digest, make_frame
from src.data.datamodule import SharedSplit, Split, StackedDataModule
from src.data.protocols import Distribution
from src.data.tabular import BUNDLED, BundledTable, CsvTable, Table
from src.experiments import load_run
from src.storage.schema import read_results
from src.utils.seed_streams import seed_streams
from src.utils.validation import SettingsError


def module(table: Table, seeds: range | list[int] = range(1), **changes: Any) -> StackedDataModule:
    arguments = {"batch_size": 5, "test_fraction": 0.2, "val_fraction": 0} | changes
    made = StackedDataModule(table, seed_streams(list(seeds), {}), **arguments)
    made.setup()
    return made


def make_table(counts: tuple[int, ...] = (30, 10), **columns: Any) -> Table:
    labels = np.repeat(np.arange(len(counts)), counts)
    width = np.random.default_rng(0).normal(5, 3, len(labels))
    table = pd.DataFrame({"width": width, **columns, "kind": labels})
    return Table(make_frame(table, TableSettings(target="kind", missing="mean")), len(counts))


@pytest.mark.parametrize(("name", "classes"), [("breast_cancer", 2), ("digits", 10), ("iris", 3), ("wine", 3)])
def test_bundled_data_are_scikit_learns(name: str, classes: int) -> None:
    x, target = getattr(datasets, f"load_{name}")(return_X_y=True)
    table = BundledTable(classes, name=name)
    assert not isinstance(table, Distribution)
    assert (table.size, table.features, table.classes) == (*x.shape, classes)
    drawn, labels = table.sample([torch.Generator()] * 2)
    for seed in range(2):
        np.testing.assert_array_equal(drawn[seed], x)
        np.testing.assert_array_equal(labels[seed], target)


def test_another_number_of_classes_or_another_name_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"`classes` to be 3, as the data have, got 2"):
        BundledTable(2, name="iris")
    with pytest.raises(SettingsError, match=rf"`name` to be one of {', '.join(BUNDLED)}, got .roses"):
        BundledTable(2, name="roses")


def test_splits_are_stratified_partitions_that_differ_by_seed() -> None:
    made = module(make_table(), range(5), val_fraction=0.1)
    for part, rare in ((made.test, 2), (made.val, 1), (made.train, 7)):
        assert part.target.sum(1).tolist() == [rare] * 5
    assert (made.test.x.shape, made.val.x.shape, made.train.x.shape) == ((5, 8, 1), (5, 4, 1), (5, 28, 1))
    assert len({tuple(rows.tolist()) for rows in made.test_indices}) == 5
    widths = make_table().x.flatten()
    for seed in range(5):
        mean, deviation = (moment[seed, 0, 0] for moment in (made.preprocessing.mean, made.preprocessing.deviation))
        parts = torch.cat([part.x[seed, :, 0] for part in (made.test, made.val, made.train)])
        torch.testing.assert_close((parts.double() * deviation + mean).sort()[0], widths.sort()[0], atol=1e-5, rtol=0)


def test_inputs_that_are_made_by_block_have_the_bits_of_those_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    width = np.where(np.arange(40) % 7 == 0, np.nan, np.arange(40) / 3)
    table = make_table(other=width, colour=["red", "blue", "green", "blue"] * 10)
    whole = module(table, range(3), val_fraction=0.1)
    monkeypatch.setattr(datamodule, "MAX_INPUTS", 0)
    monkeypatch.setattr(datamodule, "MAX_BLOCK", 6)
    shared = module(table, range(3), val_fraction=0.1)
    for one, other in ((whole.train, shared.train), (whole.val, shared.val), (whole.test, shared.test)):
        assert (type(one), type(other)) == (Split, SharedSplit)
        assert torch.equal(one.x, other.x)
        assert torch.equal(one[1:2].x, other[1:2].x)
        assert torch.equal(one[1:3].target, other[1:3].target)
    batches = [[batch for block in made.train_dataloader() for batch in block] for made in (whole, shared)]
    assert len(batches[0]) == len(batches[1]) == 6
    for (x, target), (other_x, other_target) in zip(*batches, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(target, other_target)
        assert other_x.is_contiguous()


def test_scaling_is_that_of_the_training_points_alone() -> None:
    table = BundledTable(3, name="wine")
    made = module(table, [4])
    order = table.split_order(made.sizes, seed_streams([4], {})[0].generator("split"), "stratified")
    test, train = order[: made.sizes[0]], order[made.sizes[0] :]
    scaler = StandardScaler().fit(table.x[train])
    np.testing.assert_allclose(made.train.x[0], scaler.transform(table.x[train]), atol=1e-6)
    np.testing.assert_allclose(made.test.x[0], scaler.transform(table.x[test]), atol=1e-6)
    pd.testing.assert_frame_equal(made.test_features(0), table.frame.features.iloc[test].reset_index(drop=True))
    torch.testing.assert_close(made.encode(made.test_features(0)), made.test.x[0], atol=1e-6, rtol=0)


def test_missing_and_constant_features_become_zero() -> None:
    width = [np.nan, *np.arange(39.0)]
    made = module(make_table(width=width, same=[7.0] * 40, none=[np.nan] * 40))
    everything = torch.cat([made.train.x[0], made.test.x[0]])
    assert everything.isfinite().all()
    assert not everything[:, 1:].any()
    assert (everything[:, 0] == 0).sum() == 1


@pytest.mark.parametrize("name", ["iris", "digits"])
def test_a_seed_alone_gets_the_data_it_gets_in_a_stack_bit_for_bit(name: str) -> None:
    table = BundledTable({"iris": 3, "digits": 10}[name], name=name)
    stack = module(table, [3, 0, 8], val_fraction=0.1)
    for index, seed in enumerate((3, 0, 8)):
        alone = module(table, [seed], val_fraction=0.1)
        for part in ("train", "val", "test"):
            assert torch.equal(getattr(stack, part).x[index], getattr(alone, part).x[0])
            assert torch.equal(getattr(stack, part).target[index], getattr(alone, part).target[0])


@pytest.mark.parametrize(
    ("counts", "changes", "words"),
    [
        ((30, 1), {}, "`target` to be .* at least 2 samples of every class, .* got .1 of class 1"),
        ((30, 2), {"val_fraction": 0.1}, "`target` to be .* at least 3 samples of every class"),
        ((30, 10), {"test_fraction": 0.02}, "`test_fraction` to be a fraction of 40 samples"),
    ],
)
def test_a_class_that_a_split_would_lack_is_refused(
    counts: tuple[int, ...], changes: dict[str, float], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        module(make_table(counts), **changes)


def test_a_file_that_has_changed_since_its_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pd.DataFrame({"width": range(5, 15), "kind": ["a", "b"] * 5}).to_csv(path, index=False)
    arguments: dict[str, Any] = {"path": str(path), "target": "kind", "missing": "error", "sha256": digest(str(path))}
    assert CsvTable(2, **arguments).size == 10
    path.write_text(path.read_text().replace("9", "20"))
    with pytest.raises(SettingsError, match="which has changed"):
        CsvTable(2, **arguments)


@pytest.mark.integration
def test_training_on_real_data_is_the_same_alone_and_in_a_stack(train: Any, tmp_path: Path) -> None:
    short = ("data=iris", "trainer.max_epochs=2", "figures=first", "loss=brier")
    train(*short, "seed=[0,1,2]", "study=stack")
    train(*short, "seed=1", "study=alone")
    stack, alone = (next((tmp_path / "outputs" / name).glob("*/seed=1")) for name in ("stack", "alone"))
    first, second = (torch.load(run / "checkpoint.ckpt", weights_only=True)["state_dict"] for run in (stack, alone))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(name.startswith(("population", "bayes")) for name in read_results(stack).metrics)
    assert read_results(stack).classes == 3
    assert aggregate.main([str(tmp_path / "outputs" / "stack")]) == 0
    report = tmp_path / "outputs" / "stack" / "report"
    assert "the distribution of the data is unknown" in (report / "report.md").read_text()
    assert (report / "problems.txt").read_text().strip() == "none"
    assert not (report / "regret.png").exists()


@pytest.mark.integration
def test_a_run_on_a_file_is_evaluated_and_predicts(train: Any, tmp_path: Path) -> None:
    colour = ["red", "blue", None, "red"] * 10
    frame = pd.DataFrame({"width": range(40, 80), "colour": colour, "kind": ["a", "b"] * 20})
    frame.to_csv(tmp_path / "table.csv", index=False)
    file = ("data=csv", "data.path=table.csv", "data.target=kind", "trainer.max_epochs=1")
    assert (
        "Expected `data.missing` to be drop, mean or indicator, as colour has no value in row 3"
        in train(*file, code=1).err
    )
    train(*file, "data.missing=mean")
    [run] = (tmp_path / "outputs" / "runs").glob("*/seed=0")
    assert evaluate.main([f"run={run}"]) == 0
    frame.drop(columns="kind").to_csv(tmp_path / "samples.csv", index=False)
    assert evaluate.main([f"run={run}", "samples=samples.csv", "out=out.csv"]) == 0
    assert list(pd.read_csv("out.csv").columns) == ["width", "colour", "pred", "p_a", "p_b"]
    assert "Expected `data.path` to be" in train("data=csv", "data.target=kind", code=1).err
    frame.assign(kind=[1, *[2] * 39]).to_csv(tmp_path / "table.csv", index=False)
    err = train(*file, "data.missing=mean", code=1).err
    assert err.startswith("Expected `data.target` to be a column with at least 2 samples of every class")
    assert err.endswith('got "1 of class 1".')
    assert (
        "Expected `classes` to be 2, as the data have, got 4."
        in train(*file, "data.missing=drop", "classes=4", code=1).err
    )


def test_an_openml_file_has_its_classes_in_its_column_class(tmp_path, train):
    rows = "".join(f"{row * 37 % 11 / 2},{'red' if row % 3 else 'green'},{'ab'[row % 2]}\n" for row in range(30))
    header = "@relation r\n@attribute 'leaf length' numeric\n@attribute colour {red,green}\n@attribute class {b,a}\n"
    (tmp_path / "plants.ARFF").write_text(f"{header}@data\n{rows}")
    train("data=openml_file", "data.path=plants.ARFF", "trainer.max_epochs=1", "figures=none")
    [path] = tmp_path.glob("outputs/runs/*/seed=0")
    run = load_run(path)
    assert run.components.datamodule.source.class_names == ["a", "b"]
    assert set(run.predictions["target"]) == {"a", "b"}
    assert list(run.predictions.columns[:2]) == ["leaf length", "colour"]
