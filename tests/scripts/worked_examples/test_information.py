import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from scripts.worked_examples.information import cross_entropy, entropy, kl_divergence
from src.utils.validation import SettingsError

few = settings(max_examples=50, deadline=None, derandomize=True)
FUNCTIONS = (entropy, lambda p, **options: kl_divergence(p, p, **options))


def distributions(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1]))


@pytest.mark.parametrize("base", [2, math.e])
def test_they_are_scipys_for_each_distribution(base: float) -> None:
    p, q = distributions(4, 5), distributions(4, 5, seed=1)
    np.testing.assert_allclose(entropy(p, base=base), stats.entropy(p, base=base, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(kl_divergence(p, q, base=base), stats.entropy(p, q, base=base, axis=-1), rtol=1e-10)
    written = [
        -sum(a * math.log(b, base) for a, b in zip(*rows, strict=True))
        for rows in zip(p.tolist(), q.tolist(), strict=True)
    ]
    np.testing.assert_allclose(cross_entropy(p, q, base=base), written, rtol=1e-12)


def test_leading_axes_broadcast() -> None:
    p, q = distributions(3, 1, 4), distributions(5, 4, seed=1)
    found = kl_divergence(p, q)
    assert found.shape == (3, 5)
    np.testing.assert_allclose(found, special.rel_entr(p.numpy(), q.numpy()).sum(-1), rtol=1e-9, atol=1e-12)


def test_zero_times_the_logarithm_of_zero_is_zero() -> None:
    certain, even = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    assert str(entropy(certain).item()) == "0.0"
    assert cross_entropy(certain, certain).item() == 0
    assert kl_divergence(certain, even, base=2).item() == 1
    assert cross_entropy(even, certain).item() == math.inf


@few
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 9))
def test_the_divergence_is_positive_and_the_entropy_at_most_that_of_chance(seed: int, classes: int) -> None:
    p, q = distributions(classes, seed=seed), distributions(classes, seed=seed + 1)
    assert kl_divergence(p, q) > -1e-12
    assert 0 <= entropy(p) <= math.log(classes) + 1e-12


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.6], 'to be probabilities that sum to 1, got "a sum of 1.1"'),
        ([1.2, -0.2], "to be probabilities of at least 0, got -0.2"),
        ([math.nan, 1.0], 'to be probabilities of at least 0, got "nan"'),
        ([[0.5, 0.5], [0.4, 0.4]], 'to be probabilities that sum to 1, got "a sum of 0.8"'),
    ],
)
def test_what_is_no_distribution_is_refused_unless_told_not_to_look(function: Any, values: Any, words: str) -> None:
    bad = torch.tensor(values, dtype=torch.float64)
    with pytest.raises(SettingsError) as caught:
        function(bad)
    assert str(caught.value) == f"Expected `p` {words}."
    assert function(bad, check=False).shape == bad.shape[:-1]


def test_each_argument_is_named() -> None:
    good, bad = torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.6])
    with pytest.raises(SettingsError) as caught:
        kl_divergence(good, bad)
    assert [problem.name for problem in caught.value.problems] == ["q"]
    with pytest.raises(SettingsError, match="`base` to be 2 or e, got 10"):
        entropy(good, base=10)
    with pytest.raises(SettingsError, match="`q` to be as long as p"):
        cross_entropy(good, torch.tensor([1.0]))


def test_single_precision_is_close_enough_to_a_sum_of_one() -> None:
    p = torch.softmax(torch.randn(100, 1000, generator=torch.Generator().manual_seed(0)), -1)
    np.testing.assert_allclose(entropy(p), stats.entropy(p.double(), axis=-1), rtol=1e-6)
