"""The loss of logistic regression: the binary cross-entropy, or that of C classes."""

from src.losses.base import Objective
from src.losses.bce import BinaryCrossEntropy
from src.losses.ce import CrossEntropy


def logistic(classes: int) -> Objective:
    r"""Return the objective of logistic regression for two classes, and of softmax regression for more.

    Two classes have one logit z and P(class 1) = \sigma(z), C classes have C logits and their softmax. In both cases
    the loss is -ln P(target), so minimising it maximises the likelihood.

    Args:
        classes: Number of classes C.

    Example:
        >>> logistic(2).out_features, logistic(3).out_features
        (1, 3)
    """
    return BinaryCrossEntropy(classes) if classes == 2 else CrossEntropy(classes)
