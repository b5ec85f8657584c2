"""Hostile runs and configurations: each is refused in a line, and no code, import or write of theirs happens."""

import json
import random
import shutil
import sys

import pytest

from src.config.instantiate import check_settings
from src.experiments.loading import load_run
from src.storage.schema import ArtifactError
from src.utils.validation import SettingsError
from tests.commands import files

CASES = [8, pytest.param(200, marks=pytest.mark.integration)]
TARGETS = (
    *("os.system", "posix.system", "subprocess.Popen", "builtins.eval", "builtins.open", "runpy.run_path"),
    *("pickle.loads", "pandas.read_pickle", "torch.load", "torch.hub.load", "joblib.load", "numpy.load"),
    *("torch._C.PyTorchFileWriter", "torch.package.PackageExporter", "torch.utils.tensorboard.SummaryWriter"),
    "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler",
    *("torch.utils.cpp_extension.load_inline", "torch.multiprocessing.Process", "lightning.Trainer.fit"),
    *("src.evaluate.main", "src.train.main", "src.storage.atomic.replacing_file", "src.losses.ce.F.cross_entropy"),
    *("src.experiments.write_run.torch.save", "hydra.utils.instantiate", "hydra.utils.get_method", "sentinel.run"),
    *("sentinel.Network", "sentinel", "importlib.import_module", "logging.FileHandler", "tempfile.mkstemp"),
)
PLACES = (
    *(("config", group, "_target_") for group in ("data", "loss", "model", "optimizer", "trainer", "export")),
    *(("config", group) for group in ("data", "loss", "model", "seeds", "classes", "allow_targets")),
    *(("config", "data", name) for name in ("label_order", "noise", "batch_size", "x", "path")),
    *(("config", "loss", name) for name in ("x", "_args_", "_convert_")),
    *(("config", "model", name) for name in ("hidden", "activation", "network", "x")),
    *(("loss",), ("model",), ("data",), ("overrides",), ("config", "hydra"), ("config", "x")),
)


def node(draw, target, trap):
    """Return a value that would reach a target if anything built, resolved or imported it."""
    arguments = {"command": f"touch {trap}", "args": [str(trap)], "entrypoint": "/bin/sh", "filename": str(trap)}
    nested = {"_target_": target, **arguments}
    forms = [
        target,
        nested,
        {"_target_": target, "_args_": [str(trap)]},
        {"_target_": target, "_partial_": True},
        [nested],
        {"a": {"b": [nested]}},
        f"${{oc.create:'{{_target_: {target}}}'}}",
        {"class": target, "()": target},
        f"ext://{target}",
        f"../../../{trap}",
        {"_target_": "hydra.utils.instantiate", "config": nested},
    ]
    return draw.choice(forms)


@pytest.fixture
def sentinel(tmp_path, monkeypatch):
    """Return the path of a file that appears as soon as the module ``sentinel`` is imported or run."""
    trap = tmp_path / "trap"
    lines = ["import pathlib", f"trap = pathlib.Path({str(trap)!r})", "trap.touch()", "def run(*_, **__): trap.touch()"]
    (tmp_path / "sentinel.py").write_text("\n".join([*lines, "class Network: ..."]))
    monkeypatch.syspath_prepend(tmp_path)
    return trap


def set_value(content, path, value):
    for name in path[:-1]:
        content = content[name]
    content[path[-1]] = value


def mutated(draw, content, trap):
    """Return a copy with one to three hostile values, and the targets in them."""
    changed = json.loads(json.dumps(content))
    for path in draw.sample(PLACES, draw.randint(1, 3)):
        value = node(draw, draw.choice(TARGETS), trap)
        try:
            set_value(changed, path, value)
        except TypeError:  # an earlier value is no dict any more
            continue
    return changed


@pytest.mark.parametrize("cases", CASES)
def test_hostile_results_run_nothing(cases, finished, sentinel, tmp_path, count):
    copy = shutil.copytree(finished, tmp_path / finished.parent.name / finished.name)
    content = json.loads((copy / "results.json").read_text())
    draw = random.Random(7)  # noqa: S311 - the same cases in every run
    before = files(tmp_path)
    lines = []
    for _ in range(cases):
        (copy / "results.json").write_text(json.dumps(mutated(draw, content, sentinel)))
        try:
            loaded = load_run(copy)
        except (ArtifactError, SettingsError) as error:
            lines.append(str(error).splitlines())
        else:  # what was changed is not used to rebuild a run
            assert type(loaded.components.network).__module__.startswith("src.models.")
            assert type(loaded.components.objective).__module__.startswith("src.losses.")
        assert "sentinel" not in sys.modules
        assert {file for file in files(tmp_path) if "__pycache__" not in file} == before
    assert len(lines) > cases // 2
    assert max(map(len, lines)) <= 12  # one for each wrong setting
    count("hostile runs that ran nothing", cases)


@pytest.mark.parametrize("cases", CASES)
def test_hostile_settings_are_refused_in_a_line(cases, settings, sentinel, tmp_path, count):
    config = settings()
    draw = random.Random(8)  # noqa: S311 - the same cases in every run
    ignored = ("export", "_convert_")  # which are built only by training, or never
    paths = [path[1:] for path in PLACES if path[0] == "config" and path[-1] not in ignored and path[1] not in ignored]
    before = files(tmp_path)
    for _ in range(cases):
        changed = json.loads(json.dumps(config))
        set_value(changed, draw.choice(paths), {"_target_": draw.choice(TARGETS), "args": [str(sentinel)]})
        with pytest.raises(SettingsError) as caught:
            check_settings(changed)
        assert len(caught.value.problems) == len(str(caught.value).splitlines()) <= 6
        assert "sentinel" not in sys.modules
        assert {file for file in files(tmp_path) if "__pycache__" not in file} == before
    count("hostile settings refused in a line", cases)


def test_the_sentinel_works(sentinel):
    __import__("sentinel")
    del sys.modules["sentinel"]
    assert sentinel.exists()
