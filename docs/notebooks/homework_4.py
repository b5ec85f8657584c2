# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Homework 4 and its box plots
#
# Two losses, two class counts, 20 repetitions each, and a box plot of the test accuracies: that is homework 4. This
# notebook trains it, draws the boxes, and asks what they show and what they do not.

# %%
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from src.experiments import run
from src.statistics.paired import compare_learned

FAST = os.environ.get("LOSSLAB_DOCS_FAST") == "1"  # a shorter training, to test this page
EPOCHS = 20 if FAST else 499
SEEDS = 6 if FAST else 20

# %% [markdown]
# ## Train
#
# `run` trains all seeds of one condition, as `python -m src.train` does, and returns one row per seed. Use a
# directory of your own instead of a temporary one, and a second call trains nothing: finished seeds are kept.

# %%
outputs = tempfile.mkdtemp()
short = {"trainer": {"max_epochs": EPOCHS}, "figures": "none", "export": "none"}
runs = pd.concat(
    run(loss=loss, classes=classes, seed=range(SEEDS), study="hw4", output_dir=outputs, **short)
    for classes in (2, 4)
    for loss in ("mse", "ce")
)
runs.groupby(["classes", "loss"])[["test/accuracy", "population/accuracy"]].agg(["mean", "std"]).round(3)

# %% [markdown]
# ## The box plots
#
# On the left the homework's figure. On the right the same networks, measured exactly: the distribution is known, so
# the accuracy of every trained network can be integrated instead of estimated from 32 (64) test samples.

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
groups = list(runs.groupby(["classes", "loss"]))
for ax, metric in zip(axes, ("test/accuracy", "population/accuracy"), strict=True):
    values = [group[metric] for _, group in groups]
    ax.boxplot(values, tick_labels=[f"{loss}\n{classes} classes" for (classes, loss), _ in groups], showfliers=False)
    for place, sample in enumerate(values, 1):
        jitter = np.linspace(-0.15, 0.15, len(sample))
        ax.scatter(place + jitter, sample, s=12, alpha=0.6)
    ax.set_title(metric)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## What the boxes show
#
# - *How a single run varies.* A box has the middle half of the runs, the dots are all of them.
# - *That the test set is small.* The left boxes are much wider than the right ones. The right ones contain the
#   variation of the networks only; the left ones also that of 32 test samples, whose standard error alone is about 8
#   points.
# - *That a few runs of `ce` are a population of their own,* at chance level, far from the box. A mean or a box
#   describes such a mixture badly.
#
# The variance of the test accuracy is about the variance of the population accuracy plus that of a binomial
# proportion:

# %%
rows = {}
for (classes, loss), group in groups:
    p = group["population/accuracy"]
    rows[f"{loss}, {classes} classes"] = {
        "variance of test accuracy": group["test/accuracy"].var(),
        "of population accuracy": p.var(),
        "of a finite test set": (p * (1 - p) / group["test/count"]).mean(),
    }
(pd.DataFrame(rows).T * 1e4).round(1)  # in squared percentage points

# %% [markdown]
# ## What they do not show
#
# *Whether the losses differ.* Two boxes overlap or not because of the spread of single runs. The question is about
# the means, and the runs are paired: seed 7 of both losses has the same samples, the same split and the same
# shuffles. What counts is the spread of the differences.

# %%
table = runs.pivot(index=["classes", "seed"], columns="loss", values="population/accuracy")
learned = runs.pivot(index=["classes", "seed"], columns="loss", values="train/decided_classes")
for classes in (2, 4):
    pair = table.loc[classes]
    both = (learned.loc[classes] > 1).all(axis=1)
    result = compare_learned(100 * pair["mse"][both], 100 * pair["ce"][both])
    print(
        f"{classes} classes: {(learned.loc[classes] == 1).sum().to_dict()} of {len(both)} collapsed; where both "
        f"learned, mse - ce = {result.difference:.1f} points [{result.low:.1f}, {result.high:.1f}], p = {result.p:.4f}"
    )

# %%
figure, ax = plt.subplots(figsize=(6, 3))
for place, classes in enumerate((2, 4)):
    difference = 100 * (table.loc[classes]["mse"] - table.loc[classes]["ce"])
    ax.scatter(difference, place + np.linspace(-0.1, 0.1, len(difference)), s=14)
ax.axvline(0, color="black", linewidth=0.8)
ax.set(yticks=[0, 1], yticklabels=["2 classes", "4 classes"], xlabel="population accuracy, mse - ce, in points")
figure.tight_layout()
plt.show()

# %% [markdown]
# Most differences are near 0; a few, the seeds whose `ce` network never left chance level, are 25 points or more. The
# mean difference is mostly the *proportion of those seeds* times their size, and the same few seeds inflate its
# standard error: a loss can be better on nearly every seed and the p value still be large. So the honest answer has
# two parts: how often does a loss fail, and how good is it where it does not? Next: [Why some seeds never
# learn](seeds_that_never_learn.py).
#
# *Anything about other data, networks or learning rates.* 20 seeds replicate this recipe, and nothing beyond it.
#
# `python -m scripts.aggregate outputs/hw4` writes all of this as a report; [Reading the report](../report.md)
# explains it.
