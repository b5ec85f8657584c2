import warnings
from collections.abc import Iterator

import pytest
from hydra import version
from hydra.core.singleton import Singleton


@pytest.fixture
def default_version_base() -> Iterator[None]:
    """Give Hydra's own tests its default version base, whatever application this process has imported."""
    before = Singleton.get_state()
    with warnings.catch_warnings(action="ignore"):  # that Hydra 1.4 will have no such base
        version.setbase("1.1")
    yield
    Singleton.set_state(before)
