import os
from pathlib import Path

import pytest
import torch

from src.training.callbacks.checkpoint import _load
from src.training.module import StackedClassifier
from tests.commands import files, parametrize

SETTINGS = ("trainer.max_epochs=12", "trainer.checkpoint_every=3", "data.samples_per_class=20", "data.val_fraction=0.1")
QUIET = ("figures=none", "export=none")


class Killed(BaseException):
    """The end of the process, which nothing catches."""


@pytest.fixture
def killed(train, monkeypatch):
    """Train, but stop dead before an epoch."""

    def run(epoch, *words):
        step = StackedClassifier.training_step

        def dies(self, batches, index):
            if len(self.curves.step_loss) == epoch - 1:
                raise Killed
            return step(self, batches, index)

        with monkeypatch.context() as patched:
            patched.setattr(StackedClassifier, "training_step", dies)
            with pytest.raises(Killed):
                train(*words)

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder) if name.endswith((".csv", ".ckpt"))}


@parametrize(
    "more",
    [
        (),
        ("optimizer=sgd", "+optimizer.momentum=0.9", "scheduler=one_cycle"),
        ("optimizer=sgd", "loss=mse"),
        ("optimizer=adamw", "trainer.precision=64-true", "model.activation=tanh"),
        ("trainer.precision=bf16-mixed",),
    ],
    quick=2,
)
def test_a_killed_stack_continues_bitwise_where_it_was(more, train, killed, tmp_path):
    words = (*SETTINGS, *QUIET, *more)
    train("seed=[0,1,2]", "study=whole", *words)
    killed(11, "seed=[0,1,2]", "study=parts", *words)
    assert len(list(tmp_path.glob("outputs/parts/*/.stack-*.ckpt"))) == 1
    done = train("seed=[0,1,2]", "study=parts", *words)
    assert "3 seeds continue after epoch 9" in done.out
    assert contents(tmp_path / "outputs/parts") == contents(tmp_path / "outputs/whole")


BATCHES = ("data.samples_per_class=20", "data.batch_size=8")
NOISY = """
from torch import nn


class Noisy(nn.Sequential):
    def __init__(self, in_features, out_features):
        super().__init__(nn.Linear(in_features, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, out_features))
"""


@pytest.mark.integration
def test_buffers_and_random_numbers_of_a_network_continue_too(train, killed, tmp_path, monkeypatch):
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    network = "network:\n  _target_: noisy.Noisy\n  _partial_: true\n"
    (tmp_path / "conf/model/noisy.yaml").write_text(f"_target_: src.models.custom.Custom\n{network}")
    mine = ("model=noisy", "allow_targets=[noisy]", f"hydra.searchpath=[file://{tmp_path / 'conf'}]")
    words = ("seed=[0,1,2]", "trainer.max_epochs=6", "trainer.checkpoint_every=2", *BATCHES, *QUIET, *mine)
    train(*words, "study=whole")
    killed(6, *words, "study=parts")
    assert "3 seeds continue after epoch 4" in train(*words, "study=parts").out
    assert contents(tmp_path / "outputs/parts") == contents(tmp_path / "outputs/whole")


@pytest.mark.integration
@pytest.mark.parametrize("mine", [(), ("scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.05")])
def test_a_part_of_a_stack_continues_too_and_twice_killed_is_no_worse(train, killed, tmp_path, mine):
    words = (*SETTINGS, *QUIET, *mine)
    train("seed=[0,1,2]", "study=whole", *words)
    killed(5, "seed=[0,1,2]", "study=parts", *words)
    killed(8, "seed=[0,1,2]", "study=parts", *words)
    done = train("seed=[2,1]", "study=parts", *words)
    assert "2 seeds continue after epoch 6" in done.out
    assert list(tmp_path.glob("outputs/parts/*/.stack-*.ckpt"))  # seed 0 may still want it
    train("seed=[0,1,2]", "study=parts", *words)
    assert contents(tmp_path / "outputs/parts") == contents(tmp_path / "outputs/whole")
    assert not list(tmp_path.glob("outputs/parts/*/.stack-*.ckpt"))


def test_checkpoints_change_nothing(train, tmp_path):
    train("seed=[0,1]", "study=with", *SETTINGS, *QUIET)
    train("seed=[0,1]", "study=without", *SETTINGS, "trainer.checkpoint_every=null", *QUIET)
    assert contents(tmp_path / "outputs/with") == contents(tmp_path / "outputs/without")


class Planted:
    """A pickle that makes a directory when it is loaded."""

    def __init__(self, trap):
        self.trap = trap

    def __reduce__(self):
        return os.mkdir, (self.trap,)


@parametrize(
    "change",
    [
        {"values": torch.zeros(1).expand(2, 10**12)},
        {"members": 5},
        {"epoch": "last"},
        {"generators": None},
        {"extra": Planted("trap")},
    ],
    quick=1,
)
def test_a_hostile_checkpoint_is_left_out(change, caplog, tmp_path):
    path = tmp_path / ".stack-0.ckpt"
    good = {"members": ["seed=0"], "fingerprint": "", "epoch": 1, "values": torch.zeros(1, 2), "generators": []}
    good["groups"] = []
    torch.save(good, path)
    assert _load(path).keys() == good.keys()
    torch.save(good | change, path)
    assert _load(path) is None
    assert f"{path} is left out" in caplog.text
    assert not Path("trap").exists()


@parametrize("content", [b"q", None, b"", b"PK\x03\x04"], quick=1)
def test_a_broken_checkpoint_is_left_out_and_named(content, train, killed, tmp_path):
    train("seed=[0,1]", "study=whole", *SETTINGS, *QUIET)
    killed(5, "seed=[0,1]", "study=parts", *SETTINGS, *QUIET)
    [path] = tmp_path.glob("outputs/parts/*/.stack-*.ckpt")
    if content is None:
        torch.save([1, 2], path)
    else:
        path.write_bytes(content)
    done = train("seed=[0,1]", "study=parts", *SETTINGS, *QUIET)
    assert f"{path} is left out" in done.out.replace("\n", "")
    assert contents(tmp_path / "outputs/parts") == contents(tmp_path / "outputs/whole")
    assert not path.exists()
