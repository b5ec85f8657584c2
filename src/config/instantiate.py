"""Instantiation of the parts of a condition from its resolved settings."""

import copy
import importlib.util
import inspect
import logging
import math
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from filelock import FileLock
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from src.config.allowlist import find_target
from src.config.validation import setting_problems
from src.data.datamodule import StackedDataModule
from src.data.protocols import DataSource, Distribution
from src.engines.fused_adam import stepper
from src.losses.base import Objective
from src.losses.class_weighted import class_weighted
from src.losses.none import LogProbabilities
from src.metrics.population import Population
from src.metrics.predictions import seed_network, seed_networks
from src.models.base import ClosedForm
from src.parallel.schedule import JOINED_SETTINGS
from src.training.callbacks.base import SeedCallback
from src.training.callbacks.early_stopping import BestEpoch, EarlyStopping
from src.training.callbacks.ema import ExponentialMovingAverage
from src.training.callbacks.lr_finder import LearningRateFinder
from src.training.module import GRADIENT_SETTINGS, StackedClassifier
from src.training.schedulers import SeedPlateau
from src.training.single_thread import single_threaded
from src.utils.errors import first_line
from src.utils.seed_streams import SeedStreams, seed_streams
from src.utils.validation import Problem, SettingsError, check, choice

ATTRIBUTES = {"data": ("features", "size", "classes"), "loss": ("out_features",)}
HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")  # which are no arguments
LOADER_SETTINGS = (
    *("batch_size", "stratified_batches", "test_fraction", "val_fraction", "split", "folds", "class_weights"),
)
SCHEDULER_SETTINGS = ("interval", "monitor")
NOT_OF_THE_TARGET = {
    "data": LOADER_SETTINGS,
    "trainer": ("checkpoint_every", "overfit_batches", *GRADIENT_SETTINGS),
    "scheduler": SCHEDULER_SETTINGS,
}
STEP_COUNTING = ("fast_dev_run", "limit_train_batches", "max_steps", "min_steps")  # settings of the trainer
LOGGER_LIBRARIES = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow"}
COUPLING_CALLBACKS = (lightning_callbacks.EarlyStopping, lightning_callbacks.Timer)
UNSUPPORTED_CALLBACKS = (
    lightning_callbacks.BaseFinetuning,
    lightning_callbacks.BatchSizeFinder,
    lightning_callbacks.GradientAccumulationScheduler,
    lightning_callbacks.LearningRateFinder,
    lightning_callbacks.ModelPruning,
    lightning_callbacks.StochasticWeightAveraging,
    lightning_callbacks.WeightAveraging,
)
LOGGING_CALLBACKS = (
    lightning_callbacks.DeviceStatsMonitor,
    lightning_callbacks.LearningRateMonitor,
    lightning_callbacks.ThroughputMonitor,
)
MAX_NETWORKS = 32  # whose population metrics are computed together, as their grids are in memory
TRIED_STEPS = 500  # of a scheduler, before anything is trained
TRIED_SAMPLES = 32  # of a mini-batch, as what is too small fails and what is larger only takes memory


@dataclass(frozen=True)
class Components:
    """Data, objective, network and classifier of a condition, for some of its seeds."""

    datamodule: StackedDataModule
    objective: Objective
    network: nn.Module
    classifier: StackedClassifier

    @cached_property
    def population(self) -> Population | None:
        """The population of the distribution, or None if it is unknown."""
        return Population.of(self.datamodule.source, self.objective)

    @cached_property
    def _population_metrics(self) -> dict[int, list[dict[str, float]] | None]:
        return {}

    def population_metrics(self, index: int) -> dict[str, float] | None:
        """Return the population metrics of a seed of the trained network, or None if the distribution is unknown.

        Some seeds at a time are evaluated together, on the device that has trained them, when the first is asked for;
        if one fails, each is evaluated alone, on the CPU.
        """
        if self.population is None:
            return None
        block = index // MAX_NETWORKS
        if block not in self._population_metrics:
            seeds = range(len(self.datamodule.streams))[block * MAX_NETWORKS : (block + 1) * MAX_NETWORKS]
            try:
                found = self.population.stack_metrics(seed_networks(self.network, seeds, self.classifier.trained_on))
            except Exception:  # that the network of one seed raises; it is raised again when this seed is asked for
                found = None
            self._population_metrics[block] = found
        if (together := self._population_metrics[block]) is not None:
            return together[index % MAX_NETWORKS]
        return self.population.metrics(seed_network(self.network, index))

    @property
    def engine(self) -> str | None:
        """The name of the engine that has trained the network; None if a formula has fitted it."""
        return None if isinstance(self.network, ClosedForm) else self.classifier.engine.name


