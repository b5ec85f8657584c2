import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from src.data.batches import stratified_order

few = settings(max_examples=100, deadline=None, derandomize=True)


@few
@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(1, 60), st.integers(0, 99))
def test_every_mini_batch_has_the_shares_of_the_classes(counts: list[int], batch_size: int, seed: int) -> None:
    target = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    target = target[torch.randperm(len(target), generator=torch.Generator().manual_seed(1))]
    order = stratified_order(target, batch_size, torch.Generator().manual_seed(seed))
    assert order.sort().values.tolist() == list(range(len(target)))
    steps, rest = divmod(len(target), batch_size)
    for batch in target[order].split(batch_size):
        expected = torch.tensor(counts, dtype=torch.float64) * len(batch) / len(target)
        allowed = 1 + (1 / steps if rest and len(batch) == batch_size else 0)
        assert (batch.bincount(minlength=len(counts)) - expected).abs().max() < allowed


def test_mini_batches_have_the_classes_of_the_folds_of_scikit_learn() -> None:
    target = torch.tensor([0] * 27 + [1] * 14 + [2] * 7)  # 6 folds of 8
    folds = StratifiedKFold(6).split(target.numpy(), target.numpy())
    expected = sorted(target[test].bincount(minlength=3).tolist() for _, test in folds)
    order = stratified_order(target, 8, torch.Generator().manual_seed(0))
    assert sorted(batch.bincount(minlength=3).tolist() for batch in target[order].split(8)) == expected


def test_every_sample_comes_first_about_equally_often() -> None:
    target = torch.tensor([0] * 6 + [1] * 2)
    generator = torch.Generator().manual_seed(0)
    first = torch.stack([stratified_order(target, 4, generator)[:4] for _ in range(2000)])
    share = first.flatten().bincount(minlength=8) / 2000
    assert (share - 0.5).abs().max() < 0.05
