from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from src.config.cli import readable
from src.config.naming import fingerprint
from src.config.paths import CONFIG_DIR
from src.config.resolvers import condition, resolve


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., DictConfig]:
    """Return a function that composes a job whose study is below a temporary directory."""

    def composed(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            everything = [readable(f"hydra.sweep.dir={tmp_path / 'outputs' / 'runs'}"), *overrides]
            return compose("train", overrides=everything, return_hydra_config=True)

    return composed


def fingerprint_of(root: DictConfig) -> str:
    return fingerprint(resolve(root), dict(root.hydra.runtime.choices))


def test_resolve_returns_plain_containers_without_hydra(job: Callable[..., DictConfig]) -> None:
    config = resolve(job("classes=3", "model.hidden=[4,5]"))
    assert "hydra" not in config
    assert (config["classes"], config["model"]["hidden"]) == (3, [4, 5])
    assert all(type(value) in (dict, list, int, str, bool, type(None)) for value in config.values())
    assert type(config["model"]["hidden"]) is list


def test_the_resolver_names_the_directory_of_a_run_and_of_a_sweep(
    job: Callable[..., DictConfig], tmp_path: Path
) -> None:
    root = job("classes=4", "optimizer.lr=0.01", "seed=[3,4]")
    name = f"loss=ce,classes=4,optimizer.lr=0.01-{fingerprint_of(root)}"
    assert condition(root) == root.hydra.sweep.subdir == name
    assert root.hydra.run.dir == str(tmp_path / "outputs" / "runs" / name)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_of_the_same_condition_is_used(job: Callable[..., DictConfig], tmp_path: Path) -> None:
    existing = tmp_path / "outputs" / "runs" / f"loss=ce,classes=4-{fingerprint_of(job('classes=4'))}"
    existing.mkdir(parents=True)
    assert condition(job("classes=4", "optimizer.lr=5e-3", "data.noise=uniform", "model=mlp")) == existing.name


def test_composing_wrong_settings_checks_and_builds_nothing(job: Callable[..., DictConfig]) -> None:
    root = job("classes=-1", "seed=-1", "loss._target_=nowhere.Loss", "study='a b'")
    assert condition(root).startswith("loss=ce,classes=-1,")


def test_the_resolvers_are_registered() -> None:
    assert all(map(OmegaConf.has_resolver, ("condition", "classes_in", "sha256")))