def stack(config: dict[str, Any]) -> list[SeedStreams]:
    """Return the members of the stack that the settings ``seed`` and ``seeds`` ask for.

    Raises:
        SettingsError: If one of them is wrong.
    """
    pins = config["seeds"]
    return _named("seeds", pins, partial(seed_streams, config["seed"], pins))


def build_components(
    config: dict[str, Any],
    members: list[SeedStreams],
    source: DataSource | None = None,
    parts: Sequence[tuple[int, dict[str, Any]]] = (),
) -> Components:
    """Build data, objective, network and classifier from the resolved settings.

    Args:
        config: The resolved settings.
        members: The random streams of each member of the stack.
        source: The data in place of those of the settings.
        parts: Of consecutive members their number and the values that they have in place of ``JOINED_SETTINGS``.

    Raises:
        SettingsError: If a setting is wrong; it is named in full, such as ``data.samples_per_class``.
    """
    loader = {name: config["data"][name] for name in LOADER_SETTINGS if name in config["data"]}
    counting = {name: config["trainer"].get(name) for name in STEP_COUNTING}
    blocks: dict[str, Any] = {"overfit_batches": config["trainer"].get("overfit_batches", 0)}
    if any(value not in (None, False, -1) for value in counting.values()):
        blocks["steps_per_block"] = 1  # so that Lightning, which counts batches of the loader, counts mini-batches
    blocks["accumulated"] = config["trainer"].get("accumulate_grad_batches", 1)
    if blocks["accumulated"] > 1 and "steps_per_block" in blocks:
        names = ", ".join(f"trainer.{name}" for name in STEP_COUNTING)
        raise SettingsError(Problem("trainer.accumulate_grad_batches", f"1 with any of {names}", blocks["accumulated"]))
    source = source or factory(config, "data", without=loader)(config["classes"])
    datamodule = _named("data", config["data"], partial(StackedDataModule, source, members, **loader, **blocks))
    share = counting["limit_train_batches"]
    if isinstance(share, float) and share * datamodule.steps_per_epoch < 1:
        rule = f"a share that leaves at least one of {datamodule.steps_per_epoch} mini-batches"
        raise SettingsError(Problem("trainer.limit_train_batches", rule, share))
    objective = factory(config, "loss")(source.classes)
    initial = [member.generator("init") for member in members]
    network = factory(config, "model")(source.features, objective.out_features, initial)
    check(_loss_problem(network, objective, config), _order_problem(source, objective))
    trained = objective
    if datamodule.class_weights != "none":
        rule = "none, as a model that is fitted in closed form has no loss to weigh"
        closed = isinstance(network, ClosedForm)
        check(Problem("data.class_weights", rule, datamodule.class_weights) if closed else None)
        trained = class_weighted(objective, datamodule.weights)
    schedule = config["scheduler"]
    classifier = StackedClassifier(
        network,
        trained,
        factory(config, "optimizer", without=JOINED_SETTINGS if parts else ()),
        scheduler(config, datamodule),
        engine=config.get("engine", "auto"),
        parts=parts,
        **{name: schedule[name] for name in SCHEDULER_SETTINGS if name in schedule},
        **{name: config["trainer"][name] for name in GRADIENT_SETTINGS if name in config["trainer"]},
    )
    return Components(datamodule, objective, network, classifier)


