"""The house: which module may know which, and that every file of conf trains."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.config.instantiate import build_components, check_settings, stack
from src.models.base import ClosedForm
from src.training.fit import fit
from src.training.single_thread import single_threaded

ROOT = Path(__file__).parents[1]
CODE = ("src", "scripts", "hydra_plugins")
MODULES = sorted(path.relative_to(ROOT) for top in CODE for path in ROOT.joinpath(top).rglob("*.py"))
LIBRARIES = ("torch", "lightning")
TRAINING = (
    *LIBRARIES,
    "src.data",
    "src.models",
    "src.losses",
    "src.training.module",
    "src.config.instantiate",
    "src.experiments.condition",
)
FORBIDDEN = {
    "src/data": ("src.models", "src.losses", "src.training.module", "src.analysis", "src.report"),
    "src/models": ("src.data", "src.losses", "src.training.module", "src.analysis", "src.report"),
    "src/losses": ("src.data", "src.models", "src.training.module", "src.analysis", "src.report"),
    "src/analysis": (*TRAINING, "src.report"),
    "src/report": TRAINING,
    "src/parallel": (*TRAINING, "src.analysis", "src.report"),
    "hydra_plugins": (*TRAINING, "src.analysis", "src.report"),
    "scripts/aggregate.py": TRAINING,
    "scripts/benchmark/lecture_loop.py": ("lightning", "src"),
}
LIGHT = (
    "src/storage/schema.py",
    "src/experiments/naming.py",
    "src/utils/validation.py",
    "src/train.py",
)  # --help and --cfg answer at once


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of everything that is imported, at any depth; a relative import would yield "."."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def parse(module: Path) -> ast.Module:
    return ast.parse(ROOT.joinpath(module).read_text(encoding="utf-8"))


def inside(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def top_level(tree: ast.Module) -> ast.Module:
    """Return what is run when the module is imported."""
    kept = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return ast.Module(kept, [])


@pytest.mark.parametrize("place", FORBIDDEN)
def test_a_package_imports_nothing_that_comes_after_it(place: str) -> None:
    modules = [module for module in MODULES if module.is_relative_to(place)]
    assert modules, f"{place} has moved"
    for module in modules:
        assert [name for name in imports(parse(module)) if inside(name, FORBIDDEN[place])] == [], module


def test_imports_are_absolute() -> None:
    assert {str(module): name for module in MODULES for name in imports(parse(module)) if name.startswith(".")} == {}


@pytest.mark.parametrize("module", LIGHT)
def test_what_every_command_imports_is_free_of_torch(module: str) -> None:
    assert [name for name in imports(top_level(parse(Path(module)))) if inside(name, TRAINING)] == []


def test_neither_reports_nor_help_nor_hydras_scan_load_torch() -> None:
    """The same rule as it is felt: through everything that those modules import in turn."""
    light = "src.train, src.analysis.collect, src.report.figure_set, scripts.aggregate, scripts.benchmark.__main__"
    program = f"import sys, {light}, hydra_plugins.cores_launcher.cores_launcher; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert [name for name in done.stdout.split() if inside(name, TRAINING)] == []


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
    tops = [*CODE, "conf", "tests", ".ci", ".github"]
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
FEW = ("trainer.max_epochs=1",)
TABLES = ("breast_cancer", "csv", "digits", "iris", "wine")  # points that no distribution draws


@pytest.mark.parametrize("file", CONF, ids=str)
def test_every_file_of_conf_composes_and_trains_for_a_moment(
    file: Path, settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    group, name = file.parent.name, file.stem
    choice = f"split@data={name}" if group == "split" else f"{group}={name}"
    partner = ["model=gaussian"] * (choice == "loss=none")
    table = tmp_path / "table.csv"
    table.write_text("size,label\n" + "1,a\n2,b\n" * 10)
    if group == "data" and name in TABLES:
        composed = settings(choice, *FEW, *[f"data.path={table}", "data.target=label"] * (name == "csv"))
    else:
        [size] = settings(choice)["data"].keys() & {"samples", "samples_per_class", "samples_per_corner"}
        composed = settings(choice, *partner, *FEW, f"data.{size}=10") | {"classes": 2}
    check_settings(composed)
    parts = build_components(composed, stack(composed)[:2])
    with single_threaded():
        trainings = fit(parts, composed, [])
    for training in trainings:
        assert training.error is None
        assert len(training.history) == (0 if isinstance(parts.network, ClosedForm) else 1)
    assert all(value.isfinite().all() for value in parts.network.state_dict().values())


@pytest.mark.parametrize("file", [file for file in CONF if file.parent.name != "hydra"], ids=str)
def test_a_file_of_conf_that_names_a_module_of_ours_is_named_like_it(file: Path) -> None:
    for line in ROOT.joinpath("conf", file).read_text(encoding="utf-8").splitlines():
        if line.startswith("_target_: src.") and file.parent.name in ("data", "model", "loss"):
            assert line.split(".")[-2] == file.stem
