"""The lecture's own training loop, one network at a time, as a script of its own: what losslab is measured against.

python -m scripts.lecture_loop ce 2 --seeds 1 --epochs 499
"""

import argparse
import json
import time

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

LOSSES = ("mse", "ce")


def draw(classes: int) -> tuple[Tensor, Tensor]:
    """Return the lecture's points (80 * classes, 2) and labels: a noisy band a class around a cubic."""
    x = torch.arange(-10, 10, 0.25)
    y = 3 * x**3 + 2 * x**2 + 5 * x
    x, y = ((values - values.min()) / (values.max() - values.min()) for values in (x, y))
    centres = 0.2 * ((classes - 1) / 2 - torch.arange(classes))
    heights = y[:, None] + centres + 0.4 * torch.rand(80, classes) - 0.2
    points = torch.stack([x[:, None].expand_as(heights), heights], dim=-1).flatten(0, 1)
    return points, torch.arange(classes).repeat(80)


def train(loss: str, classes: int, seed: int, epochs: int) -> list[float]:
    """Train one network as the slides do and return the loss of every step."""
    torch.manual_seed(seed)
    points, labels = draw(classes)
    order = torch.randperm(len(points))[len(points) // 5 :]
    target = labels[order].float()[:, None] if loss == "mse" else labels[order]
    loader = DataLoader(TensorDataset(points[order], target), batch_size=5, shuffle=True)
    outputs = 1 if loss == "mse" else classes
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
    criterion = nn.MSELoss() if loss == "mse" else nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    losses, accuracies = [], []
    for _ in range(epochs):
        for x, y in loader:
            output = network(x)
            value = criterion(output, y)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
            if loss == "ce":
                accuracies.append((output.argmax(1) == y).sum().item() / len(y))
    return losses


def main() -> None:
    """Train some seeds in turn and print, as JSON, the seconds that each took and the steps of one."""
    parser = argparse.ArgumentParser(prog="python -m scripts.lecture_loop", description=__doc__.partition("\n")[0])
    parser.add_argument("loss", choices=LOSSES)
    parser.add_argument("classes", type=int)
    parser.add_argument("--seeds", type=int, default=1, help="how many networks to train in turn (default: 1)")
    parser.add_argument("--epochs", type=int, default=499, help="epochs of each (default: 499, as the lecture)")
    parser.add_argument("--threads", type=int, help="threads of each tensor operation (default: torch's own choice)")
    options = parser.parse_args()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    train(options.loss, options.classes, seed=0, epochs=1)  # what only the first network pays is start-up
    seconds, losses = [], []
    for seed in range(options.seeds):
        started = time.perf_counter()
        losses = train(options.loss, options.classes, seed, options.epochs)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds, "steps": len(losses), "last": losses[-1:]}))


if __name__ == "__main__":
    main()
