import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from src.config.naming import condition_folder, condition_name, fingerprint, scientific

Settings = dict[str, Any]
CHOICES = {"loss": "ce", "model": "mlp", "data": "noisy_cubic"}
EXCLUDED_FROM_FINGERPRINT = {
    *("engine", "fail_fast", "allow_targets", "predictions", "optimized_metric", "trainer.checkpoint_every"),
    *("seed", "study", "resume", "figures", "storage", "export._target_", "trainer.accelerator", "trainer.devices"),
    *("profiler._target_", "paths.output_dir", "tags"),
    *("trainer.logger", "trainer.enable_checkpointing", "trainer.enable_progress_bar", "trainer.enable_model_summary"),
}
PINS = {"seeds.data", "seeds.split", "seeds.init", "seeds.shuffle"}


def leaves(config: Settings, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every setting."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.fixture(scope="module")
def default(settings: Callable[..., Settings]) -> Settings:
    """The settings without overrides."""
    return settings()


def changed(config: Settings, name: str, value: Any) -> Settings:
    """Return a copy with one setting changed."""
    copy = json.loads(json.dumps(config))
    *groups, last = name.split(".")
    inner = copy
    for group in groups:
        inner = inner[group]
    inner[last] = value
    return copy


# The fingerprint.


def test_fingerprint_is_eight_hexadecimal_digits(default: Settings) -> None:
    assert re.fullmatch("[0-9a-f]{8}", fingerprint(default, CHOICES))


def test_fingerprint_changes_with_scientific_settings_only(default: Settings) -> None:
    names = list(leaves(default))
    assert set(names) >= EXCLUDED_FROM_FINGERPRINT | PINS | {
        "classes",
        "data.samples_per_class",
        "data.label_order",
        "model.hidden",
    }
    fingerprints = {name: fingerprint(changed(default, name, "something else"), CHOICES) for name in names}
    same = {name for name, digest in fingerprints.items() if digest == fingerprint(default, CHOICES)}
    assert same == EXCLUDED_FROM_FINGERPRINT
    assert len(set(fingerprints.values())) == len(names) - len(EXCLUDED_FROM_FINGERPRINT) + 1


def test_fingerprint_knows_which_streams_are_pinned_but_not_to_what(default: Settings) -> None:
    fingerprints = [
        [fingerprint(changed(default, f"seeds.{purpose}", value), CHOICES) for value in (0, 7, [0, 1])]
        for purpose in ("data", "split", "init", "shuffle")
    ]
    assert all(len(set(same)) == 1 for same in fingerprints)
    both = fingerprint(changed(changed(default, "seeds.data", 0), "seeds.init", 0), CHOICES)
    assert len({fingerprint(default, CHOICES), both, *(same[0] for same in fingerprints)}) == 6


def test_fingerprint_changes_with_an_added_setting(settings: Callable[..., Settings]) -> None:
    plain = fingerprint(settings(), CHOICES)
    assert fingerprint(settings("+optimizer.weight_decay=0"), CHOICES) != plain
    assert fingerprint(settings("+trainer.limit_train_batches=1"), CHOICES) != plain


@pytest.mark.parametrize("group", ["loss", "model", "data"])
def test_fingerprint_changes_with_the_choice_of_a_group(default: Settings, group: str) -> None:
    assert fingerprint(default, CHOICES | {group: "other"}) != fingerprint(default, CHOICES)
    assert fingerprint(default, CHOICES | {"export": "none", "hydra": "x"}) == fingerprint(default, CHOICES)


@pytest.mark.parametrize(
    ("name", "value", "equal"),
    [
        ("data.val_fraction", 0, 0.0),
        ("data.samples_per_class", 80, 80.0),
        ("optimizer.lr", 1, 1.0),
        ("model.hidden", [50, 100], [50.0, 100]),
        ("data.spacing", 0.2, 0.20),
        ("data.spacing", 0, -0.0),
    ],
)
def test_fingerprint_does_not_see_how_a_number_is_written(default: Settings, name: str, value: Any, equal: Any) -> None:
    one, other = (fingerprint(changed(default, name, each), CHOICES) for each in (value, equal))
    assert one == other


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("data.spacing", 0.2, 0.2000001),
        ("model.hidden", [50, 100], [100, 50]),
        ("data.label_order", None, [0, 1]),
        ("seeds.data", None, 0),
        ("optimizer.fused", True, 1),
        ("data.noise", "1", 1),
    ],
)
def test_fingerprint_tells_apart_what_differs(default: Settings, name: str, value: Any, other: Any) -> None:
    assert fingerprint(changed(default, name, value), CHOICES) != fingerprint(changed(default, name, other), CHOICES)


