import numpy as np
import pytest
from scipy import stats

from src.statistics.ranks import average_ranks


@pytest.mark.parametrize(("treatments", "quantile"), [(3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_difference_has_the_quantiles_that_demsar_prints(treatments: int, quantile: float):
    values = np.random.default_rng(1).normal(size=(8, treatments))
    found = average_ranks(values)
    assert found.critical_difference == pytest.approx(quantile * np.sqrt(treatments * (treatments + 1) / 48), rel=3e-4)
    assert found.p == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)
    by_hand = np.mean([[1 + sum(other > value for other in row) for value in row] for row in values], axis=0)
    np.testing.assert_allclose(found.ranks, by_hand)


def test_equal_treatments_share_their_rank():
    found = average_ranks(np.ones((4, 3)))
    np.testing.assert_array_equal(found.ranks, [2, 2, 2])
    assert found.p == 1


@pytest.mark.parametrize("values", [[[1, 2, 3]], [[1, 2], [3, 4]], [[1, 2, np.nan], [1, 2, 3]]])
def test_too_few_or_missing_values_are_refused(values):
    with pytest.raises(ValueError, match="2 or more blocks and 3 or more treatments"):
        average_ranks(values)