def scheduler(config: dict[str, Any], datamodule: StackedDataModule) -> Callable[[Optimizer], Any] | None:
    """Return what builds the learning-rate scheduler from an optimizer, or None for a constant rate."""
    if config["scheduler"]["_target_"] is None:
        return None
    total = _scheduled(config, datamodule)
    settings = {name: total if value == "total" else value for name, value in config["scheduler"].items()}
    return factory(config | {"scheduler": settings}, "scheduler", without=SCHEDULER_SETTINGS)


def _scheduled(config: dict[str, Any], datamodule: StackedDataModule) -> int:
    """Return how often the scheduler of a training steps."""
    trainer = config["trainer"]
    epoch = -(-_steps_per_epoch(config, datamodule) // trainer.get("accumulate_grad_batches", 1))
    steps = epoch * trainer["max_epochs"]
    if trainer.get("max_steps", -1) > 0:
        steps = min(steps, trainer["max_steps"])
    return steps if config["scheduler"].get("interval") == "step" else -(-steps // epoch)


def _steps_per_epoch(config: dict[str, Any], datamodule: StackedDataModule) -> int:
    """Return the number of mini-batches that an epoch trains on."""
    steps, limit = datamodule.steps_per_epoch, config["trainer"].get("limit_train_batches")
    if limit is None:
        return steps
    return min(steps, limit) if isinstance(limit, int) else max(1, int(steps * limit))


def build_callbacks(config: dict[str, Any]) -> list[L.Callback]:
    """Build the callbacks of ``callbacks=``; progress bars are the last, as they show what the others did."""
    callbacks = [factory(config, f"callbacks.{name}")() for name in config["callbacks"]]
    return sorted(callbacks, key=lambda callback: isinstance(callback, ProgressBar))


def build_trainer(config: dict[str, Any], callbacks: list[L.Callback], folder: Path | None = None) -> L.Trainer:
    """Build Lightning's trainer, whose own messages are warnings only.

    Args:
        config: The resolved settings.
        callbacks: The callbacks.
        folder: The directory of the condition, for what loggers and profilers write; None for a trainer without them.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*")  # Lightning's own use of torch's pytrees
    warnings.filterwarnings("ignore", message=r"Total length of `list` across ranks is zero")  # without validation
    given: dict[str, Any] = {} if config["data"]["val_fraction"] else {"limit_val_batches": 0}
    if any(isinstance(callback, Checkpoint) for callback in callbacks):
        given["enable_checkpointing"] = True
    if any(isinstance(callback, ProgressBar) for callback in callbacks):
        given["enable_progress_bar"] = True
    if folder is not None:
        given["default_root_dir"] = folder
        given["logger"] = [_logger(folder, config, f"logger.{name}") for name in config["logger"]]
        if config["profiler"]["_target_"] is not None:
            given["profiler"] = _built(config, "profiler", dirpath=str(folder))
    return factory(config, "trainer", without=NOT_OF_THE_TARGET["trainer"])(callbacks=callbacks, **given)


def _logger(folder: Path, config: dict[str, Any], group: str) -> Any:
    """Build a logger and what it writes to: a database, or a directory that is of no other stack."""
    with FileLock(Path(config["paths"]["output_dir"]) / ".logger.lock"):  # of stacks that begin at the same time
        logger = _built(config, group, save_dir=str(folder), name=folder.name, run_name=folder.name)
        if isinstance(logger, MLFlowLogger):
            logger.experiment  # noqa: B018 - creates the experiment
        elif isinstance(logger, CSVLogger | TensorBoardLogger) and _settings(config, group).get("version") is None:
            (Path(logger.root_dir) / f"version_{logger.version}").mkdir(parents=True)
        return logger


def _built(config: dict[str, Any], group: str, **otherwise: str) -> Any:
    """Build what writes files, with a value for each of these settings that is null."""
    settings = _settings(config, group)
    given = {name: value for name, value in otherwise.items() if settings.get(name, "") is None}
    return factory(config, group, without=given)(**given)


def _settings(config: dict[str, Any], group: str) -> dict[str, Any]:
    """Return the settings of a group, or those of one name below it, such as callbacks.early_stopping."""
    name, _, key = group.partition(".")
    return cast(dict[str, Any], config[name][key] if key else config[name])


def factory(config: dict[str, Any], group: str, without: Collection[str] = ()) -> Callable[..., Any]:
    """Return what the ``_target_`` of a config group builds, still to be called with the arguments of the code.

    Hydra's ``instantiate`` is not used: it would resolve interpolations in strings of a stored configuration again, and
    call whatever ``_target_`` they contain.

    Args:
        config: The resolved settings.
        group: Name of the group, or of one of its settings with a target: callbacks.early_stopping.
        without: Settings of the group that are none of the target's.

    Raises:
        SettingsError: If the target must not be called, see ``src.config.allowlist``, or does not exist; or, on the
            call, if it refuses a setting.
    """
    settings = {name: value for name, value in _settings(config, group).items() if name not in without}
    make = _partial(group, settings, config.get("allow_targets", []))
    check(_unknown(group, make))

    def build_one(*args: Any, **kwargs: Any) -> Any:
        built = _named(group, settings, make, *args, **kwargs)
        lacking = [name for name in ATTRIBUTES.get(group, ()) if not hasattr(built, name)]
        rule = f"a class whose instances have {', '.join(lacking)}"
        check(Problem(f"{group}._target_", rule, settings["_target_"]) if lacking else None)
        return built

    return build_one


def _partial(path: str, settings: dict[str, Any], allow_targets: Sequence[str]) -> partial[Any]:
    """Return the target of some settings with the settings as its arguments; nested ones first.

    Raises:
        SettingsError: If a target must not be called, or a nested one refuses its settings.
    """
    make = find_target(path, settings["_target_"], allow_targets)
    arguments = {
        name: _nested(f"{path}.{name}", value, allow_targets)
        for name, value in settings.items()
        if name not in HYDRA_KEYS
    }
    return partial(make, **arguments)


def _nested(path: str, value: Any, allow_targets: Sequence[str]) -> Any:
    """Return a value with the targets in it built; one with ``_partial_: true`` is still to be called."""
    if isinstance(value, list):
        return [_nested(f"{path}.{index}", item, allow_targets) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "_target_" not in value:
        return {name: _nested(f"{path}.{name}", item, allow_targets) for name, item in value.items()}
    make = _partial(path, value, allow_targets)
    return make if value.get("_partial_") is True else _named(path, value, make)


def _unknown(group: str, make: partial[Any]) -> Problem | None:
    """Return a problem if a target whose signature is known does not accept all settings of its group."""
    try:
        parameters = {} if group == "export" else inspect.signature(make.func).parameters  # each run gives all of them
    except ValueError:  # of what is not written in Python
        return None
    unknown = {name: value for name, value in make.keywords.items() if name not in parameters}
    if not unknown or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    names, values = ", ".join(f"{group}.{name}" for name in unknown), ", ".join(map(str, unknown.values()))
    return Problem(names, f"left out, as {make.func.__name__} has no such setting", values)


@single_threaded()
def check_settings(config: dict[str, Any]) -> None:
    """Check every setting of a condition by building it for its first seed, without training or writing.

    Raises:
        SettingsError: If a setting is wrong; the message has one line for each.
    """
    check(*setting_problems(config))
    problems: list[Problem] = []
    for group in ("data", "loss", "model", "trainer"):
        with _collected(problems):
            factory(config, group, without=NOT_OF_THE_TARGET.get(group, ()))
    with _collected(problems):
        check_optimizer(config)
    for group in ("scheduler", "profiler", "export"):
        if config[group]["_target_"] is not None:
            with _collected(problems):
                factory(config, group, without=NOT_OF_THE_TARGET.get(group, ()))
    for name in config["logger"]:
        with _collected(problems):
            check_logger(config, name)
    callbacks: list[L.Callback] = []
    for name in config["callbacks"]:
        with _collected(problems):
            callbacks.append(checked_callback(config, name))
    check(*problems)
    with _collected(problems):
        components = build_components(config, stack(config)[:1])
        check(movie_problem(config["figures"], components))
        check_training(config, components, callbacks)
    with _collected(problems):
        build_trainer(config, callbacks)
    check(*problems)


def movie_problem(figures: str, components: Components) -> Problem | None:
    """Return a problem if a movie is asked for that has no plane, or no epochs."""
    source = components.datamodule.source
    plane = isinstance(source, Distribution) and source.features == 2
    if figures != "movie" or (plane and not isinstance(components.network, ClosedForm)):
        return None
    return Problem("figures", "first, all or none, as a movie shows the epochs of a model of two features", figures)


def check_training(config: dict[str, Any], components: Components, callbacks: list[L.Callback]) -> None:
    """Check that callbacks, engine and scheduler go with each other and with the network.

    Raises:
        SettingsError: If they do not, or the network is fitted in closed form, without any of them.
    """
    if isinstance(components.network, ClosedForm):
        check(*(_unused(config, group) for group in ("scheduler", "callbacks", "logger", "profiler")))
        return
    check(_last_batch_problem(config, components))
    classifier = components.classifier
    averages = [callback for callback in callbacks if isinstance(callback, ExponentialMovingAverage)]
    if averages and any(isinstance(callback, EarlyStopping | BestEpoch) for callback in callbacks):
        rule = "either an average or the weights of one epoch, as a seed ends with one of them"
        raise SettingsError(Problem("callbacks", rule, sorted(config["callbacks"])))
    classifier.after_step = averages[0].update if averages else None
    classifier.configure_model()
    optimizer = factory(config, "optimizer")([classifier.flat.values])
    if config.get("engine") == "native":  # otherwise there is one, and the kernel need not be compiled here
        classifier.select_engine(optimizer)
    check_scheduler(config, components, optimizer)


def _last_batch_problem(config: dict[str, Any], components: Components) -> Problem | None:
    """Return a problem if a copy of the network cannot train on a mini-batch as small as the last one of an epoch."""
    data = components.datamodule
    steps = _steps_per_epoch(config, data)
    size = min(data.batch_size, data.train_size - (steps - 1) * data.batch_size)
    tried = min(size, TRIED_SAMPLES)
    try:
        with torch.random.fork_rng(devices=[]):
            copy.deepcopy(components.network).train()(torch.zeros(1, tried, data.source.features))
    except Exception as error:  # a network of one's own may raise any
        last = f"of {size}, on which the network cannot train ({first_line(error)})"
        rule = f"one that leaves of {data.train_size} training samples another last mini-batch than one {last}"
        return Problem("data.batch_size", rule, data.batch_size)
    return None


@contextmanager
def _collected(problems: list[Problem]) -> Iterator[None]:
    """Add what a SettingsError in the body reports to a list, instead of raising it."""
    try:
        yield
    except SettingsError as error:
        problems.extend(error.problems)


def check_optimizer(config: dict[str, Any]) -> None:
    """Check by three steps of two small stacks that the optimizer runs and that it does not couple seeds.

    Raises:
        SettingsError: If a setting of the optimizer is wrong, or there are several seeds and it is not element-wise.
    """
    target = config["optimizer"]["_target_"]
    rule = "another, as a step that evaluates the loss several times, in a closure, would couple the seeds"
    check(Problem("optimizer._target_", rule, target) if target == "torch.optim.LBFGS" else None)
    make = factory(config, "optimizer")
    alone = _named("optimizer", config["optimizer"], partial(_steps, make, seeds=1))
    if len(stack(config)) == 1:
        return
    together = _named("optimizer", config["optimizer"], partial(_steps, make, seeds=2))
    if not torch.allclose(together, alone, rtol=1e-4, atol=0):
        rule = "element-wise with more than one seed, as another couples them"
        raise SettingsError(Problem("optimizer._target_", rule, target))


def _unused(config: dict[str, Any], group: str) -> Problem | None:
    """Return a problem where a group has something for a training that a model in closed form does not have."""
    if config[group] in ({}, {"_target_": None}):
        return None
    return Problem(group, "none, as this model is fitted in closed form, without a training", sorted(config[group]))


def check_logger(config: dict[str, Any], name: str) -> None:
    """Check the settings of a logger, which is not built, as it may write files.

    Raises:
        SettingsError: If its class or a setting is wrong, or the library that it needs is not installed.
    """
    factory(config, f"logger.{name}")
    target = config["logger"][name]["_target_"]
    for logger, library in LOGGER_LIBRARIES.items():
        if target.endswith(f".{logger}") and importlib.util.find_spec(library) is None:
            rule = f"another, or losslab installed with the extra [{library}], as {library} is missing"
            raise SettingsError(Problem(f"logger.{name}._target_", rule, target))


def checked_callback(config: dict[str, Any], name: str) -> L.Callback:
    """Build a callback, and check that it goes with a stack of seeds.

    Raises:
        SettingsError: If its class or a setting is wrong, or it couples the seeds, or needs a logger and has none.
    """
    callback: L.Callback = factory(config, f"callbacks.{name}")()
    target = config["callbacks"][name]["_target_"]
    if isinstance(callback, UNSUPPORTED_CALLBACKS):
        found = ", such as lr_finder" * isinstance(callback, lightning_callbacks.LearningRateFinder)
        rule = f"a callback for manual optimization{found}, as several steps are one batch of a stack"
        raise SettingsError(Problem(f"callbacks.{name}._target_", rule, target))
    if isinstance(callback, COUPLING_CALLBACKS) and len(stack(config)) > 1:
        rule = "another with more than one seed, as it stops all of them; callbacks=early_stopping stops each alone"
        raise SettingsError(Problem(f"callbacks.{name}._target_", rule, target))
    monitor = getattr(callback, "monitor", None)
    if isinstance(callback, SeedCallback) and str(monitor).startswith("val/") and not config["data"]["val_fraction"]:
        rule = "train/loss or train/accuracy without validation samples, see data.val_fraction"
        raise SettingsError(Problem(f"callbacks.{name}.monitor", rule, monitor))
    if isinstance(callback, LearningRateFinder):
        _check_rates_by_seed(config, "callbacks=lr_finder")
    if isinstance(callback, LOGGING_CALLBACKS) and not config["logger"]:
        raise SettingsError(Problem(f"callbacks.{name}", "left out without a logger, see logger=", target))
    return callback


def check_scheduler(config: dict[str, Any], components: Components, optimizer: Optimizer) -> None:
    """Check that a scheduler runs, by its first steps, and that it does not couple seeds.

    Raises:
        SettingsError: If a setting of the scheduler is wrong, or there are several seeds and it follows a metric.
    """
    make = components.classifier.scheduler
    if make is None:
        return
    settings = config["scheduler"]
    check(choice("scheduler.interval", settings.get("interval", "epoch"), ("epoch", "step")))
    built: Any = make(optimizer)
    if isinstance(built, SeedPlateau | ReduceLROnPlateau):
        splits = ("train", "val") if config["data"]["val_fraction"] else ("train",)
        check(
            choice("scheduler.interval", settings.get("interval", "epoch"), ("epoch",)),
            choice("scheduler.monitor", settings.get("monitor"), [f"{split}/loss" for split in splits]),
        )
        rule = "scheduler=plateau with more than one seed, as a rate that follows their mean would couple them"
        mean = isinstance(built, ReduceLROnPlateau) and len(stack(config)) > 1
        check(Problem("scheduler._target_", rule, settings["_target_"]) if mean else None)
        if isinstance(built, SeedPlateau):
            _check_rates_by_seed(config, "scheduler=plateau")

    def steps() -> list[float]:
        rates = []
        for _ in range(min(TRIED_STEPS, _scheduled(config, components.datamodule))):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            built.step(*[torch.ones(1)] * isinstance(built, SeedPlateau | ReduceLROnPlateau))
        return rates

    with warnings.catch_warnings(action="ignore"):  # about steps of the scheduler without any of the optimizer
        rates = _named("scheduler", settings, steps)
    rule = "a schedule whose rates are all finite and at least 0"
    wrong = [rate for rate in rates if not 0 <= rate < math.inf]
    check(Problem("scheduler", rule, wrong[0]) if wrong else None)


def _steps(make: Callable[..., Optimizer], seeds: int) -> Tensor:
    """Return the first seed's parameters, (6,), after three steps of one or two seeds in a flat buffer, as in training.

    The second seed's parameters and gradients have other scales and directions than those of the first, so that a norm
    or a factor that both share changes the first.
    """
    ramp = torch.linspace(-0.4, 0.6, 6)
    parameter = nn.Parameter(torch.cat([ramp + 1, 300 * ramp.cos()][:seeds]))
    step = stepper(make([parameter]))
    for number in range(1, 4):
        parameter.grad = torch.cat([ramp, 1000 * (9 * ramp).sin()][:seeds]) / number
        step()
    return parameter.detach()[:6]


def _check_rates_by_seed(config: dict[str, Any], what: str) -> None:
    """Check that the optimizer can train each seed with a rate of its own, as a scheduler or callback asks."""
    proportional = _proportional(factory(config, "optimizer"))
    rule = f"one whose step is proportional to its rate with {what}, as Adam's and SGD's is"
    check(None if proportional else Problem("optimizer._target_", rule, config["optimizer"]["_target_"]))


def _proportional(make: Callable[..., Optimizer]) -> bool:
    """Return whether half of an optimizer's rate changes the weights by half as much, in its second step."""
    changes = []
    for factor in (1.0, 0.5):
        parameter = nn.Parameter(torch.zeros(6, dtype=torch.float64))
        optimizer = make([parameter])
        for number in range(2):
            before = parameter.detach().clone()
            parameter.grad = torch.linspace(-0.4, 0.6, 6, dtype=torch.float64) / (number + 1)
            optimizer.param_groups[0]["lr"] *= factor**number
            optimizer.step()
        changes.append(parameter.detach() - before)
    return torch.allclose(changes[0] * 0.5, changes[1], rtol=1e-4, atol=0)


def _named(group: str, settings: dict[str, Any], make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call, and name the settings of the group in full in what is raised."""
    try:
        return make(*args, **kwargs)
    except SettingsError as error:
        raise error.within(group, settings) from None
    except (TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError, MisconfigurationException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        shown = ", ".join(f"{name}={value}" for name, value in settings.items())
        raise SettingsError(Problem(group, f"settings that fit together ({reason})", shown)) from error


def _order_problem(source: DataSource, objective: Objective) -> Problem | None:
    """Return a problem if the loss uses the order of labels that nobody has ordered."""
    if source.ordered or not getattr(objective, "ordinal", False):
        return None
    rule = f"the labels {', '.join(map(str, source.class_names))} in their order, which this loss uses"
    return Problem("data.labels", rule, None)


def _loss_problem(network: nn.Module, objective: Objective, config: dict[str, Any]) -> Problem | None:
    """Return a problem unless the model is fitted in closed form and has no loss, or is trained and has one."""
    loss, model = (config[group]["_target_"].split(".")[-2] for group in ("loss", "model"))
    if isinstance(network, ClosedForm) == isinstance(objective, LogProbabilities):
        return None
    if isinstance(objective, LogProbabilities):
        return Problem("loss", f"a loss, as model={model} is trained to minimise one", loss)
    return Problem("loss", f"left out, as model={model} is fitted in closed form and minimises none", loss)
