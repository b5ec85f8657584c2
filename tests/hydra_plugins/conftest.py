import warnings
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def hydras_own(default_version_base: None, tmp_path: Path) -> None:
    """Give Hydra's own tests what they expect; they write the name of their folder without quotes."""
    if not str(tmp_path).isascii():
        pytest.skip("the folder has letters that are not ASCII")
