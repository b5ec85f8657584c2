"""Classifiers that look trained."""

import torch

from src.losses.ce import CrossEntropy
from src.models.mlp import MLP
from src.training.module import StackedClassifier

EPOCHS, STEPS, SEEDS = 3, 4, 2


def make_network(seeds: int = SEEDS) -> MLP:
    generators = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
    return MLP(2, 3, generators, hidden=[4, 5], activation="relu", init="normal", init_std=0.5)


def make_classifier(*, validation: bool = False) -> StackedClassifier:
    """Return a classifier that looks trained: step t of epoch e of seed s has the loss 100 s + 10 e + t."""
    classifier = StackedClassifier(make_network(), CrossEntropy(3), torch.optim.SGD)
    seed = torch.arange(SEEDS)
    for epoch in range(EPOCHS):
        classifier.curves.step_loss.append(100.0 * seed + 10.0 * epoch + torch.arange(STEPS)[:, None])
        classifier.curves.train_loss.append(seed + epoch / 4)
        classifier.curves.train_accuracy.append(seed / 2 + epoch / 8)
        if validation:
            classifier.curves.val_loss.append(seed + epoch / 4 + 10)
            classifier.curves.val_accuracy.append(seed / 2 + epoch / 8 + 0.0625)
    return classifier
