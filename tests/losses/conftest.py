from collections.abc import Iterator

import pytest

from src.training.single_thread import one_thread


@pytest.fixture(autouse=True)
def as_trained() -> Iterator[None]:
    """Compute as the program does."""
    with one_thread():
        yield
