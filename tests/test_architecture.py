"""Rules for the whole project; those of imports between packages are import-linter's, in pyproject.toml."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.config.instantiate import build_components, build_trainer, check_settings, stack
from src.models.base import ClosedForm
from src.training.fit import fit
from src.training.single_thread import single_threaded

ROOT = Path(__file__).parents[1]
CODE = ("src", "scripts", "hydra_plugins")
MODULES = sorted(path.relative_to(ROOT) for top in CODE for path in ROOT.joinpath(top).rglob("*.py"))
TORCH = ("torch", "lightning")


def inside(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def test_neither_reports_nor_help_nor_hydras_scan_load_torch() -> None:
    light = "src.train, src.analysis.collect, src.report.figure_set, scripts.aggregate, scripts.benchmark.__main__"
    program = f"import sys, {light}, hydra_plugins.cores_launcher.cores_launcher; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert [name for name in done.stdout.split() if inside(name, TORCH)] == []


def test_hydra_plugins_is_no_package_of_its_own() -> None:
    """With an __init__.py it would hide the plugins of others."""
    assert not ROOT.joinpath("hydra_plugins", "__init__.py").exists()


def test_names_of_tests_have_at_most_70_characters() -> None:
    """Longer ones make a list of failures unreadable."""
    names = {
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in ROOT.joinpath("tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > 70
    }
    assert names == set()


def files() -> Iterator[Path]:
    """Yield every file of the project that is text."""
    tops = [*CODE, "conf", "docs", "tests", ".ci", ".github"]
    for path in [*ROOT.iterdir(), *(path for top in tops for path in ROOT.joinpath(top).rglob("*"))]:
        if path.is_file() and path.suffix not in (".pyc", ".png", ".ico"):
            yield path


def test_no_file_names_the_address_of_a_registry() -> None:
    addresses = [
        name.replace(" ", ".") for name in ("pypi org", "pythonhosted org", "download pytorch org", "anaconda org")
    ]
    options = ["--" + name for name in ("index-url", "extra-index-url", "find-links", "trusted-host")]
    found = {
        str(path.relative_to(ROOT)): word
        for path in files()
        for word in [*addresses, *options]
        if word in path.read_text(encoding="utf-8", errors="ignore")
    }
    assert found == {}


CONF = sorted(path.relative_to(ROOT / "conf") for path in ROOT.joinpath("conf").glob("*/*.yaml"))
PLANTS = "@relation r\n@attribute a numeric\n@attribute class {u,v}\n@data\n" + "1,u\n2,v\n" * 20
FEW = ("trainer.max_epochs=1",)
TABLES = ("breast_cancer", "csv", "digits", "iris", "openml_file", "wine")  # samples that no distribution draws
NEEDS = {  # what goes with a choice
    "loss=none": ["model=gaussian"],
    "callbacks=best_epoch": ["data.val_fraction=0.2"],
    "callbacks=early_stopping": ["data.val_fraction=0.2"],
    "callbacks=lr_monitor": ["logger=csv"],
}


@pytest.mark.integration
@pytest.mark.parametrize("file", CONF, ids=str)
def test_every_file_of_conf_composes_and_trains_for_a_moment(
    file: Path, settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    group, name = file.parent.name, file.stem
    choice = f"{group}={name}"
    if choice in ("logger=mlflow", "logger=wandb"):
        pytest.importorskip(name)
    table = tmp_path / "table.csv"
    table.write_text("size,label,site,part\n" + "1,a,0,test\n2,b,0,test\n" * 5 + "1,a,1,train\n2,b,1,train\n" * 20)
    own_table = [f"data.path={table}", "data.target=label", "data.features=[size]"]
    if group == "split":
        by = {"group": ["data.groups=site"], "time": ["data.split_by=site"], "column": ["data.split_by=part"]}
        by["file"] = [f"data.test_path={table}"]
        composed = settings(choice, *FEW, "data=csv", *own_table, *by.get(name, []))
    elif group == "data" and name in TABLES:
        (tmp_path / "plants.arff").write_text(PLANTS)
        own = {"csv": own_table, "openml_file": [f"data.path={tmp_path / 'plants.arff'}"]}
        composed = settings(choice, *FEW, *own.get(name, []))
    else:
        composed = settings(choice, *NEEDS.get(choice, []), *FEW) | {"classes": 2}
        [size] = composed["data"].keys() & {"samples", "samples_per_class", "samples_per_corner"}
        composed["data"] = composed["data"] | {size: 50 if group == "debug" else 10}
    check_settings(composed)
    parts = build_components(composed, stack(composed)[:2])
    with single_threaded():
        trainings = fit(parts.classifier, parts.datamodule, build_trainer(composed, []))
    for training in trainings:
        assert training.error is None
        assert len(training.history) == (0 if isinstance(parts.network, ClosedForm) else 1)
    assert all(value.isfinite().all() for value in parts.network.state_dict().values())


@pytest.mark.parametrize("file", [file for file in CONF if file.parent.name != "hydra"], ids=str)
def test_a_file_of_conf_that_names_a_module_of_ours_is_named_like_it(file: Path) -> None:
    for line in ROOT.joinpath("conf", file).read_text(encoding="utf-8").splitlines():
        if line.startswith("_target_: src.") and file.parent.name in ("data", "model", "loss"):
            assert line.split(".")[-2] == file.stem
