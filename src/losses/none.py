"""The objective of models that are fitted in closed form and output log-probabilities."""

from src.losses.ce import CrossEntropy


class LogProbabilities(CrossEntropy):
    """C outputs ln P(class | x) of a model that is fitted in closed form, decision by argmax.

    The reported loss is the cross-entropy of these probabilities, although the fit does not minimise it.

    Args:
        classes: Number of classes C.
    """
