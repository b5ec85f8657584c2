from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import src.study  # noqa: F401 - registers the resolver that the configuration names
from src.study import resolve


@pytest.fixture(scope="session")
def settings():
    """Return the resolved settings that some overrides give."""

    def composed(*overrides):
        with initialize_config_dir(str(Path(__file__).parents[1] / "conf"), version_base="1.3"):
            return resolve(compose("train", overrides=list(overrides)))

    return composed
