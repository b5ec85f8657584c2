from collections.abc import Iterator

import pytest

from src.training.single_thread import single_threaded


@pytest.fixture(autouse=True)
def as_trained() -> Iterator[None]:
    """Compute as the program does."""
    with single_threaded():
        yield
