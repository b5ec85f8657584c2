import numpy as np
import pytest
from scipy import stats

from src.metrics.collapse import collapse_epoch, collapsed


def test_one_decided_class_is_a_collapse_and_unknown_stays_unknown():
    assert collapsed(1) == 1
    assert collapsed(2) == 0
    assert np.isnan(collapsed(float("nan")))
    np.testing.assert_array_equal(collapsed([1.0, 4.0, np.nan]), [1, 0, np.nan])


@pytest.mark.parametrize("seed", range(30))
def test_collapse_epoch_by_trying_every_epoch(seed: int):
    generator = np.random.default_rng(seed)
    count, share = int(generator.integers(20, 400)), generator.uniform(0.25, 0.6)
    limit = share + 3 * stats.binom.std(count, share) / count
    accuracy = generator.uniform(share - 0.1, limit + 0.02, 12)
    starts = [epoch for epoch in range(1, 13) if all(each <= limit for each in accuracy[epoch - 1 :])]
    assert collapse_epoch(accuracy, share, count) == (starts[0] if starts else None)


def test_without_an_epoch_there_is_no_epoch_of_collapse():
    assert collapse_epoch([], 0.5, 10) is None
