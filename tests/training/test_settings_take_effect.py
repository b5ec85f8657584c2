"""Every argument of every class that a group can build changes the training, in every engine, or is refused by name."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_object
from lightning import Trainer
from lightning.pytorch.callbacks import ModelSummary
from lightning.pytorch.profilers import SimpleProfiler
from omegaconf import OmegaConf
from torch import Tensor

from src.config.instantiate import LOADER_SETTINGS, build_components, build_trainer, check_optimizer, stack
from src.config.paths import CONFIG_DIR
from src.config.validation import setting_problems
from src.engines.autograd import AutogradEngine
from src.engines.flat_parameters import FlatParameters
from src.engines.native.engine import library
from src.engines.select import select_engine
from src.models.base import ClosedForm
from src.training.single_thread import single_threaded
from src.utils.validation import SettingsError, check
from tests.blocks import train_on

ENGINES = ("native", "torch", "autograd")
BY_CODE = ("classes", "in_features", "out_features", "generators", "params")  # arguments that no setting gives
OPTIMIZERS = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
IMPLEMENTATION = ("capturable", "differentiable", "foreach", "fused")  # how torch computes the same steps
OTHER_VALUES: dict[str, Any] = {
    "alpha": 0.5,
    "amsgrad": True,
    "betas": [0.5, 0.7],
    "centered": True,
    "dampening": 0.5,
    "decoupled_weight_decay": True,
    "eps": 0.1,
    "etas": [0.3, 1.1],
    "initial_accumulator_value": 0.5,
    "lr": 0.03,
    "lr_decay": 0.5,
    "maximize": True,
    "momentum": 0.5,
    "momentum_decay": 0.5,
    "nesterov": True,
    "rho": 0.5,
    "step_sizes": [1e-3, 2e-3],
    "weight_decay": 0.3,
    "M": 2,
    "gamma": 0.5,
    "k": 3,
    "margin": 0.3,
    "p": 2,
    "smoothing": 0.4,
    "activation": "tanh",
    "hidden": [4],
    "init": "kaiming",
    "init_std": 0.7,
    "network": {"_target_": "torch.nn.Linear", "_partial_": True, "bias": False},
} | dict.fromkeys(IMPLEMENTATION, True)
NEEDED = {  # other settings of the group without which an argument has no effect by definition
    "amsgrad": {"betas": [0.9, 0.5]},
    "dampening": {"momentum": 0.9},
    "decoupled_weight_decay": {"weight_decay": 0.3},
    "nesterov": {"momentum": 0.9},
}


def groups() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each group that shapes a training, with the settings of each of its choices."""
    for name in OPTIMIZERS:
        fused = {"fused": True} if name in ("Adam", "AdamW") else {}  # which the native engine requires
        yield "optimizer", {"_target_": f"torch.optim.{name}", "lr": 0.01, **fused}
    for group in ("loss", "model"):
        for path in sorted(CONFIG_DIR.joinpath(group).glob("*.yaml")):
            settings: Any = OmegaConf.to_container(OmegaConf.load(path))
            if "_target_" in settings:  # otherwise it is a variant of another file
                yield group, settings


def cases() -> Iterator[Any]:
    for group, settings in groups():
        for name in inspect.signature(get_object(settings["_target_"])).parameters:
            if name not in BY_CODE:
                yield pytest.param(group, settings, name, id=f"{settings['_target_'].rpartition('.')[2]}-{name}")


def train(config: dict[str, Any], engine: str) -> Tensor | None:
    """Return the parameters after some steps, or None if the settings are refused with their names."""
    try:
        check_optimizer(config)
        parts = build_components(config, stack(config))
        network, objective = parts.network, parts.objective
        flat = FlatParameters(network)
        optimizer = parts.classifier.optimizer([flat.values])
        if engine == "autograd":
            trained: Any = AutogradEngine(network, objective, flat, optimizer)
        else:
            trained = select_engine(network, objective, flat, optimizer, requested=engine)
    except SettingsError as error:
        if any(problem.name.partition(".")[0] not in ("optimizer", "engine") for problem in error.problems):
            raise
        return None
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 60, 2, generator=generator)
    target = torch.randint(2, (1, 60), generator=generator)
    with single_threaded():
        train_on(trained, list(zip(x.split(5, dim=1), target.split(5, dim=1), strict=True)))
    return flat.values.detach()


