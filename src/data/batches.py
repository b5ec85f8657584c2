"""The order of the samples of an epoch, whose consecutive parts are its mini-batches."""

import torch
from torch import Generator, Tensor


def stratified_order(target: Tensor, batch_size: int, generator: Generator) -> Tensor:
    """Return a random permutation (N,) whose consecutive mini-batches have the shares of the classes.

    A mini-batch of b samples has b n / N of the n samples of a class, up to less than 1; up to less than 1 + 1 / steps
    where N is no multiple of the batch size. As in scikit-learn's StratifiedKFold, the samples are sorted by class and
    dealt to the mini-batches in turn. The last, smaller mini-batch is drawn first, at equal distances.

    Args:
        target: The class of each sample, (N,).
        batch_size: Samples of a mini-batch; the last one has what is left.
        generator: The random stream.

    Example:
        >>> target = torch.tensor([0] * 8 + [1] * 4)
        >>> order = stratified_order(target, 3, torch.Generator().manual_seed(0))
        >>> target[order].view(-1, 3).sum(1)
        tensor([1, 1, 1, 1])
    """
    size = len(target)
    steps, rest = divmod(size, batch_size)
    shuffled = torch.randperm(size, generator=generator)
    by_class = shuffled[target[shuffled].argsort(stable=True)]
    start = torch.rand(1, generator=generator).double()
    last = torch.zeros(size, dtype=torch.bool)
    last[((torch.arange(rest) + start) * size / rest).long()] = True
    dealt = by_class[~last].view(batch_size, steps).T  # (steps, B)
    turns = torch.randperm(steps, generator=generator)
    return torch.cat([dealt[turns].flatten(), by_class[last]])
