"""A loss, a distribution and a network that live outside of the project."""

import sys
import textwrap
from pathlib import Path

import pytest

from src import evaluate
from tests.commands import SHORT, results

CODE = '''
import torch
import torch.nn.functional as F
from torch import nn

from src.data.protocols import Distribution


class Hinge:
    """One output a class, the multi-class hinge loss, decision by argmax."""

    def __init__(self, classes, *, margin):
        self.out_features, self.margin = classes, margin

    def loss(self, outputs, target):
        pointwise = F.multi_margin_loss(outputs.flatten(0, 1), target.flatten(), margin=self.margin, reduction="none")
        return pointwise.view(target.shape).mean(-1)

    def decode(self, outputs):
        return outputs.argmax(-1)

    def probabilities(self, outputs):
        return None


class Halves(Distribution):
    """Two classes on the halves of a square, of whose labels a share is wrong."""

    features = 2

    def __init__(self, classes, *, samples, wrong):
        self.classes, self.size, self.wrong = classes, samples, wrong

    def sample(self, generators):
        draws = [torch.rand(self.size, 3, generator=generator, dtype=torch.float64) for generator in generators]
        x = torch.stack(draws)
        return x[..., :2], self.bayes_rule(x) ^ (x[..., 2] < self.wrong).long()

    def posterior(self, x):
        return self.wrong + (1 - 2 * self.wrong) * F.one_hot(self.bayes_rule(x), 2).double()

    def bayes_rule(self, x):
        return (x[..., 0] > 0.5).long()

    def bayes_accuracy(self):
        return 1 - self.wrong

    def population(self, resolution):
        side = (torch.arange(resolution, dtype=torch.float64) + 0.5) / resolution
        x = torch.cartesian_prod(side, side)
        return x, self.posterior(x) / len(x)


class Net(nn.Module):
    def __init__(self, in_features, out_features, width=16):
        super().__init__()
        self.first = nn.Linear(in_features, width)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width, out_features)

    def forward(self, x):  # (B, in_features) -> (B, out_features)
        return self.head(self.drop(self.first(x).relu()))
'''
CONF = {
    "loss/my_hinge.yaml": "_target_: my_package.Hinge\nmargin: 1",
    "data/halves.yaml": ("_target_: my_package.Halves\nsamples: 100\nwrong: 0.1"),
    "model/my_net.yaml": (
        "_target_: src.models.custom.Custom\nnetwork:\n  _target_: my_package.Net\n  _partial_: true\n  width: 8"
    ),
}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Write the code and its configuration outside of the project, and return what a command needs to find them."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "my_package.py").write_text(textwrap.dedent(CODE))
    for name, text in CONF.items():
        path = tmp_path / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    return f"hydra.searchpath=[file://{tmp_path / 'settings'}]", "allow_targets=[my_package]"


def test_a_loss_a_distribution_and_a_network_from_elsewhere_train(
    train, elsewhere: tuple[str, ...], tmp_path: Path
) -> None:
    mine = ("loss=my_hinge", "data=halves", "model=my_net", "loss.margin=0.5", "model.network.width=12")
    short = ("data.samples=60", "trainer.max_epochs=40", "optimizer.lr=0.02", "figures=none")
    train(*mine, *elsewhere, *short, "seed=[0,1]")
    found = results(tmp_path / "outputs")
    assert {seed for _, seed in found} == {0, 1}
    for content in found.values():
        assert (content["loss"], content["data"], content["model"]) == ("my_hinge", "halves", "my_net")
        assert content["metrics"]["bayes/accuracy"] == pytest.approx(0.9)
        assert content["metrics"]["population/accuracy"] > 0.7
    [run] = tmp_path.glob("outputs/*/*/seed=1")
    assert evaluate.main([f"run={run}", "allow_targets=my_package"]) == 0


def test_a_network_of_an_allowed_package_trains(train, elsewhere: tuple[str, ...], tmp_path: Path, capfd) -> None:
    mine = ("model=custom", "model.network._target_=my_package.Net", "+model.network.width=4")
    refused = train(*mine, *SHORT, code=1).err
    assert refused.startswith("Expected `model.network._target_` to be in torch.nn or in a package of")
    assert not (tmp_path / "outputs").exists()
    train(*mine, "allow_targets=[my_package]", *SHORT)
    [run] = tmp_path.glob("outputs/*/*/seed=0")
    assert evaluate.main([f"run={run}"]) == 2  # what a file says of itself does not count
    assert "model.network._target_" in capfd.readouterr().err
    assert evaluate.main([f"run={run}", "allow_targets=my_package"]) == 0


def test_without_leave_no_code_from_elsewhere_runs(train, elsewhere: tuple[str, ...], tmp_path: Path) -> None:
    path, _ = elsewhere
    assert "allow_targets" in train("loss=my_hinge", path, *SHORT, code=1).err
    assert not (tmp_path / "outputs").exists()
