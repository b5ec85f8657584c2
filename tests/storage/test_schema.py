import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.storage.schema import (
    FAILED,
    RESULTS,
    ArtifactError,
    Results,
    read_results,
    read_table,
    seed_folder,
    seed_folders,
    write_results,
)

RUN = Results(
    study="hw4",
    condition="loss=ce,classes=4-3f9a1c2b",
    fingerprint="3f9a1c2b",
    loss="ce",
    model="mlp",
    data="noisy_cubic",
    classes=4,
    seed=0,
    overrides=["loss=ce", "classes=4"],
    config={"classes": 4, "model": {"hidden": [50, 100, 50]}, "seeds": {"data": None}, "note": "Größe"},
    versions={"python": "3.11.0"},
    seconds=12.5,
    metrics={"test/accuracy": 0.71875, "test/correct": 46, "population/regret": 1e-17},
    streams={"data": 0, "split": 0, "init": 0, "shuffle": 0},
)
CONTENT = {"schema": 2, **asdict(RUN)}


def write_text(folder: Path, text: str | bytes) -> Path:
    (folder / RESULTS).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def files(folder: Path) -> dict[str, str]:
    """Return the content of every file below a folder, by path."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def assert_one_line(error: ArtifactError) -> None:
    assert str(error).splitlines() == [str(error)]


# results.json.


@pytest.mark.parametrize("results", [RUN, replace(RUN, status=FAILED, error="NaN in epoch 3", metrics={}, seed=2**62)])
def test_results_come_back_as_they_were_written_last(tmp_path: Path, results: Results) -> None:
    write_results(tmp_path, replace(RUN, seed=5))
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]


def test_results_are_plain_json_with_the_documented_keys(tmp_path: Path) -> None:
    write_results(tmp_path, RUN)
    content = json.loads((tmp_path / RESULTS).read_text(encoding="utf-8"))
    assert content == CONTENT
    assert set(content) == {
        *("schema", "status", "study", "condition", "fingerprint", "loss", "model", "data", "classes", "seed"),
        *("streams", "overrides", "metrics", "config", "versions", "seconds", "error", "class_names"),
    }
    assert (content["schema"], content["status"], content["error"]) == (2, "completed", None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_json_cannot_say_is_refused_and_nothing_is_written(tmp_path: Path, value: float) -> None:
    write_results(tmp_path, RUN)
    before = files(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(tmp_path, replace(RUN, metrics={"test/loss": value}))
    assert files(tmp_path) == before


def test_unknown_keys_are_ignored_and_optional_ones_have_defaults(tmp_path: Path) -> None:
    content = {name: value for name, value in CONTENT.items() if name not in ("metrics", "status", "error", "streams")}
    results = read_results(write_text(tmp_path, json.dumps(content | {"host": "here"})))
    assert results == replace(RUN, metrics={}, streams={})


BROKEN: list[tuple[str | bytes, str]] = [
    ("", "cannot be read: Expecting value"),
    ("{", "cannot be read: Expecting property name"),
    (json.dumps(CONTENT)[:-1], "cannot be read: Expecting ',' delimiter"),
    (json.dumps(CONTENT) + "}", "cannot be read: Extra data"),
    (b"\xff\xfe{}", "cannot be read: 'utf-8' codec"),
    ("[" * 100_000, "cannot be read: maximum recursion depth"),
    ('{"schema": 2' + "0" * 5000 + "}", "cannot be read: Exceeds the limit"),
    ("[]", "holds list, expected an object"),
    ("null", "holds NoneType, expected an object"),
    ("{}", "has schema None, this losslab reads schemas 1 and 2"),
    (json.dumps(CONTENT | {"schema": 3}), "has schema 3, this losslab reads schemas 1 and 2"),
    (json.dumps(CONTENT | {"schema": "1"}), "has schema '1', this losslab reads schemas 1 and 2"),
    (json.dumps(CONTENT | {"schema": True}), "has schema True, this losslab reads schemas 1 and 2"),
    ('{"schema": 2, "study": "hw4"}', "lacks classes, condition, config, data, fingerprint, loss, model, overrides"),
]
WRONG_VALUES = [
    *((name, 3, f"expected {name} to be text, got 3") for name in ("study", "condition", "fingerprint")),
    *((name, None, f"expected {name} to be text, got None") for name in ("loss", "model", "data")),
    *((name, -1, f"expected {name} to be a whole number of at least 0, got -1") for name in ("classes", "seed")),
    ("seed", 1.0, "expected seed to be a whole number of at least 0, got 1.0"),
    ("seed", True, "expected seed to be a whole number of at least 0, got True"),
    ("status", "done", "expected status to be completed or failed, got 'done'"),
    ("status", ["completed"], "expected status to be completed or failed, got ['completed']"),
    ("error", 5, "expected error to be text or null, got 5"),
    ("overrides", "loss=ce", "expected overrides to be a list of text, got 'loss=ce'"),
    ("overrides", [1], "expected overrides to be a list of text, got [1]"),
    ("seconds", "long", "expected seconds to be a finite number, got 'long'"),
    ("seconds", None, "expected seconds to be a finite number, got None"),
    *((name, [], f"expected {name} to be an object, got []") for name in ("config", "versions", "metrics")),
    ("streams", [], "expected streams to be whole numbers of at least 0 by purpose, got []"),
    ("streams", {"data": -1}, "expected streams to be whole numbers of at least 0 by purpose, got {'data': -1}"),
    (
        "streams",
        {"data": "../.."},
        "expected streams to be whole numbers of at least 0 by purpose, got {'data': '../..'}",
    ),
    ("config", {"seeds": None}, "expected config.seeds to be an object, got None"),
    ("config", {"seeds": [0]}, "expected config.seeds to be an object, got [0]"),
    ("metrics", {"a": "high"}, "expected the metric 'a' to be a finite number, got 'high'"),
    ("metrics", {"a": True}, "expected the metric 'a' to be a finite number, got True"),
    ("metrics", {"a": None}, "expected the metric 'a' to be a finite number, got None"),
    ("metrics", {"a": float("nan")}, "expected the metric 'a' to be a finite number, got nan"),
    ("metrics", {"a": -float("inf")}, "expected the metric 'a' to be a finite number, got -inf"),
    ("metrics", {"a": 10**310}, "expected the metric 'a' to be a finite number, got 1000000000"),
    ("metrics", {"a\nb": None}, "expected the metric 'a\\nb' to be a finite number, got None"),
]
BROKEN += [(json.dumps(CONTENT | {name: value}), reason) for name, value, reason in WRONG_VALUES]


@pytest.mark.parametrize(("text", "reason"), BROKEN, ids=[reason[:60] for _, reason in BROKEN])
def test_broken_results_are_refused_in_one_line(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_results(write_text(tmp_path, text))
    message = str(caught.value)
    assert message.startswith(str(tmp_path / RESULTS))
    assert reason in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "name"), [("noisy_cubic", "samples_per_class"), ("gaussians", "samples"), ("xor", "samples_per_corner")]
)
def test_settings_of_schema_1_get_their_new_names(tmp_path: Path, data: str, name: str) -> None:
    config = {"data": {"points": 80, "noise": "uniform"}, "returns": "test/accuracy", "logger": {}}
    results = read_results(write_text(tmp_path, json.dumps(CONTENT | {"schema": 1, "data": data, "config": config})))
    assert results.schema == 2
    assert results.config == {"data": {name: 80, "noise": "uniform"}, "optimized_metric": "test/accuracy", "export": {}}


def test_a_folder_without_results_is_not_that_of_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"^{tmp_path} is not the folder of a finished run: it has no results.json"):
        read_results(tmp_path)
    with pytest.raises(ArtifactError, match="is not the folder of a finished run"):
        read_results(tmp_path / "absent")


def test_results_that_are_a_folder_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / RESULTS).mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_results(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_results(tmp_path / "file")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**320)
    | st.floats(allow_subnormal=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def read_or_refuse(folder: Path, text: bytes) -> None:
    """Read results that may be broken; only an error of one line, or results that can be written again, will do."""
    try:
        results = read_results(write_text(folder, text))
    except ArtifactError as error:
        assert_one_line(error)
    else:
        assert results.classes >= 0
        assert results.seed >= 0
        assert results.name.startswith(f"seed={results.seed}")
        assert all(abs(value) < float("inf") for value in (results.seconds, *results.metrics.values()))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from(sorted(CONTENT)), json_values, max_size=3), absent=st.booleans())
def test_results_with_arbitrary_values_are_read_or_refused(scratch: Path, changes: Any, absent: bool) -> None:
    content = {name: value for name, value in CONTENT.items() if not absent or name not in changes}
    read_or_refuse(scratch, json.dumps(content if absent else content | changes).encode())


def test_seed_folders_are_sorted_by_condition_then_by_numbers(tmp_path: Path) -> None:
    pinned = [(0, {"data": 2, "init": 1}), (0, {"data": 2, "init": 10}), (0, {"data": 10, "init": 0}), (3, {})]
    members = [("loss=ce-1", seed, {}) for seed in (0, 2, 10)] + [("loss=mse-2", *each) for each in pinned]
    expected = [seed_folder(tmp_path / condition, seed, pins) for condition, seed, pins in members]
    for folder in reversed(expected):
        folder.mkdir(parents=True)
    for other in ("a/.hydra", "a/.seed=3.99.new", "a/seed=x", "report", "a/b/seed=4", "a/seed=1,noise=2", "a/seed=-1"):
        (tmp_path / other).mkdir(parents=True)
    assert seed_folders(tmp_path) == expected
    assert expected[3].name == "seed=0,data=2,init=1"


def test_results_name_their_folder() -> None:
    assert RUN.name == "seed=0"
    pinned = {"data": 3, "split": None, "init": 1, "shuffle": None}
    streams = {"data": 3, "split": 7, "init": 1, "shuffle": 7}
    assert replace(RUN, seed=7, config={"seeds": pinned}, streams=streams).name == "seed=7,data=3,init=1"
    assert replace(RUN, seed=7, config={}, streams={}).name == "seed=7"


def test_a_study_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="absent is not a folder"):
        seed_folders(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="file is not a folder"):
        seed_folders(tmp_path / "file")
    assert seed_folders(tmp_path) == []


# Tables.


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame({"epoch": [1, 2], "train/loss": [0.1, 1 / 3], "val/loss": [float("nan"), float("inf")]})
    table.to_csv(tmp_path / "history.csv", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "history.csv", ("epoch", "train/loss")), table)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read: No columns to parse"),
        (b"\n\n", "cannot be read: No columns to parse"),
        (b"epoch,train/lo", "lacks the column train/loss"),
        (b"step,loss\n1,2\n", "lacks the column epoch, train/loss"),
        (b"epoch,train/loss\n1,0.5\n2,0.4,3\n", "cannot be read: Error tokenizing data"),
        (
            b"epoch,train/loss\n1,0.5,9\n2,0.4,9\n",
            "cannot be read: Length of header or names does not match length of data",
        ),
        (b'epoch,train/loss\n1,"0.5\n', "cannot be read: Error tokenizing data"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "cannot be read: 'utf-8' codec can't decode"),
        (b"\x00\x01\x02\x00", "lacks the column epoch, train/loss"),
        (bytes(range(256)) * 4, "cannot be read"),
    ],
)
def test_a_broken_table_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        read_table(path, ("epoch", "train/loss"))
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert reason in message
    assert message.splitlines() == [message]


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"history\.csv is missing"):
        read_table(tmp_path / "history.csv", ("epoch",))
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_table(tmp_path, ("epoch",))
