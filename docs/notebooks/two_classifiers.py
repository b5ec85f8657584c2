# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Two classifiers, step by step
#
# The lecture trains one small network with two losses: mean squared error on the label, and cross-entropy on one
# output per class. This notebook goes through one training of each, with the parts of losslab that a command puts
# together: a distribution, a DataModule, an objective and a network.

# %%
import os

import matplotlib.pyplot as plt
import torch

from src.data.datamodule import StackedDataModule
from src.data.noisy_cubic import NoisyCubic
from src.losses.ce import CrossEntropy
from src.losses.ce_softmax import SoftmaxCrossEntropy
from src.losses.mse import MeanSquaredError
from src.metrics.population import Population
from src.metrics.predictions import seed_network
from src.models.mlp import MLP
from src.utils.seed_streams import seed_streams

FAST = os.environ.get("LOSSLAB_DOCS_FAST") == "1"  # a shorter training, to test this page
EPOCHS = 60 if FAST else 499
CLASSES = 2
torch.set_num_threads(1)  # more threads only slow such small tensors down

# %% [markdown]
# ## The data
#
# 80 values of x, and for each of them one sample of every class: the cubic y = 3x³ + 2x² + 5x, scaled to the unit
# square, plus a band of uniform noise per class. The bands overlap, so no classifier is always right.

# %%
distribution = NoisyCubic(
    CLASSES, samples_per_class=80, noise="uniform", half_width=0.2, spacing=0.2, label_order=None, priors=None, flip=0
)
print(f"Bayes accuracy: {distribution.bayes_accuracy():.3f}")

# %% [markdown]
# A *seed* owns four random streams: for its sample, its split, its initial weights and the order of its mini-batches.
# The DataModule draws and splits one data set per seed; every tensor has a leading axis of seeds. Here there is one
# seed.

# %%
streams = seed_streams(0, {})
data = StackedDataModule(distribution, streams, batch_size=5, test_fraction=0.2, val_fraction=0)
data.setup()
print("training samples", tuple(data.train.x.shape), "test samples", tuple(data.test.x.shape))

# %%
figure, ax = plt.subplots(figsize=(5, 4))
for label, color in enumerate(["tab:green", "tab:red"]):
    x = data.train.x[0][data.train.target[0] == label]
    ax.scatter(x[:, 0], x[:, 1], s=12, color=color, label=f"class {label}")
ax.set(xlabel="x1", ylabel="x2", title="training samples of seed 0")
ax.legend()
plt.show()

# %% [markdown]
# ## Two objectives
#
# An objective is a number of outputs, a loss and a decision rule. The two losses of the lecture differ in all three.
#
# | | outputs | loss | decision |
# |---|---|---|---|
# | `mse` | 1 | (y - label)² | the nearest label: y > 0.5 is class 1 |
# | `ce` | one per class | -ln softmax(y)[label] | the largest output |

# %%
objectives = {"mse": MeanSquaredError(CLASSES), "ce": CrossEntropy(CLASSES)}
y = torch.tensor([[[0.2], [0.6], [1.7]]])  # (S = 1, N = 3, O = 1)
print("mse decides", objectives["mse"].decode(y).tolist())
print("mse has the loss", objectives["mse"].loss(y, torch.tensor([[0, 1, 1]])).tolist(), "on the labels 0, 1, 1")

# %% [markdown]
# ## The training loop
#
# This is the loop of the slides: every epoch goes through all mini-batches of 5 and takes one step of Adam on each.
# The loss has one value per seed, and their *sum* is differentiated; with several seeds, each would receive the
# gradient of its own loss.


# %%
def train(objective):
    """Return the trained network and the loss of every step."""
    initial = [stream.generator("init") for stream in streams]
    recipe = {"hidden": [50, 100, 50], "activation": "relu", "init": "normal", "init_std": 0.02}
    network = MLP(2, objective.out_features, initial, **recipe)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    losses = []
    loader = data.train_dataloader()
    for _ in range(EPOCHS):
        for block in loader:  # mostly one block per epoch
            for x, target in block.mini_batches():  # (S, B, D), (S, B)
                optimizer.zero_grad()
                loss = objective.loss(network(x), target)  # (S,)
                loss.sum().backward()
                optimizer.step()
                losses.append(loss.item())
    return network, losses


trained = {name: train(objective) for name, objective in objectives.items()}

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
for ax, (name, (_, losses)) in zip(axes, trained.items(), strict=True):
    ax.plot(losses, linewidth=0.3)
    ax.set(title=name, xlabel="step", ylabel="loss of the mini-batch", yscale="log")
figure.tight_layout()
plt.show()

# %% [markdown]
# The two curves have their own scales; a lower curve of one loss says nothing about the other.
#
# ## Two accuracies
#
# On the 32 test samples each network has some number of correct decisions, as on the slides. Because the distribution
# is known, the same network also has an exact accuracy. One more test sample right or wrong changes the first by 3
# points, and the second not at all.

# %%
for name, (network, _) in trained.items():
    objective = objectives[name]
    with torch.no_grad():
        preds = objective.decode(network(data.test.x))
        correct = int((preds == data.test.target).sum())
        metrics = Population(objective, distribution).metrics(seed_network(network, 0))
    count = data.test.target.shape[1]
    print(f"{name}: {correct} of {count} correct = {correct / count:.3f}; exactly {metrics['population/accuracy']:.4f}")

# %%
side = torch.linspace(-0.2, 1.2, 200)
grid = torch.cartesian_prod(side, side)
figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
for ax, (name, (network, _)) in zip(axes, trained.items(), strict=True):
    with torch.no_grad():
        regions = objectives[name].decode(network(grid[None]))[0].view(200, 200)
        preds = objectives[name].decode(network(data.test.x))[0]
    ax.contourf(side, side, regions.T, levels=[-0.5, 0.5, 1.5], colors=["tab:green", "tab:red"], alpha=0.15)
    ax.scatter(*data.test.x[0].T, c=["tab:green" if pred == 0 else "tab:red" for pred in preds], s=14)
    wrong = preds != data.test.target[0]
    ax.scatter(*data.test.x[0][wrong].T, s=70, facecolors="none", edgecolors="black", label="wrong")
    ax.set(title=name, xlabel="x1")
axes[0].set_ylabel("x2")
axes[0].legend()
figure.tight_layout()
plt.show()

# %% [markdown]
# ## The double softmax of the slides
#
# The training loop of the slides applies softmax before a loss that applies it again. Its loss cannot reach zero: the
# outputs of the first softmax are between 0 and 1, so the second one cannot give the true class more than e / (e +
# 1).

# %%
certain, label = torch.tensor([[[100.0, 0.0]]]), torch.tensor([[0]])
for objective in (CrossEntropy(CLASSES), SoftmaxCrossEntropy(CLASSES)):
    loss = objective.loss(certain, label).item()
    print(f"{type(objective).__name__} of a certain and right decision: {loss:.4f}")

# %% [markdown]
# `python -m src.train loss=ce classes=2` does all of this, for any number of seeds at once. Whether the two losses
# differ is not answered by one training of each: see [Homework 4](homework_4.py).
