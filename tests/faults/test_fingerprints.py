"""What is finished is never passed off as what the command means now."""

import json
import shutil

import pytest

from src.config.paths import CONFIG_DIR
from tests.commands import SHORT, parametrize, results


@pytest.fixture
def edited(tmp_path):
    """Return a function that edits a copy of the configuration and returns the word that chooses it."""
    copy = shutil.copytree(CONFIG_DIR, tmp_path / "conf")

    def edit(name, old, new):
        text = (copy / name).read_text()
        assert old in text
        (copy / name).write_text(text.replace(old, new))
        return f"--config-path={copy}"

    return edit


@parametrize(
    "name, old, new, folders",
    [
        ("model/mlp.yaml", "init_std: 0.02", "init_std: 0.03", 2),
        ("train.yaml", "figures: first", "figures: none", 1),
        ("train.yaml", "fail_fast: false", "fail_fast: true", 1),
        ("export/tensorboard.yaml", "_target_: src.storage.tensorboard.write_events", "_target_: null", 1),
        ("trainer/default.yaml", "accelerator: cpu", "accelerator: auto", 1),
        ("trainer/default.yaml", "checkpoint_every: null", "checkpoint_every: 5", 1),
        ("optimizer/adam.yaml", "lr: 0.005", "lr: 0.004", 2),
        ("data/noisy_cubic.yaml", "spacing: 0.2", "spacing: 0.3", 2),
        ("split/stratified.yaml", "batch_size: 5", "batch_size: 6", 2),
    ],
    quick=3,
)
def test_an_edit_gives_another_folder_if_it_changes_results(name, old, new, folders, edited, train, tmp_path, count):
    train(*SHORT)
    before = {path: path.read_bytes() for path in tmp_path.rglob("results.json")}
    done = train(edited(name, old, new), *SHORT)
    assert ("1 of 1 seeds are finished and kept" in done.out) == (folders == 1)
    assert len(results(tmp_path / "outputs")) == folders
    assert {path: path.read_bytes() for path in before} == before
    count("edits of the configuration told apart")


def test_a_finished_seed_with_another_fingerprint_is_trained_again(train, tmp_path):
    train("seed=[0,1]", *SHORT)
    [path] = tmp_path.glob("outputs/runs/*/seed=1/results.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"fingerprint": "00000000"}))
    done = train("seed=[0,1]", *SHORT)
    assert "1 of 2 seeds are finished and kept" in done.out
    assert json.loads(path.read_text())["metrics"] == content["metrics"]
    assert json.loads(path.read_text())["fingerprint"] == content["fingerprint"]