def test_a_split_of_groups_has_one_fingerprint_by_either_name() -> None:
    marks = {
        split: fingerprint({"data": {"split": split, "groups": "clinic"}}, {"data": "csv"})
        for split in ("stratified", "group", "time")
    }
    assert marks["group"] == marks["stratified"] != marks["time"]


def test_fingerprint_does_not_depend_on_the_order_of_settings(default: Settings) -> None:
    backwards = {
        name: dict(reversed(value.items())) if isinstance(value, dict) else value
        for name, value in reversed(default.items())
    }
    assert list(backwards) != list(default)
    assert fingerprint(backwards, CHOICES) == fingerprint(default, CHOICES)


# A finished sweep is found again by this number: whoever changes how it is made lets every stored run be trained anew.
def test_the_derivation_of_the_fingerprint_never_changes() -> None:
    config = {"classes": 4, "seed": 3, "data": {"samples": 80.0, "order": None}, "trainer": {"max_epochs": 499}}
    config["seeds"] = {"data": 0, "split": None}
    assert fingerprint(config, CHOICES) == "428ca21d"


def test_defaults_keep_their_fingerprint_from_before_schedulers(default: Settings) -> None:
    assert fingerprint(changed(default, "trainer.max_epochs", 3), CHOICES) == "a495b399"


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (("scheduler=cosine",), True),
        (("+callbacks.mine._target_=mine.Callback",), True),
        (("callbacks=default",), False),
        (
            ("callbacks=[default,lr_monitor]", "logger=[csv,tensorboard]", "profiler=simple", "paths.output_dir=x"),
            False,
        ),
    ],
)
def test_what_changes_results_is_in_the_fingerprint(
    words: tuple[str, ...], counts: bool, default: Settings, settings: Callable[..., Settings]
) -> None:
    assert (fingerprint(settings(*words), CHOICES) != fingerprint(default, CHOICES)) == counts


def test_scientific_leaves_the_settings_as_they_were(default: Settings) -> None:
    before = json.dumps(default)
    kept = scientific(default)
    assert json.dumps(default) == before
    unset = {  # later settings, which count where they are set
        *("data.class_weights", "data.split", "data.stratified_batches", "scheduler._target_"),
    }
    assert set(leaves(kept)) == set(leaves(default)) - EXCLUDED_FROM_FINGERPRINT - PINS - unset
    assert "class_weights" in scientific(default | {"data": {"class_weights": "balanced"}})["data"]
    assert "stratified_batches" in scientific(default | {"data": {"stratified_batches": True}})["data"]


# The name of a condition.


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "loss=ce,classes=4"),
        (["loss=ce", "classes=4"], "loss=ce,classes=4"),
        (["seed=[0,1]", "study=hw4", "resume=false", "figures=none", "export=none"], "loss=ce,classes=4"),
        (["experiment=hw4"], "loss=ce,classes=4"),
        (["optimizer.lr=0.01", "data.noise=gaussian"], "loss=ce,classes=4,data.noise=gaussian,optimizer.lr=0.01"),
        (["model=linear"], "loss=ce,classes=4,model=linear"),
        (["model.hidden=[50,100]"], "loss=ce,classes=4,model.hidden=50,100"),
        (["+optimizer.weight_decay=1e-3"], "loss=ce,classes=4,optimizer.weight_decay=1e-3"),
        (["+loss.weight=2"], "loss=ce,classes=4,loss.weight=2"),
        (["data.path=a/b c"], "loss=ce,classes=4,data.path=a_bc"),
    ],
)
def test_condition_name_shows_loss_classes_and_what_was_overridden(overrides: list[str], name: str) -> None:
    assert condition_name({"classes": 4}, CHOICES, overrides) == name


