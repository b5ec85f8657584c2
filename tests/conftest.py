import copy
import sys
from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir, version
from hydra.core.singleton import Singleton

from src.config.cli import readable
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.experiments import run
from src.training.single_thread import single_threaded
from tests.commands import Finished

torch.set_num_threads(1)  # as training does, and as the workers of pytest-xdist share the cores

NUMERIC = ("data", "engines", "losses", "metrics", "models", "statistics", "training")  # directories of src and tests
SINGLE_THREADED = ("data", "losses", "metrics", "models")  # directories of tests that compute as training does
SLOWEST_FIRST = (
    "tests/analysis/test_conclusions.py",
    "tests/test_combinations.py",
    "tests/faults/test_long_haul.py",
    "tests/faults/test_kills.py",
    "tests/faults/test_launches.py",
    "tests/hydra_plugins",
    "tests/test_train.py",
    "tests/faults",
    "tests/training",
    "tests/scripts",
    "tests/experiments",
)


def pytest_collection_modifyitems(config, items):
    """Mark what depends on how a machine computes, and sort slow tests first, so that all workers end together."""
    for item in items:
        if item.path.relative_to(config.rootpath).parts[1] in NUMERIC:
            item.add_marker("numeric")
    items.sort(key=lambda item: _rank(item.path.relative_to(config.rootpath).as_posix()))


def _rank(path):
    ranks = [rank for rank, slow in enumerate(SLOWEST_FIRST) if f"{path}/".startswith(f"{slow}/")]
    return min(ranks, default=len(SLOWEST_FIRST))


@pytest.fixture(autouse=True)
def as_trained(request):
    """Compute as the program does."""
    if request.path.relative_to(request.config.rootpath).parts[1] not in SINGLE_THREADED:
        yield
        return
    with single_threaded():
        yield


@pytest.fixture(scope="session")
def settings():
    """Return the resolved settings that some overrides give."""

    @cache
    def once(*overrides):
        before = Singleton.get_state()
        try:
            with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
                return resolve(compose("train", overrides=list(map(readable, overrides))))
        finally:
            Singleton.set_state(before)  # Hydra's own tests, in this process too, need its default version base

    return lambda *overrides: copy.deepcopy(once(*overrides))


@pytest.fixture
def train(tmp_path, monkeypatch, capfd, hydra_restore_singletons):
    """Run src.train in this process, which spares an import of torch, and return (code, out, err)."""
    from src.train import main

    def outcome(*overrides, code=0):
        monkeypatch.chdir(tmp_path)
        version.setbase("1.3")  # as the import of src.train did, once
        monkeypatch.setattr(sys, "argv", ["train.py", *overrides])
        ended, message = 0, ""
        try:
            main()
        except SystemExit as stop:
            ended, message = (1, stop.code) if isinstance(stop.code, str) else (stop.code, "")
        shown = capfd.readouterr()
        assert ended in (code if isinstance(code, set) else {code}), shown.err + message
        return Finished(ended, shown.out, shown.err + message)

    return outcome


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Return the folder of one finished seed of a small stack; a test that changes it takes a copy."""
    folder = tmp_path_factory.mktemp("finished")
    before = Singleton.get_state()
    try:
        small = ("data.samples_per_class=20", "data.val_fraction=0.1", "trainer.max_epochs=5", "figures=none")
        run(*small, classes=3, seed=[3, 7], output_dir=folder)
    finally:
        Singleton.set_state(before)
    [path] = folder.glob("runs/*/seed=7")
    return path
