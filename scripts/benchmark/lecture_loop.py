"""The lecture's own training loop, one network at a time, as a script: the reference that losslab is measured against.

python -m scripts.benchmark.lecture_loop ce 2 --seeds 1 --epochs 499
"""

import argparse
import json
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

LOSSES = ("mse", "ce")
Batches = Iterable[Any]  # of x (B, 2) and target (B,) or (B, 1)


def draw(classes: int) -> tuple[Tensor, Tensor]:
    """Return the lecture's samples (80 * classes, 2) and labels: one noisy band per class around a cubic."""
    x = torch.arange(-10, 10, 0.25)
    y = 3 * x**3 + 2 * x**2 + 5 * x
    x, y = ((values - values.min()) / (values.max() - values.min()) for values in (x, y))
    centres = 0.2 * ((classes - 1) / 2 - torch.arange(classes))
    heights = y[:, None] + centres + 0.4 * torch.rand(80, classes) - 0.2
    samples = torch.stack([x[:, None].expand_as(heights), heights], dim=-1).flatten(0, 1)
    return samples, torch.arange(classes).repeat(80)


def make_network(outputs: int) -> nn.Sequential:
    """Return the lecture's network, all of its parameters from N(0, 0.02)."""
    network = nn.Sequential(
        nn.Linear(2, 50),
        nn.ReLU(),
        nn.Linear(50, 100),
        nn.ReLU(),
        nn.Linear(100, 50),
        nn.ReLU(),
        nn.Linear(50, outputs),
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.02)
    return network


class Loop:
    """The training loop of the slides, which keeps the loss of every step, and for cross-entropy the accuracy.

    Args:
        loss: ``mse`` or ``ce``.
        network: The network to train.
        lr: Adam's learning rate.
    """

    def __init__(self, loss: str, network: nn.Module, lr: float = 0.005) -> None:
        self.loss = loss
        self.network = network
        self.criterion = nn.MSELoss() if loss == "mse" else nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(network.parameters(), lr=lr)
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def epoch(self, batches: Batches) -> None:
        """Take a step on each mini-batch."""
        for x, y in batches:
            output = self.network(x)
            value = self.criterion(output, y)
            self.optimizer.zero_grad()
            value.backward()
            self.optimizer.step()
            self.losses.append(value.item())
            if self.loss == "ce":
                self.accuracies.append((output.argmax(1) == y).sum().item() / len(y))


def train(loss: str, classes: int, seed: int, epochs: int) -> list[float]:
    """Train one network as the slides do and return the loss of every step."""
    torch.manual_seed(seed)
    samples, labels = draw(classes)
    permutation = torch.randperm(len(samples))[len(samples) // 5 :]
    target = labels[permutation].float()[:, None] if loss == "mse" else labels[permutation]
    loader = DataLoader(TensorDataset(samples[permutation], target), batch_size=5, shuffle=True)
    loop = Loop(loss, make_network(1 if loss == "mse" else classes))
    for _ in range(epochs):
        loop.epoch(loader)
    return loop.losses


def main() -> None:
    """Train some seeds in turn and print, as JSON, the seconds that each took and the steps of one."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark.lecture_loop", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("loss", choices=LOSSES)
    parser.add_argument("classes", type=int)
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=1, help="how many networks to train in turn (default: 1)")
    parser.add_argument("--epochs", type=int, default=499, help="epochs of each (default: 499, as the lecture)")
    parser.add_argument("--threads", type=int, help="threads of each tensor operation (default: torch's own choice)")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    train(options.loss, options.classes, seed=0, epochs=1)  # the extra time of the first network is start-up
    seconds, losses = [], []
    for seed in range(options.first, options.first + options.seeds):
        started = time.perf_counter()
        losses = train(options.loss, options.classes, seed, options.epochs)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "steps": len(losses), "last": losses[-1:]}))


if __name__ == "__main__":
    main()
