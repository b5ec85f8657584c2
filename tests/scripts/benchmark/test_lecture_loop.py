import json
import math
import sys

import pytest
import torch

from scripts.benchmark import lecture_loop
from src.data.noisy_cubic import NoisyCubic
from src.training.single_thread import single_threaded


@pytest.mark.parametrize("classes", [2, 4])
def test_the_loops_points_are_those_of_the_distribution(classes: int) -> None:
    torch.manual_seed(0)
    samples, labels = lecture_loop.draw(classes)
    distribution = NoisyCubic(
        classes,
        samples_per_class=80,
        noise="uniform",
        half_width=0.2,
        spacing=0.2,
        label_order=None,
        priors=None,
        flip=0,
    )
    x, target = distribution.sample([torch.Generator()])
    assert torch.equal(labels, target[0])
    torch.testing.assert_close(samples[:, 0], x[0, :, 0].float())
    noise = samples[:, 1] - distribution.curve(samples[:, 0]).float() - distribution.centres.float()[labels]
    assert noise.abs().max() <= 0.2 + 1e-6
    assert noise.std().item() == pytest.approx(distribution.deviation, rel=0.1)


@pytest.mark.integration
@pytest.mark.parametrize(("loss", "classes", "steps"), [("ce", 2, 26), ("mse", 2, 26), ("ce", 4, 52), ("mse", 4, 52)])
def test_the_loop_takes_the_lectures_steps_and_learns(loss: str, classes: int, steps: int) -> None:
    epochs = 3
    with single_threaded():
        losses, again, other = (lecture_loop.train(loss, classes, seed, epochs) for seed in (0, 0, 1))
    assert len(losses) == epochs * steps
    assert all(map(math.isfinite, losses))
    assert loss == "mse" or losses[0] == pytest.approx(math.log(classes), abs=0.05)  # N(0, 0.02): no opinion yet
    assert sum(losses[-steps:]) < sum(losses[:steps])
    assert losses == again
    assert losses != other


def test_the_script_trains_the_seeds_that_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, int, int, int]] = []

    def train(loss: str, classes: int, seed: int, epochs: int) -> list[float]:
        seen.append((loss, classes, seed, epochs))
        return [0.5] * epochs

    monkeypatch.setattr(lecture_loop, "train", train)
    monkeypatch.setattr(sys, "argv", ["lecture_loop", "mse", "4", "--first", "7", "--seeds", "2", "--epochs", "3"])
    lecture_loop.main()
    assert seen[1:] == [("mse", 4, 7, 3), ("mse", 4, 8, 3)]  # after an epoch that is start-up
    content = json.loads(capsys.readouterr().out)
    assert (len(content["seconds"]), content["steps"], content["last"]) == (2, 3, [0.5])
