"""The door between configuration and code: settings in, objects with plain arguments out."""

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import lightning as L
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from src.checks import Problem, SettingsError, check, choice, flag, number, whole
from src.classifier import Classifier
from src.data.datamodule import SeedDataModule
from src.losses.none import NoLoss
from src.losses.objective import Objective
from src.models.closed_form import ClosedForm
from src.streams import PURPOSES, Streams, seeds_problem, streams
from src.threads import one_thread

TARGETS = ("src.", "torch.", "lightning.")
FIGURES = ("first", "all", "none")
PRECISIONS = ("32-true", "64-true", "bf16-true", "bf16-mixed")
LOADER_SETTINGS = ("batch_size", "test_fraction", "val_fraction")


@dataclass(frozen=True)
class Parts:
    """What a condition is made of, for some of its seeds."""

    datamodule: SeedDataModule
    objective: Objective
    network: nn.Module
    classifier: Classifier


def stack(config: dict[str, Any]) -> list[Streams]:
    """Return the members of the stack that the settings ``seed`` and ``seeds`` ask for.

    Raises:
        SettingsError: If one of them is wrong.
    """
    pins = config["seeds"]
    good = isinstance(pins, dict) and set(pins) <= set(PURPOSES)
    check(None if good else Problem("seeds", f"settings of {', '.join(PURPOSES)}", pins))
    return _named("seeds", pins, partial(streams, config["seed"], pins))


def build(config: dict[str, Any], members: list[Streams]) -> Parts:
    """Build data, objective, network and classifier from the resolved settings.

    Args:
        config: The resolved settings.
        members: The random streams of each member of the stack.

    Raises:
        SettingsError: If a setting is wrong; it is named in full, such as ``data.points``.
    """
    classes = config["classes"]
    loader = {name: config["data"][name] for name in LOADER_SETTINGS}
    law = factory("data", {name: value for name, value in config["data"].items() if name not in loader})(classes)
    datamodule = _named("data", loader, partial(SeedDataModule, law, members, **loader))
    objective = factory("loss", config["loss"])(law.classes)
    initial = [member.generator("init") for member in members]
    network = factory("model", config["model"])(law.features, objective.out_features, initial)
    check(_loss_problem(network, objective, config))
    return Parts(
        datamodule, objective, network, Classifier(network, objective, factory("optimizer", config["optimizer"]))
    )


def build_trainer(config: dict[str, Any], callbacks: list[L.Callback]) -> L.Trainer:
    """Build Lightning's trainer, which says nothing of its own on the console."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*")  # Lightning's own use of torch's pytrees
    settings = config["trainer"] | ({} if config["data"]["val_fraction"] else {"limit_val_batches": 0})
    return factory("trainer", settings)(callbacks=callbacks)


def factory(group: str, settings: dict[str, Any]) -> Callable[..., Any]:
    """Return what the ``_target_`` of a config group builds, still to be called with the arguments of the code.

    Raises:
        SettingsError: If a target lies outside the allowed packages or does not exist; or, on the call, if the
            target refuses a setting.
    """
    for target in _targets(settings):
        if not str(target).startswith(TARGETS):
            raise SettingsError(Problem(f"{group}._target_", f"a name that starts with {', '.join(TARGETS)}", target))
    try:
        make = instantiate(settings, _partial_=True, _convert_="all")
    except InstantiationException as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(Problem(f"{group}._target_", f"importable ({reason})", settings.get("_target_"))) from None
    return lambda *args, **kwargs: _named(group, settings, partial(make, *args, **kwargs))


@one_thread()
def check_settings(config: dict[str, Any]) -> None:
    """Check every setting of a condition by building it for its first seed, without training or writing.

    Raises:
        SettingsError: If a setting is wrong.
    """
    check(
        None if config["classes"] is None else whole("classes", config["classes"], least=2),  # the data say more
        seeds_problem("seed", config["seed"]),
        flag("resume", config["resume"]),
        flag("predictions", config["predictions"]),
        choice("figures", config["figures"], FIGURES),
        number("optimizer.lr", config["optimizer"].get("lr"), above=0),
        *_trainer_problems(config["trainer"]),
    )
    parts = build(config, stack(config)[:1])
    if not isinstance(parts.network, ClosedForm):
        parts.classifier.configure_optimizers()
    build_trainer(config, [])
    if config["logger"]["_target_"] is not None:
        factory("logger", config["logger"])


def _named(group: str, settings: dict[str, Any], make: Callable[[], Any]) -> Any:
    """Call, and name the settings of the group in full in what is raised."""
    try:
        return make()
    except SettingsError as error:
        wrong = (
            replace(problem, name=f"{group}.{problem.name}") if problem.name in settings else problem
            for problem in error.problems
        )
        raise SettingsError(*wrong) from None
    except (TypeError, ValueError, MisconfigurationException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        shown = ", ".join(f"{name}={value}" for name, value in settings.items())
        raise SettingsError(Problem(group, f"settings that fit together ({reason})", shown)) from error


def _loss_problem(network: nn.Module, objective: Objective, config: dict[str, Any]) -> Problem | None:
    """Find a problem unless the model is fitted in closed form and has no loss, or is trained and has one."""
    loss, model = (config[group]["_target_"].split(".")[-2] for group in ("loss", "model"))
    if isinstance(network, ClosedForm) == isinstance(objective, NoLoss):
        return None
    if isinstance(objective, NoLoss):
        return Problem("loss", f"a loss, as model={model} is trained to minimise one", loss)
    return Problem("loss", f"left out, as model={model} is fitted in closed form and minimises none", loss)


def _targets(settings: Any) -> Iterator[Any]:
    """Yield every ``_target_`` at any depth."""
    if isinstance(settings, dict):
        if "_target_" in settings:
            yield settings["_target_"]
        for value in settings.values():
            yield from _targets(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _targets(value)


def _trainer_problems(trainer: dict[str, Any]) -> Iterator[Problem | None]:
    yield whole("trainer.max_epochs", trainer.get("max_epochs"), least=1)
    yield choice("trainer.precision", trainer.get("precision"), PRECISIONS)
    yield choice("trainer.accelerator", trainer.get("accelerator"), _accelerators())
    if trainer.get("devices") != 1:
        yield Problem("trainer.devices", "1, as a stack trains on one device", trainer.get("devices"))
    if (clip := trainer.get("gradient_clip_val")) is not None:
        yield Problem("trainer.gradient_clip_val", "null, as a common norm would couple the seeds", clip)
    if (accumulate := trainer.get("accumulate_grad_batches", 1)) != 1:
        yield Problem("trainer.accumulate_grad_batches", "1; set data.batch_size instead", accumulate)


def _accelerators() -> list[str]:
    """Return the accelerators that this machine has, by Lightning's names."""
    cuda, mps = CUDAAccelerator.is_available(), MPSAccelerator.is_available()
    return ["auto", "cpu", *["cuda"] * cuda, *["mps"] * mps, *["gpu"] * (cuda or mps)]
