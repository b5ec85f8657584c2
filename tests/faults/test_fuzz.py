"""Truncated and mutated files of a run: readers read them or refuse them in a line, and run no code of theirs."""

import json
import os
import pickle
import shutil
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.experiments.convert import to_tables
from src.experiments.finished import completed
from src.experiments.loading import load_run
from src.storage.schema import HISTORY, PREDICTIONS, ArtifactError, read_numbers, read_results, read_table
from src.storage.stack_table import broken_stacks, forget
from src.utils.validation import SettingsError
from tests.commands import parametrize

HISTORY_COLUMNS = ("epoch", "step", "train/loss")
PREDICTION_COLUMNS = ("x1", "x2", "target", "pred")
many = parametrize("cases", [30, 1000], quick=1)
fewer = parametrize("cases", [5, 300], quick=1)  # of what builds a network each time
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / finished.parent.name / finished.name)


def mutations(content: bytes):
    """Return files that were cut, overwritten, doubled, or had bytes inserted or taken out."""
    spot = st.integers(0, len(content))
    junk = st.binary(min_size=1, max_size=12)
    cut = spot.map(lambda end: content[:end])
    overwritten = st.tuples(spot, junk).map(
        lambda pair: content[: pair[0]] + pair[1] + content[pair[0] + len(pair[1]) :]
    )
    inserted = st.tuples(spot, junk).map(lambda pair: content[: pair[0]] + pair[1] + content[pair[0] :])
    removed = st.tuples(spot, st.integers(1, 200)).map(lambda pair: content[: pair[0]] + content[sum(pair) :])
    return cut | overwritten | inserted | removed | st.binary(max_size=200)


def fuzz(cases, strategy, check, count):
    """Check many cases, the same in every run, and count them."""

    @settings(
        max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def each(case):
        count("mutated files read or refused")
        check(case)

    each()


def refusal(read, otherwise):
    """Return in what words a reader refuses a file, or else something; any other error is the reader's fault."""
    try:
        read()
    except (ArtifactError, SettingsError) as error:
        return str(error)
    return otherwise


@many
def test_mutated_results(cases, copy, count):
    path = copy / "results.json"

    def check(content):
        path.write_bytes(content)
        assert str(copy) in refusal(lambda: read_results(copy), str(copy))
        assert set(completed([copy], "00000000")) <= {copy}

    fuzz(cases, mutations(path.read_bytes()), check, count)


@many
def test_results_with_any_value_in_place_of_any_other(cases, copy, count):
    path = copy / "results.json"
    content = json.loads(path.read_text())
    places = [(name,) for name in content] + [("config", name) for name in content["config"]]
    places += [("config", group, name) for group in ("data", "model", "trainer") for name in content["config"][group]]

    def check(case):
        place, value = case
        changed = json.loads(json.dumps(content))
        inner = changed
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        path.write_text(json.dumps(changed))
        assert refusal(lambda: load_run(copy), "none")

    fuzz(cases // 4, st.tuples(st.sampled_from(places), JSON), check, count)


@many
@pytest.mark.parametrize(("name", "columns"), [(HISTORY, HISTORY_COLUMNS), (PREDICTIONS, PREDICTION_COLUMNS)])
def test_mutated_tables(cases, name, columns, copy, count):
    path = copy / name

    def check(content):
        path.write_bytes(content)
        assert str(path) in refusal(lambda: read_table(path, columns), str(path))

    fuzz(cases, mutations(path.read_bytes()), check, count)


@fewer
def test_mutated_checkpoints(cases, copy, count):
    path = copy / "checkpoint.ckpt"

    def check(content):
        path.write_bytes(content)
        assert str(path) in refusal(lambda: load_run(copy), str(path))

    fuzz(cases, mutations(path.read_bytes()), check, count)


@fewer
@pytest.mark.parametrize("name", ["results.parquet", "history.parquet", "predictions.parquet", "weights.safetensors"])
def test_mutated_stacks(cases, name, copy, count):
    pytest.importorskip("safetensors")
    assert to_tables(copy.parent) == (1, [])
    path = copy.parent / "stack-0" / name

    def check(content):
        path.write_bytes(content)
        forget()  # which stacks there were
        assert all(str(path) in line for line in broken_stacks(copy.parent))
        for columns, table in ((HISTORY_COLUMNS, HISTORY), (PREDICTION_COLUMNS, PREDICTIONS)):
            message = refusal(lambda table=table, columns=columns: read_table(copy / table, columns), "none")
            assert len(message.splitlines()) == 1
        assert len(refusal(lambda: read_numbers(copy / HISTORY, ("epoch", "train/loss")), "none").splitlines()) == 1
        assert len(refusal(lambda: load_run(copy), "none").splitlines()) == 1

    fuzz(cases, mutations(path.read_bytes()), check, count)


class Planted:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("wrapping", ["bare", "zip", "state", "tensor name"])
@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, exec])
def test_planted_pickles_are_refused_and_do_nothing(wrapping, function, copy, tmp_path, count):
    path, trap = copy / "checkpoint.ckpt", tmp_path / "trap"
    arguments = {
        os.system: (f"mkdir '{trap}'",),
        eval: (f"__import__('os').mkdir({str(trap)!r})",),
        exec: (f"import os; os.mkdir({str(trap)!r})",),
    }
    planted = Planted(function, *arguments.get(function, (trap,)))
    if wrapping == "bare":
        path.write_bytes(pickle.dumps(planted, protocol=2))
    elif wrapping == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(planted, protocol=2))
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", "little")
    else:
        content = torch.load(path, weights_only=True)
        content["state_dict"] = {**content["state_dict"], "extra": planted} if wrapping == "state" else {planted: 1}
        torch.save(content, path)
    with pytest.raises(ArtifactError, match=r"checkpoint\.ckpt is not the checkpoint of this run"):
        load_run(copy)
    assert not trap.exists()
    pickle.loads(pickle.dumps(planted))  # noqa: S301 - the trap works
    assert trap.exists()
    count("planted pickles refused")
