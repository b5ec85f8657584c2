"""CSV text, against pandas."""

import numpy as np
import pandas as pd
import pytest

from src.storage.csv_text import csv_text

SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, 0.1, 1 / 3, 1e-4, 9.999e-5, 1e15, 1e16, 1e22, 1e-30, 123456.789]


def bits(kind: type, unsigned: type, count: int = 20_000) -> np.ndarray:
    """Return numbers of every magnitude: random bits, NaN among them."""
    return np.random.default_rng(0).integers(0, np.iinfo(unsigned).max, count, dtype=unsigned).view(kind)


@pytest.mark.parametrize(
    "columns",
    [
        {"double": np.array(SPECIAL), "single": np.array(SPECIAL, dtype=np.float32)},
        {"double": bits(np.float64, np.uint64), "single": bits(np.float32, np.uint32)},
        {"half": bits(np.float16, np.uint16), "whole": np.arange(20_000) - 7},
        {"one": np.array([1.5, np.nan])},
        {0: np.array([1]), "a,b": np.array([2]), 'a "quote"': np.array([3])},
        {"epoch": np.empty(0)},
        {},
        {"text": np.array(["a", None, "b,c"]), "flag": np.array([True, False, True]), "number": np.array([0.1, 2, 3])},
    ],
    ids=["special", "floats", "half", "one", "names", "empty", "none", "text"],
)
def test_text_is_that_of_pandas(columns: dict[str, np.ndarray]) -> None:
    table = pd.DataFrame(columns)
    assert csv_text(columns).encode() == table.to_csv(index=False).encode()
    assert csv_text(columns, header=False).encode() == table.to_csv(index=False, header=False).encode()