def test_condition_name_shows_which_streams_are_pinned() -> None:
    config = {"classes": 4, "seeds": {"data": 0, "split": None, "init": [1, 2], "shuffle": None}}
    name = condition_name(config, CHOICES, ["seeds.data=0", "seeds.init=[1,2]", "optimizer.lr=1"])
    assert name == "loss=ce,classes=4,optimizer.lr=1,pinned=data+init"
    config["seeds"] = dict.fromkeys(config["seeds"])
    assert condition_name(config, CHOICES, ["seeds.data=null"]) == "loss=ce,classes=4"


def test_condition_name_does_not_depend_on_the_order_of_overrides() -> None:
    overrides = ["optimizer.lr=0.01", "data.samples_per_class=40", "model.hidden=[5]"]
    names = {condition_name({"classes": 2}, CHOICES, order) for order in (overrides, overrides[::-1])}
    assert names == {"loss=ce,classes=2,data.samples_per_class=40,model.hidden=5,optimizer.lr=0.01"}


@hypothesis_settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=80), max_size=6))
def test_condition_name_is_always_a_short_portable_folder_name(values: list[str]) -> None:
    name = condition_name({"classes": 2}, CHOICES, [f"data.option{index}={each}" for index, each in enumerate(values)])
    assert re.fullmatch(r"loss=ce,classes=2[A-Za-z0-9_.,=+-]*", name)
    assert len(name.encode()) <= 120


def test_a_folder_with_the_same_fingerprint_is_taken_however_it_is_called(tmp_path: Path) -> None:
    known = tmp_path / "loss=ce,classes=4-3f9a1c2b"
    known.mkdir()
    (tmp_path / "loss=ce,classes=4-00000000").mkdir()
    assert condition_folder(tmp_path, "loss=ce,classes=4,optimizer.lr=5e-3", "3f9a1c2b") == known.name
    assert condition_folder(tmp_path, "loss=ce,classes=4", "12345678") == "loss=ce,classes=4-12345678"
    assert condition_folder(tmp_path / "absent", "loss=ce", "3f9a1c2b") == "loss=ce-3f9a1c2b"


def test_study_and_artifacts_do_not_import_torch() -> None:
    code = "import sys, src.config.naming, src.storage.schema; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_unset_settings_of_a_table_leave_its_fingerprint_as_it_was(settings: Callable[..., Settings]) -> None:
    config = settings("data=csv", "data.path=table.csv", "data.target=kind")
    before = {name: config["data"][name] for name in ("_target_", "path", "target", "missing", "sha256")}
    before |= {name: config["data"][name] for name in ("batch_size", "test_fraction", "val_fraction")}
    assert fingerprint(config | {"data": before}, CHOICES) == fingerprint(config, CHOICES)
    for change in ({"drop": ["x"]}, {"labels": [1, 0]}, {"read": config["data"]["read"] | {"sep": ";"}}):
        assert fingerprint(config | {"data": config["data"] | change}, CHOICES) != fingerprint(config, CHOICES)


@pytest.mark.parametrize(
    "path", ["data/table.csv", "./data/table.csv", "data/../data/table.csv", "{here}/data/table.csv"]
)
def test_a_file_has_one_fingerprint_however_its_path_is_spelled(
    path: str, settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = settings("data=csv", "data.path=data/table.csv", "data.target=kind")
    other = config | {"data": config["data"] | {"path": path.format(here=tmp_path)}}
    assert fingerprint(other, CHOICES) == fingerprint(config, CHOICES)