@pytest.fixture(scope="module")
def config(settings: Any) -> dict[str, Any]:
    composed: dict[str, Any] = settings("model.hidden=[6]", "model.init_std=0.5", "loss=ce_softmax")
    return composed


@pytest.mark.parametrize(("group", "chosen", "name"), cases())
def test_each_setting_takes_effect_or_is_refused(
    group: str, chosen: dict[str, Any], name: str, config: dict[str, Any]
) -> None:
    base = config | {group: chosen | NEEDED.get(name, {})}
    changed = base | {group: base[group] | {name: OTHER_VALUES[name]}}
    if isinstance(build_components(base, stack(base)).network, ClosedForm):
        pytest.fail("a model in closed form has a setting that this test does not cover")
    results = []
    for engine in ENGINES:
        before, after = train(base, engine), train(changed, engine)
        if before is not None and after is not None:
            same = before.shape == after.shape and torch.allclose(before, after, rtol=1e-4, atol=1e-5)
            assert same == (name in IMPLEMENTATION), engine
            results.append(after)
    for result in results[1:]:  # the engines that take the setting agree on what it does
        # Adam divides by the size of a gradient, so rounding moves a weight whose gradient is almost 0 freely.
        assert torch.isclose(result, results[0], rtol=1e-3, atol=1e-4).double().mean() > 0.999


OTHER_DATA: dict[str, Any] = {
    "batch_size": 7,
    "covariances": [[[800, 300], [300, 900]], [[800, 400], [400, 600]]],
    "flip": 0.3,
    "half_width": 0.4,
    "label_order": [1, 0],
    "means": [[70, 71], [55, 60]],
    "missing": "mean",
    "categorical": ["x"],
    "class_weights": "equal",
    "copy": "yes",
    "drop": ["x"],
    "features": ["z"],
    "groups": "x",
    "labels": [1, 0],
    "max_categories": 1,
    "merge_labels": "yes",
    "min_frequency": 0,
    "name": "wine",
    "numeric": ["z"],
    "ordered": {"x": ["1"]},
    "read": "table",
    "unknown": "zero",
    "noise": "gaussian",
    "noise_std": 0.3,
    "path": "other.csv",
    "priors": [0.2, 0.8],
    "samples": 100,
    "samples_per_class": 40,
    "samples_per_corner": 30,
    "sha256": "0",
    "spacing": 0.5,
    "target": "x",
    "split": "time",
    "stratified_batches": True,
    "folds": 3,
    "split_by": "x",
    "test_path": "other.csv",
    "test_sha256": "0",
    "test_fraction": 0.3,
    "val_fraction": 0.2,
}


def data_cases() -> Iterator[Any]:
    for choice in ("noisy_cubic", "gaussians", "xor", "iris", "csv"):  # the other tables are of the class of iris
        settings: Any = OmegaConf.load(CONFIG_DIR / "data" / f"{choice}.yaml")
        target = settings.get("data", settings)["_target_"]
        for name in [*inspect.signature(get_object(target)).parameters, *LOADER_SETTINGS]:
            if name not in BY_CODE:
                yield pytest.param(choice, name, id=f"{choice}-{name}")


def mini_batches(config: dict[str, Any]) -> list[Tensor]:
    """Return the samples of an epoch in their mini-batches, as every engine is given them."""
    datamodule = build_components(config, stack(config)).datamodule
    datamodule.setup()
    return [tensor for block in datamodule.train_dataloader() for batch in block.mini_batches() for tensor in batch]


