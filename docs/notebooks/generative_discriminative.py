# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Generative against discriminative
#
# The lecture finds a linear boundary w·x + b = 0 in two ways. The *generative* way estimates the mean of each class
# and one common covariance, and computes w and b from them. The *discriminative* way, logistic regression, finds w
# and b directly, by minimising the cross-entropy. Same boundary, same data: which one is better?

# %%
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from src.experiments import load_run, run

FAST = os.environ.get("LOSSLAB_DOCS_FAST") == "1"  # a shorter training, to test this page
EPOCHS = 200 if FAST else 3000
SEEDS = 4 if FAST else 20
SIZES = (40, 400) if FAST else (20, 40, 100, 400, 2000)
outputs = tempfile.mkdtemp()

# %% [markdown]
# ## Where the generative model is true
#
# Two normal classes with the same covariance. Here the posterior is exactly the logistic function of a linear one, so
# both ways can represent the best classifier.

# %%
same = [[1.0, 0.3], [0.3, 1.0]]
normal = {"means": [[0.0, 0.0], [1.5, 0.5]], "covariances": [same, same], "priors": [1, 1]}
quiet = {"figures": "none", "export": "none", "predictions": False, "seed": range(SEEDS), "output_dir": outputs}
newton = {"optimizer": {"lr": 0.1}, "trainer": {"max_epochs": EPOCHS}}  # full batches until the loss is at its minimum


def both(size, study, source, **settings):
    """Train both models on samples of some size and return one row per seed."""
    generative = run(f"data={source}", model="gaussian_shared", study=study, **settings, **quiet)
    settings["data"] = settings["data"] | {"batch_size": 1_000_000}
    discriminative = run(f"data={source}", model="logistic", study=study, **settings, **quiet, **newton)
    return pd.concat([generative, discriminative]).assign(size=size)


runs = pd.concat(both(size, "normal", "gaussians", data=normal | {"samples": size}) for size in SIZES)
runs.groupby(["size", "model"])["population/regret"].mean().unstack().round(5)

# %%
figure, ax = plt.subplots(figsize=(6, 4))
for model, group in runs.groupby("model"):
    by_size = group.groupby("size")["population/regret"]
    ax.errorbar(list(by_size.groups), by_size.mean(), by_size.sem(), marker="o", capsize=3, label=model)
ax.set(xscale="log", yscale="log", xlabel="samples", ylabel="mean regret", title="two normal classes, one covariance")
ax.legend()
plt.show()

# %% [markdown]
# Regret, the distance to the Bayes accuracy, falls for both, about like 1/N. In theory the generative model is ahead
# here, as it uses the additional information that the classes are normal. The bars are standard errors over seeds; as
# both models see the same samples, look at the paired differences:

# %%
paired = runs.pivot(index=["size", "seed"], columns="model", values="population/regret")
difference = paired["logistic"] - paired["gaussian_shared"]
difference.groupby("size").agg(["mean", "sem", lambda values: (values > 0).mean()]).set_axis(
    ["mean difference of regret", "standard error", "share of seeds where generative is better"], axis=1
).round(5)

# %% [markdown]
# The advantage is hardly visible, and that is no accident: Efron (1975) calculated that it is a few percent for
# classes as close to each other as these, and grows with their distance. Compare each mean difference with its
# standard error before believing in it.

# %% [markdown]
# ## The same line in two ways
#
# w and b of the two models on one data set. The Bayes-optimal line is in black.

# %%
size = SIZES[-1]
chosen = runs[(runs["size"] == size) & (runs["seed"] == 0)]
figure, ax = plt.subplots(figsize=(5.5, 4.5))
for _, row in chosen.iterrows():
    loaded = load_run(row["folder"])
    x1 = np.linspace(-3, 5, 2)
    w, b = [loaded.metrics[f"log_odds/1/{name}"] for name in ("w1", "w2")], loaded.metrics["log_odds/1/b"]
    print(f"{row['model']:16s} w = ({w[0]:.3f}, {w[1]:.3f}), b = {b:.3f}")
    ax.plot(x1, -(b + w[0] * x1) / w[1], label=row["model"])
data = loaded.components.datamodule.train
ax.scatter(*data.x[0].T, c=data.target[0], s=6, cmap="coolwarm", alpha=0.4)
mean, inverse = np.array(normal["means"]), np.linalg.inv(same)
w = inverse @ (mean[1] - mean[0])
b = -0.5 * (mean[1] @ inverse @ mean[1] - mean[0] @ inverse @ mean[0])
ax.plot(x1, -(b + w[0] * x1) / w[1], color="black", linestyle="--", label="Bayes")
ax.set(xlim=(-3, 5), ylim=(-4, 5), xlabel="x1", ylabel="x2")
ax.legend()
plt.show()

# %% [markdown]
# ## Where it is not
#
# Now the classes are normal again, but one is narrow and the other wide. The best line lies close to the narrow
# class. The generative model replaces both covariances by their mean and places its line as if the classes were
# equally wide. Logistic regression assumes only that the boundary is a line.

# %%
narrow, wide = [[0.2, 0.0], [0.0, 0.2]], [[5.0, 0.0], [0.0, 5.0]]
unequal = {"means": [[0.0, 0.0], [3.0, 1.0]], "covariances": [narrow, wide], "priors": [1, 1]}
wrong = pd.concat(both(size, "unequal", "gaussians", data=unequal | {"samples": size}) for size in SIZES)
wrong.groupby(["size", "model"])["population/regret"].mean().unstack().round(4)

# %%
paired = wrong.pivot(index=["size", "seed"], columns="model", values="population/accuracy")
advantage = 100 * (paired["logistic"] - paired["gaussian_shared"])
advantage.groupby("size").agg(["mean", "sem"]).round(2)  # in points of accuracy; positive: logistic is better

# %% [markdown]
# More data do not help the generative model here: its regret levels off at what the wrong assumption costs. Logistic
# regression levels off too, at what a line costs against the curved Bayes boundary, but lower.
#
# A wrong assumption need not hurt. On the bands of the noisy cubic, which are not normal at all, both ways find
# nearly the same line:

# %%
cubic = both(160, "cubic", "noisy_cubic", data={"samples_per_class": 80})
paired = cubic.pivot(index="seed", columns="model", values="population/accuracy")
advantage = 100 * (paired["logistic"] - paired["gaussian_shared"])
print(f"logistic - generative: {advantage.mean():.2f} points, standard error {advantage.sem():.2f}")

# %% [markdown]
# `python -m src.train --multirun experiment=generative_vs_discriminative` and `experiment=sample_size` do this with
# full reports.
