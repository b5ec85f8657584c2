import torch

from src.losses.bce import BinaryCrossEntropy
from src.losses.ce import CrossEntropy


def random_logits() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(4, 7, 1, generator=generator), torch.randint(2, (4, 7), generator=generator)


def test_the_loss_is_the_cross_entropy_of_the_logits_zero_and_z() -> None:
    outputs, target = random_logits()
    pair = torch.cat([torch.zeros_like(outputs), outputs], dim=-1)
    objective = BinaryCrossEntropy(classes=2)
    torch.testing.assert_close(objective.loss(outputs, target), CrossEntropy(classes=2).loss(pair, target))
    torch.testing.assert_close(objective.probabilities(outputs), CrossEntropy(classes=2).probabilities(pair))


def test_the_loss_stays_finite_and_exact_far_from_the_target() -> None:
    outputs, target = torch.tensor([[[800.0]], [[-800.0]], [[800.0]]]), torch.tensor([[0], [1], [1]])
    assert BinaryCrossEntropy(classes=2).loss(outputs, target).tolist() == [800, 800, 0]
