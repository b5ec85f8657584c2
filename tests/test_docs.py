"""The documentation: every command and example works as written, every file that it names exists."""

import importlib.util
import pkgutil
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image
from scipy import stats
from tensorboard import program

import scripts.aggregate
import scripts.inspect
import scripts.movie
import src.evaluate
import src.losses
from scripts.benchmark.options import parse as parse_benchmark
from scripts.plan.jobs import plan_sweep
from src.analysis.collect import collect
from src.analysis.comparisons import COLUMNS
from src.config.instantiate import check_settings
from src.experiments import run
from src.report.write import write_report
from tests.commands import SHORT, files, parametrize, results

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"(?:<!-- test: ([^>]*) -->\n)?```(\w+)\n(.*?)```", flags=re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``test`` is the comment before it."""

    page: str
    test: str
    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        lines = self.text.replace("\\\n", " ").splitlines()
        return [shlex.split(line) for line in lines if line.strip()]

    @property
    def file(self) -> str | None:
        """The file that the first line of an example names."""
        named = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return named[1] if named else None


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for test, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            yield Block(str(page.relative_to(ROOT)), test, language, text)


BLOCKS = list(blocks())
SHELL = [block for block in BLOCKS if block.language == "bash"]
TRAIN = ["python", "-m", "src.train"]


def unique(*start: str, test: str = "") -> list[list[str]]:
    """Return each command that begins with ``start`` once, of all blocks or of those with one kind of test."""
    commands = [command for block in SHELL if test in ("", block.test) for command in block.commands]
    found = [command for command in commands if command[: len(start)] == list(start)]
    return [command for index, command in enumerate(found) if command not in found[:index]]


def test_blocks_have_a_known_language_and_test() -> None:
    assert {block.language for block in BLOCKS} <= {"bash", "python", "yaml", "text", "math"}
    assert {block.test for block in SHELL} <= {"", "run", "examples", "table"}
    assert all(block.file for block in BLOCKS if block.language in ("python", "yaml"))


def test_every_command_is_known() -> None:
    assert {tuple(command[:3]) for command in unique() if command[0] == "python"} == {
        ("python", "-m", "pip"),
        ("python", "-m", "pytest"),
        ("python", "-m", "scripts.aggregate"),
        ("python", "-m", "scripts.benchmark"),
        ("python", "-m", "scripts.convert"),
        ("python", "-m", "scripts.grow"),
        ("python", "-m", "scripts.inspect"),
        ("python", "-m", "scripts.movie"),
        ("python", "-m", "scripts.plan"),
        ("python", "-m", "scripts.worked_examples"),
        ("python", "-m", "src.evaluate"),
        ("python", "-m", "src.train"),
    }
    assert {command[0] for command in unique()} == {"python", "make", "tensorboard"}


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {command[1] for command in unique("make")} <= set(targets)


def test_installation_names_existing_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for command in unique("python", "-m", "pip"):
        named = re.findall(r"\[(.*)\]", " ".join(command))
        assert set(",".join(named).split(",")) <= {"", *extras}, command


def test_tensorboard_accepts_its_flags() -> None:
    for command in unique("tensorboard"):
        board = program.TensorBoard()
        board.configure(argv=command)
        assert board.flags.logdir == "outputs"


@pytest.mark.integration
def test_benchmark_and_plan_accept_their_arguments(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for command in unique("python", "-m", "scripts.benchmark"):
        parse_benchmark(command[3:])
    [command] = unique("python", "-m", "scripts.plan")
    words = [word for argument in command[3 : command.index("--workers")] for word in argument.split()]
    assert [len(condition.jobs) for condition in plan_sweep(words).conditions.values()] == [100] * 4


def composed() -> Iterator[object]:
    """Yield the training commands, except those that print help, tune, or need the example classes."""
    for number, (_, _, _, *words) in enumerate(unique(*TRAIN)):
        text = " ".join(words)
        if not re.search(r"--help|experiment=tuned|my_package|loss=hinge|data=csv", text):
            late = number % 5 > 0 or "experiment=" in text
            yield pytest.param(words, id=text[:60], marks=[pytest.mark.integration] * late)


@pytest.mark.parametrize("words", composed())
def test_training_command_composes(words: list[str], settings, hydra_restore_singletons) -> None:
    if words[0] == "--multirun":
        assert plan_sweep(words[1:]).conditions
    else:
        check_settings(settings(*[word for word in words if not word.startswith("--cfg") and word != "job"]))


@pytest.mark.integration
def test_a_sweep_is_reported_and_evaluated_as_written(train, tmp_path, monkeypatch) -> None:
    [sweep] = unique(*TRAIN, test="run")
    train(*sweep[3:], *SHORT, "seed=[0,7]", "hydra.launcher.workers=1")
    assert len(results(tmp_path / "outputs" / "hw4")) == 4 * 2
    monkeypatch.setattr(scripts.aggregate, "write_report", partial(write_report, formats=("png",)))  # not all formats
    [report] = unique("python", "-m", "scripts.aggregate", test="run")
    assert scripts.aggregate.main(report[3:]) == 0
    named = re.findall(r"`([\w.]+\.(?:html|md|tex|csv|txt|png))`", (ROOT / "docs" / "report.md").read_text())
    assert {path.name for path in Path("outputs/hw4/report").iterdir()} >= set(named)
    condition = next(path.parents[1].name for path in Path("outputs/hw4").glob("*/seed=7/results.json"))
    pd.DataFrame({"x1": [0.1], "x2": [0.2]}).to_csv("samples.csv", index=False)
    for command in unique("python", "-m", "src.evaluate", test="run"):
        assert src.evaluate.main([word.replace("CONDITION", condition) for word in command[3:]]) == 0
    assert len(pd.read_csv("predicted.csv")) == 1


@pytest.mark.integration
def test_movies_are_trained_and_joined_as_written(train, tmp_path) -> None:
    [sweep] = [command for command in unique(*TRAIN) if "figures=movie" in command]
    train(*sweep[3:], "trainer.max_epochs=2", "data.samples_per_class=10")
    ce, mse = sorted(path.name for path in tmp_path.glob("outputs/movie/loss=*"))
    [join] = unique("python", "-m", "scripts.movie")
    assert scripts.movie.main([word.replace("CONDITION", mse).replace("OTHER", ce) for word in join[3:]]) == 0
    with Image.open("both/movie.gif") as movie, Image.open(f"outputs/movie/{ce}/seed=0/figures/movie.gif") as own:
        assert (movie.n_frames, movie.width) == (3, 2 * own.width)


GRADES = ("healthy", "healthy", "healthy", "mild", "Mild", "severe", "Severe ")


@pytest.mark.integration
def test_a_table_with_every_fault_goes_from_file_to_paper(train, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [";patient;visited;postcode;clinic;age;pressure;grade"]
    for row in range(120):
        place = ("01067", "80331", "99096")[row % 3]
        age, pressure = (f"{start + 7 * row % 37},{row % 10}" for start in (30, 110))
        visited = f"2024-{row % 12 + 1:02}-{row % 28 + 1:02}"
        clinic, grade = ("nord", "süd")[row % 2], GRADES[row % 7]
        rows.append(f"{row};P{1000 + 7 * row};{visited};{place};{clinic};{age};{pressure};{grade}")
    Path("patients.csv").write_bytes("\n".join(rows).encode("latin-1"))
    Path("new.csv").write_bytes("\n".join([rows[0], rows[1], rows[2].replace("80331", "20095")]).encode("latin-1"))
    looks = unique("python", "-m", "scripts.inspect")
    assert [scripts.inspect.main(command[3:]) for command in looks] == [1, 1, 0]
    shown = capfd.readouterr()
    assert "data.read.encoding=latin-1" in shown.err
    assert "data.drop=[patient,visited]" in shown.err
    assert "classes: healthy (52), mild (34), severe (34)" in shown.out
    [sweep] = unique(*TRAIN, test="table")
    train(*sweep[3:], "trainer.max_epochs=2", "figures=first", "seed=[0,7]", "hydra.launcher.workers=1")
    [report] = unique("python", "-m", "scripts.aggregate", test="table")
    monkeypatch.setattr(scripts.aggregate, "write_report", partial(write_report, formats=("png",)))
    assert scripts.aggregate.main(report[3:]) == 0
    Path("patients.csv").unlink()
    condition = next(path.parents[1].name for path in Path("outputs/patients").glob("loss=mse*/seed=7/results.json"))
    for command in unique("python", "-m", "src.evaluate", test="table"):
        assert src.evaluate.main([word.replace("CONDITION", condition) for word in command[3:]]) == 0
    assert pd.read_csv("predicted.csv", dtype=str)["pred"].isin(["healthy", "mild", "severe"]).all()


def test_reports_and_worked_examples_accept_their_arguments() -> None:
    for command in unique("python", "-m", "scripts.aggregate"):
        assert scripts.aggregate._parser().parse_args(command[3:]).studies
    assert unique("python", "-m", "scripts.worked_examples") == [["python", "-m", "scripts.worked_examples"]]
    assert all(src.evaluate.parse(command[3:]) for command in unique("python", "-m", "src.evaluate"))


@pytest.mark.integration
def test_examples_of_classes_train(train, tmp_path, monkeypatch) -> None:
    examples: dict[str, list[str]] = {}
    for block in BLOCKS:
        if block.file and block.text not in examples.setdefault(block.file, []):
            examples[block.file].append(block.text)
    for name, texts in examples.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(texts), encoding="utf-8")
    monkeypatch.setattr(src.losses, "__path__", [*src.losses.__path__, str(tmp_path / "src" / "losses")])
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("my_package", "src.losses.hinge"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for command in unique(*TRAIN, test="examples"):
        inside = [] if "my_package" in " ".join(command) else [f"hydra.searchpath=[file://{tmp_path / 'conf'}]"]
        size = "data.samples=30" if "data=halves" in command else "data.samples_per_class=10"
        shown = train(*command[3:], *inside, "trainer.max_epochs=2", "figures=none", "resume=false", size).out
        assert ("\n2 [" in f"\n{shown}") == ("announce" in " ".join(command))  # the epoch, and a loss per seed
    schedulers = [content["config"]["scheduler"] for content in results(tmp_path).values()]
    assert {"_target_": "my_package.Triangle", "interval": "step", "steps": "total"} in schedulers
    found = [(content["loss"], content["data"], content["model"]) for content in results(tmp_path).values()]
    assert set(found) >= {("hinge", "noisy_cubic", "mlp"), ("ce", "halves", "net"), ("ce", "noisy_cubic", "custom")}


@pytest.fixture(scope="module")
def many_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the study that the page about many seeds opens."""
    pytest.importorskip("safetensors")
    folder = tmp_path_factory.mktemp("many")
    [sweep] = [command for command in unique(*TRAIN) if "study=many" in command]
    assert "storage=table" in sweep
    for loss in ("ce", "mse"):
        run(*SHORT, loss=loss, storage="table", study="many", seed=range(3), output_dir=folder / "outputs")
    return folder


