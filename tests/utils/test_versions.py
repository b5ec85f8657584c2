import importlib.metadata
import platform
import subprocess

import numpy as np
import pytest

from src.utils import versions as module
from src.utils.versions import PACKAGES, ROOT, UNKNOWN, commit, versions


@pytest.fixture(autouse=True)
def fresh():
    versions.cache_clear()
    yield
    versions.cache_clear()


def absent(name):
    raise importlib.metadata.PackageNotFoundError(name)


def test_versions_of_what_is_installed():
    found = versions()
    assert found.keys() == {"python", *PACKAGES, "commit"}
    assert UNKNOWN not in {found[name] for name in PACKAGES}
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_without_metadata_the_version_is_that_of_pyproject(monkeypatch):
    monkeypatch.setattr(module, "version", absent)
    found = versions()
    assert f'version = "{found["losslab"]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert found["torch"] == UNKNOWN


def test_without_metadata_and_pyproject_it_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "version", absent)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert versions()["losslab"] == UNKNOWN


@pytest.mark.parametrize("lacking", ["git", "repository"])
def test_the_commit_is_unknown_without_git_or_a_repository(lacking, monkeypatch, tmp_path):
    if lacking == "git":
        monkeypatch.setenv("PATH", str(tmp_path))
        (tmp_path / ".git").mkdir()
    else:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        tmp_path = tmp_path / "site-packages"
        tmp_path.mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert commit() == UNKNOWN
