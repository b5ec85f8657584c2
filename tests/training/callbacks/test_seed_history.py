import torch

from src.training.callbacks.seed_history import SeedHistory
from src.training.history import Curves


def make_history(seeds: list[int], epochs: int = 3, *, validated: bool = True) -> SeedHistory:
    """Return a history whose last epoch has one step less; every seed has numbers of its own."""
    own = 100.0 * torch.tensor(seeds)
    history = SeedHistory()
    history.curves = Curves(
        step_loss=[own + torch.arange(4 - (epoch == epochs - 1))[:, None] for epoch in range(epochs)],
        train_loss=[own + epoch for epoch in range(epochs)],
        train_accuracy=[own / 1000 + epoch / 10 for epoch in range(epochs)],
        val_loss=[own - epoch for epoch in range(epochs)] * validated,
        val_accuracy=[own / 2000 for _ in range(epochs)] * validated,
    )
    return history


def assert_equal(found: Curves, expected: Curves) -> None:
    assert vars(found).keys() == vars(expected).keys()
    for name, curve in vars(expected).items():
        restored = getattr(found, name)
        assert len(restored) == len(curve), name
        assert all(map(torch.equal, restored, curve)), name


def test_a_state_has_one_row_per_seed_and_restores_some_of_them() -> None:
    for validated in (True, False):
        state = make_history([0, 1, 2], validated=validated).state_dict()
        rows = {name: value[[2, 0]] if isinstance(value, torch.Tensor) else value for name, value in state.items()}
        restored = SeedHistory()
        restored.load_state_dict(rows)
        assert_equal(restored.curves, make_history([2, 0], validated=validated).curves)


def test_a_history_without_an_epoch_has_no_state() -> None:
    restored = make_history([0, 1])
    restored.load_state_dict(SeedHistory().state_dict())
    assert_equal(restored.curves, Curves())