def test_the_example_that_opens_tables_runs(many_seeds, monkeypatch, capsys) -> None:
    [example] = [block.text for block in BLOCKS if block.file == "many.py"]
    monkeypatch.chdir(many_seeds)
    exec(compile(example, "many.py", "exec"), {})  # noqa: S102 - a page of ours
    assert re.search(r"\nce +3.0 .*\nmse +3.0 ", capsys.readouterr().out)


def test_the_query_that_opens_tables_in_duckdb_has_the_means(many_seeds, monkeypatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    [query] = re.findall(r"`(SELECT [^`]+)`", (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8"))
    monkeypatch.chdir(many_seeds)
    assert dict(duckdb.sql(query).fetchall()) == pytest.approx(
        collect([Path("outputs/many")]).runs.groupby("loss")["population/accuracy"].mean().to_dict(), rel=1e-12
    )


def test_the_python_example_runs(tmp_path, monkeypatch, capsys) -> None:
    [example] = [block.text for block in BLOCKS if block.file == "study.py"]
    short = 'seed=range(2), trainer={"max_epochs": 1}, data={"samples_per_class": 10}, figures="none"'
    monkeypatch.chdir(tmp_path)
    exec(compile(example.replace("seed=range(20)", short), "study.py", "exec"), {})  # noqa: S102 - a page of ours
    assert "population/accuracy" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of Lightning, to the user of a notebook
def test_the_notebook_example_runs(tmp_path, monkeypatch, capsys) -> None:
    [example] = [block.text for block in BLOCKS if block.file == "notebook.py"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example, "notebook.py", "exec"), names)  # noqa: S102 - a page of ours
    shown = capsys.readouterr().out
    assert "test/accuracy" in shown
    assert "50 {'train/loss': tensor(" in shown  # 5 epochs of 10 mini-batches
    assert names["longer"].global_step == 80


TEMPLATE = (ROOT / "docs" / "lightning-hydra-template.md").read_text(encoding="utf-8")
TYPED = re.findall(r"^\| `([^`]+)` \| (works|refused): (.*) \|$", TEMPLATE, flags=re.MULTILINE)


def test_the_page_for_users_of_the_template_names_settings(settings) -> None:
    assert len(TYPED) == TEMPLATE.count("| works: ") + TEMPLATE.count("| refused: ") >= 25
    known = {*settings(), "run", "hydra"}
    here = re.findall(r"^\| [^|]* \| ([^|]*) \|$", TEMPLATE.partition("\n## What you type")[0], flags=re.MULTILINE)
    names = re.findall(r"`(?:--multirun )?([\w.]+)=", "\n".join(here))
    assert {name.partition(".")[0] for name in names} - {"experiment", "debug"} <= known


@parametrize("typed,outcome,text", TYPED, quick=3)
def test_what_users_of_the_template_type_does_what_the_page_says(typed, outcome, text, train, tmp_path) -> None:
    rows = [f"{number % 7},{('优', '良')[number % 2]}" for number in range(60)]
    (tmp_path / "grades.csv").write_text("\n".join(["hours,等级", *rows]), encoding="utf-8")
    words = shlex.split(typed)
    more = ["trainer.max_epochs=2"]
    more += [word for word in ("figures=none", "seed=0") if f"{word.partition('=')[0]}=" not in typed]
    more += ["hydra.launcher.workers=1"] * ("--multirun" in words)
    shown = train(*words, *more, code=0 if outcome == "works" else 1)
    if outcome == "works":
        assert results(tmp_path)
        assert all(list(tmp_path.rglob(name)) for name in re.findall(r"`([\w./*]*[./][\w./*]*)`", text)), text
    else:
        assert shown.err.strip().count("\n") == 0
        assert text.strip('"') in shown.err
        assert files(tmp_path) == {"grades.csv"}


def test_every_choice_has_a_row() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for group in ("scheduler", "callbacks", "logger", "profiler", "debug", "paths", "storage"):
        [row] = re.findall(rf"^\| `{group}=` \|(.*?)\|", text, flags=re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
    for group in ("loss", "data"):
        [table] = re.findall(rf"^\| `{group}=` \|.*?\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
        named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        assert named == {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


def test_every_experiment_is_described() -> None:
    text = (ROOT / "docs" / "lecture.md").read_text(encoding="utf-8")
    for path in (ROOT / "conf" / "experiment").glob("*.yaml"):
        assert re.search(rf"experiment={path.stem}\b|\| `{path.stem}` \|", text), path.stem


def test_new_names_of_the_changelog_exist(settings) -> None:
    text = (ROOT / "docs" / "CHANGELOG.md").read_text(encoding="utf-8")
    modules, names = re.findall(r"^\| before \| now \|\n\|---\|---\|\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    for name in re.findall(r"`(src\.[\w.]+)`[^|]*\|$", modules, flags=re.MULTILINE):
        pkgutil.resolve_name(name)
    data = {name for choice in ("noisy_cubic", "gaussians", "xor") for name in settings(f"data={choice}")["data"]}
    known = {*settings(), *src.evaluate.SETTINGS, *(f"data.{name}" for name in data)}
    assert {name.rstrip("=") for name in re.findall(r"`([\w.=]+)` \|$", names, flags=re.MULTILINE)} <= known


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    examples = {block.file for block in BLOCKS}
    tops = "src|scripts|conf|tests|docs|hydra_plugins"
    for name in re.findall(rf"`((?:{tops})/[\w./]*)`", page.read_text(encoding="utf-8")):
        assert name in examples or (ROOT / name).exists(), name


def test_the_tests_of_the_threat_model_exist() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", page)
    assert len(named) == page.count("\n| ") - 1
    for path, name in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), name


def test_the_trees_list_every_package() -> None:
    packages = {path.parent.name for path in ROOT.glob("src/*/__init__.py")}
    readme, api = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/api.md"))
    assert set(re.findall(r"^\| `src\.(\w+)` \|", api, flags=re.MULTILINE)) == packages
    [tree] = re.findall(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    assert set(re.findall(r"(\w+)/  ", tree)) - {"conf", "scripts", "hydra_plugins", "tests"} == packages
    assert len(readme.splitlines()) <= 150


def test_the_extras_are_described() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| extra \|.*?\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    assert set(re.findall(r"`(\w+)`[,|\s]", "\n".join(row.split("|")[1] for row in table.splitlines()))) == set(
        project["optional-dependencies"]
    )
    citation = yaml.safe_load((ROOT / "docs" / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]


def table_of_percents(heading: str) -> list[float]:
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    [table] = re.findall(rf"^\| {heading}[^\n]*\n\|[^\n]*\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    return [int(percent) / 100 for percent in re.findall(r"\| (\d+)% \|", table)]


def test_columns_that_the_report_page_explains_exist() -> None:
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| column \|.*?\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    columns = {"learned_p", "learned_p_holm", "collapsed_p_holm", "family", "learned_finding", "collapsed_finding"}
    assert named | columns <= set(COLUMNS)


def test_rates_of_growing_studies_are_those_of_a_simulation() -> None:
    differences = np.random.default_rng(1).standard_normal((20_000, 100))
    seeds = np.arange(1, 101)
    means = differences.cumsum(1) / seeds
    squares = (differences**2).cumsum(1) / seeds - means**2
    with np.errstate(all="ignore"):
        t = means / np.sqrt(squares / (seeds - 1))
        found = np.abs(t) > stats.t.ppf(0.975, seeds - 1)
    looks = [[20], [20, 40], [20, 40, 60], [20, 40, 60, 80], [20, 40, 60, 80, 100], list(range(20, 101))]
    rates = [found[:, np.array(look) - 1].any(1).mean() for look in looks]
    np.testing.assert_allclose(table_of_percents("looks at the p value"), rates, atol=0.01)


def test_coverages_where_some_seeds_collapse_are_those_of_a_simulation() -> None:
    generator = np.random.default_rng(1)
    coverages = []
    for n in (5, 10, 20, 50, 100, 200):
        loss = 25 * (generator.random((20_000, n)) < 0.1)
        sample = generator.normal(0, 0.5, (20_000, n)) - loss
        half_width = stats.t.ppf(0.975, n - 1) * sample.std(1, ddof=1) / np.sqrt(n)
        coverages.append((np.abs(sample.mean(1) + 2.5) <= half_width).mean())
    np.testing.assert_allclose(table_of_percents("seeds"), coverages, atol=0.01)


@pytest.fixture(scope="module")
def hooks():
    """Import what MkDocs imports."""
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["train", "data/noisy_cubic", "trainer/default", "hydra/launcher/slurm"])
def test_the_generated_reference_has_every_setting(name: str, hooks) -> None:
    path = ROOT / "conf" / f"{name}.yaml"
    config = OmegaConf.load(path)
    rows = hooks.settings(path)
    assert [row[0] for row in rows]
    plain = OmegaConf.to_container(config)
    for key, default, _ in rows:
        assert yaml.safe_load(default) == reduce(getitem, key.split("."), plain), key
    named = {key.split(".")[0] for key, _, _ in rows}
    assert named == set(plain) - {"defaults", "_target_", "_convert_"}
    assert all(f"`{key}`" in hooks.settings_tables() for key, _, _ in rows)


def test_the_generated_reference_has_the_settings_of_plugins(hooks) -> None:
    for module, name in hooks.PLUGINS.values():
        rows = hooks.plugin_settings(module, name)
        assert rows, name
        assert all(meaning for _, _, meaning in rows)
    assert "| `hydra.sweeper.stack_size` | `1000` |" in hooks.settings_tables()


def test_the_generated_reference_has_the_rules_of_settings(hooks) -> None:
    tables = hooks.settings_tables()
    assert "| a whole number from 2 to 1000 |" in tables
    assert re.search(
        r"^\| `precision` \|.*\| one of 32-true, 64-true, bf16-true, bf16-mixed \|$", tables, flags=re.MULTILINE
    )


def test_formulas_of_docstrings_become_mathml(hooks) -> None:
    assert hooks.rewrite("Mean.\n\n.. math:: s / n\n\nEnd.") == "Mean.\n\n```math\ns / n\n```\n\nEnd."
    assert hooks.mathml(r"\frac{s}{n}").startswith("<math")
