"""The claims of the experiments of conf/experiment."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from src.config.paths import CONFIG_DIR
from tests.losses.cases import NAMES

CONF = CONFIG_DIR / "experiment"
ALIASES = {"none", "logistic"}  # what other groups choose, and no losses of their own
BINARY = {"bce", "mse_sigmoid"}


def swept(name: str) -> list[dict[str, str]]:
    """Return the overrides of each job of an experiment."""
    sweeper = OmegaConf.load(CONF / f"{name}.yaml").hydra.sweeper
    [kind] = [found for found in Plugins.instance().discover(Sweeper) if found.__name__ == "StackSweeper"]
    stack = kind(params=sweeper.params, grids=sweeper.get("grids"))
    return [dict(word.split("=", 1) for word in job) for job in stack._union(OverridesParser.create(), [])]


def test_the_zoo_has_every_loss_under_every_class_count_that_it_takes() -> None:
    jobs = swept("loss_zoo")
    expected = {
        (loss, str(classes))
        for loss in set(NAMES) - ALIASES
        for classes in (2, 4, 8)
        if classes == 2 or loss not in BINARY
    }
    assert {(job["loss"], job["classes"]) for job in jobs} == expected
    assert len(jobs) == len(expected)
    assert {len(job["seed"].split(",")) for job in jobs} == {20}


@pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_a_study_is_named_like_its_experiment(name: str) -> None:
    assert OmegaConf.load(CONF / f"{name}.yaml").study == name