@pytest.mark.parametrize(("choice", "name"), data_cases())
def test_each_setting_of_the_data_changes_what_is_trained_on_or_is_refused(
    choice: str, name: str, settings: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for table, scale in (("table.csv", 1), ("other.csv", 2)):
        rows = [f"{scale * number % 7},{number % 2}" for number in range(40)]
        Path(table).write_text("\n".join(["x,y", ",1", *rows]), encoding="utf-8")
    words = ("data.path=table.csv", "data.target=y", "data.missing=drop") if choice == "csv" else ()
    config = settings(f"data={choice}", *words)
    changed = config | {"data": config["data"] | {name: OTHER_DATA[name]}}
    before = mini_batches(config)
    try:
        after = mini_batches(changed)
    except SettingsError as error:
        if any(problem.name.partition(".")[0] not in ("data", "classes") for problem in error.problems):
            raise
        return
    assert len(before) != len(after) or not all(map(torch.equal, before, after))


TRAINER: dict[str, tuple[Any, Callable[[Trainer], Any]]] = {  # another value, and what the trainer then has
    "accelerator": ("auto", lambda trainer: trainer.accelerator is not None),
    "benchmark": (True, lambda trainer: torch.backends.cudnn.benchmark),
    "detect_anomaly": (True, lambda trainer: trainer._detect_anomaly),
    "deterministic": (True, lambda trainer: torch.are_deterministic_algorithms_enabled()),
    "enable_model_summary": (True, lambda trainer: any(isinstance(c, ModelSummary) for c in trainer.callbacks)),
    "enable_progress_bar": (True, lambda trainer: trainer.progress_bar_callback is not None),
    "check_val_every_n_epoch": (2, lambda trainer: trainer.check_val_every_n_epoch == 2),
    "enable_autolog_hparams": (False, lambda trainer: not trainer.enable_autolog_hparams),
    "fast_dev_run": (True, lambda trainer: trainer.fast_dev_run),
    "inference_mode": (False, lambda trainer: not trainer.test_loop.inference_mode),
    "limit_train_batches": (2, lambda trainer: trainer.limit_train_batches == 2),
    "limit_val_batches": (0.5, lambda trainer: trainer.limit_val_batches == 0.5),
    "max_steps": (9, lambda trainer: trainer.max_steps == 9),
    "min_epochs": (2, lambda trainer: trainer.min_epochs == 2),
    "min_steps": (2, lambda trainer: trainer.min_steps == 2),
    "num_sanity_val_steps": (2, lambda trainer: trainer.num_sanity_val_steps == 2),
    "overfit_batches": (2, lambda trainer: trainer.overfit_batches == 0),  # the data are cut instead
    "accumulate_grad_batches": (3, lambda trainer: trainer.accumulate_grad_batches == 1),  # the engines do it
    "gradient_clip_algorithm": ("value", lambda trainer: trainer.gradient_clip_algorithm is None),
    "gradient_clip_val": (0.5, lambda trainer: trainer.gradient_clip_val is None),
    "log_every_n_steps": (7, lambda trainer: trainer.log_every_n_steps == 7),
    "max_epochs": (3, lambda trainer: trainer.max_epochs == 3),
    "precision": ("64-true", lambda trainer: trainer.precision == "64-true"),
    "profiler": ("simple", lambda trainer: isinstance(trainer.profiler, SimpleProfiler)),
}


@pytest.fixture
def _torch_settings() -> Iterator[None]:
    yield
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("_torch_settings")
@pytest.mark.parametrize("name", list(inspect.signature(Trainer).parameters))
def test_each_setting_of_the_trainer_reaches_it_or_is_refused(name: str, config: dict[str, Any]) -> None:
    value, arrived = TRAINER.get(name, ("another", bool))
    changed = config | {"trainer": config["trainer"] | {name: value}, "data": config["data"] | {"val_fraction": 0.2}}
    if name in TRAINER:
        check(*setting_problems(changed))
        assert arrived(build_trainer(changed, []))
    else:
        with pytest.raises(SettingsError) as refused:
            check(*setting_problems(changed))
        assert [problem.name for problem in refused.value.problems] == [f"trainer.{name}"]


@pytest.mark.skipif(library()[0] is None, reason="there is no C compiler")
def test_the_native_engine_takes_part_in_the_comparison(config: dict[str, Any]) -> None:
    for name in ("Adam", "AdamW"):
        optimizer = {"_target_": f"torch.optim.{name}", "lr": 0.01, "fused": True}
        assert train(config | {"optimizer": optimizer}, "native") is not None
