"""The classes and functions that a configuration may name, by the node that names them.

A ``_target_`` decides what is called, so every node has a kind: a model is a subclass of ``torch.nn.Module`` that is
defined in ``src.models`` or in a package of ``allow_targets``, and so on. Whatever else names code, such as ``class``,
``()`` and ``ext://`` in the configuration of logging, is refused. Names are checked before anything is imported, and
classes before anything is called.

Hydra 1.4 has an ``execution_whitelist`` of its own: with it, the checks of Hydra's own groups can go.
"""

import contextlib
import inspect
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.utils.validation import Problem, SettingsError, check

_TARGET = "_target_"
_ALLOW = "allow_targets"


@dataclass(frozen=True)
class Kind:
    """The names that one node of the configuration may have as its `_target_`.

    Attributes:
        packages: Packages in which a name may lie, unless in one of ``allow_targets``.
        base: Dotted name of the class that it has to be derived from, or None.
        methods: Methods that it has to have.
        builders: Names that may stand there whatever they are.
        defined: Packages in which it has to be defined, where these are not those of its name.
        addable: Whether ``allow_targets`` adds packages.
    """

    packages: tuple[str, ...] = ()
    base: str | None = None
    methods: tuple[str, ...] = ()
    builders: tuple[str, ...] = ()
    defined: tuple[str, ...] = ()
    addable: bool = True

    def allowed(self, allow_targets: Sequence[str]) -> str:
        """Return what a message lists as allowed."""
        listed = ", ".join([*self.builders, *(f"in {package}" for package in self.packages)])
        return f"{listed} or in a package of {_ALLOW}=[...]" if self.addable else listed


KINDS = {
    "data": Kind(("src.data",), base="src.data.protocols.DataSource"),
    "loss": Kind(
        ("src.losses",), methods=("loss", "decode", "probabilities"), builders=("src.losses.logistic.logistic",)
    ),
    "model": Kind(("src.models",), base="torch.nn.Module"),
    "model.network": Kind(("torch.nn",), base="torch.nn.Module", defined=("torch.nn.modules",)),
    "optimizer": Kind(("torch.optim",), base="torch.optim.Optimizer"),
    "scheduler": Kind(
        ("torch.optim.lr_scheduler", "src.training.schedulers"), base="torch.optim.lr_scheduler.LRScheduler"
    ),
    "callbacks": Kind(("lightning.pytorch.callbacks", "src.training.callbacks"), base="lightning.pytorch.Callback"),
    "logger": Kind(("lightning.pytorch.loggers",), base="lightning.pytorch.loggers.Logger"),
    "profiler": Kind(("lightning.pytorch.profilers",), base="lightning.pytorch.profilers.Profiler"),
    "trainer": Kind(builders=("lightning.Trainer",), addable=False),
    "export": Kind(builders=("src.storage.tensorboard.write_events",), addable=False),
}
NAMED = ("callbacks", "logger")  # groups with any number of settings, each with a _target_, by a name of their own
MAY_BE_NULL = ("scheduler", "profiler", "export")
_HYDRA_CALLBACK = Kind(
    ("src.config.callback", "hydra.experimental.callbacks"), base="hydra.experimental.callback.Callback"
)
_PLUGINS = ("hydra.launcher", "hydra.sweeper")
_LOGGING = ("hydra.job_logging", "hydra.hydra_logging")
_CODE = (*_PLUGINS, *_LOGGING, "hydra.callbacks")  # what Hydra itself builds
_LOGGING_CLASSES = (
    *(f"logging.{name}" for name in ("StreamHandler", "FileHandler", "NullHandler", "Formatter")),
    *(f"logging.handlers.{name}" for name in ("RotatingFileHandler", "TimedRotatingFileHandler")),
    "colorlog.ColoredFormatter",
)
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_LOG_FILES = ("${hydra.runtime.output_dir}/", "hydra-${hydra.job.name}.log")  # of Hydra's own configurations
_SHELL = ("setup", "python", "srun_args", "additional_parameters")  # of submitit
_TYPED: dict[str, tuple[Any, ...]] = {  # what reaches a shell, a loader or another machine, and values that do not
    "hydra.job.env_set": ({},),
    "hydra.launcher.folder": ("${hydra.sweep.dir}/.submitit",),  # of pickles
    "hydra.launcher.init.address": (None, "auto"),
    **dict.fromkeys((f"hydra.launcher.{name}.runtime_env" for name in ("init", "remote")), (None,)),
    **dict.fromkeys((f"hydra.launcher.parameters.slurm_{name}" for name in _SHELL), (None,)),
}
_GRIDS = "hydra.sweeper.grids"
_SWEPT = (_GRIDS, "hydra.sweeper.params", "hydra.sweeper.space")

Path = tuple[Any, ...]  # the keys and indices that lead to a value


def allowed_problem(allow_targets: Any) -> Problem | None:
    """Return a problem unless the setting is a list of names of packages or modules, none of them Python's own."""
    listed = allow_targets if isinstance(allow_targets, list) else [None]
    names = [name.split(".") if isinstance(name, str) else [""] for name in listed]
    good = all(all(map(str.isidentifier, name)) and name[0] not in sys.stdlib_module_names for name in names)
    rule = "a list of packages such as [mypackage], none of them Python's own"
    return None if good else Problem(_ALLOW, rule, allow_targets)


def check_name(node: str, target: Any, allow_targets: Sequence[str], kind: Kind | None = None) -> Kind:
    """Check the name in a ``_target_``, without importing anything, and return the kind of its node.

    Raises:
        SettingsError: If nothing is built at this node, or the name lies in none of the packages of its kind.
    """
    name = f"{node}.{_TARGET}"
    kind = kind or _kind(node)
    if kind is None:
        raise SettingsError(Problem(name, "left out, as nothing is built at this node", target))
    good = target in kind.builders if isinstance(target, str) else False
    good = good or (isinstance(target, str) and _inside(target, (*kind.packages, *_added(kind, allow_targets))))
    check(None if good else Problem(name, kind.allowed(allow_targets), target))
    return kind


def _kind(node: str) -> Kind | None:
    group, _, _ = node.rpartition(".")
    if _inside(node, ("model.network",)):
        return KINDS["model.network"]
    return KINDS[group] if group in NAMED else None if node in NAMED else KINDS.get(node)


def find_target(node: str, target: Any, allow_targets: Sequence[str], kind: Kind | None = None) -> Any:
    """Return the class, or one of the named builders, that a ``_target_`` names.

    Args:
        node: The config group, or what is below it: ``model.network``.
        target: The dotted name.
        allow_targets: Packages beside those of the kind.
        kind: What it has to be, where that does not follow from the node.

    Raises:
        SettingsError: If the name is not allowed, cannot be imported, is defined elsewhere, or is not of the kind.
    """
    name = f"{node}.{_TARGET}"
    kind = check_name(node, target, allow_targets, kind)
    try:
        found = get_object(target)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1]
        raise SettingsError(Problem(name, f"the name of a class that can be imported ({reason})", target)) from None
    if target in kind.builders:
        return found
    packages = (*(kind.defined or kind.packages), *_added(kind, allow_targets))
    defined = _inside(getattr(found, "__module__", None) or "", packages)
    check(None if defined else Problem(name, f"defined in {', '.join(packages)}", target))
    derived = inspect.isclass(found) and (kind.base is None or issubclass(found, get_object(kind.base)))
    good = derived and all(callable(getattr(found, method, None)) for method in kind.methods)
    expected = f"derived from {kind.base}" if kind.base else f"with the methods {', '.join(kind.methods)}"
    check(None if good else Problem(name, f"a class {expected}", target))
    return found


def check_composition(root: DictConfig, words: Sequence[str]) -> None:
    """Check all code that a composed configuration names, with Hydra's own groups, before Hydra calls any of it.

    Args:
        root: The composed configuration, with Hydra's own.
        words: The overrides of the command line: packages that only a file adds to ``allow_targets`` do not count.

    Raises:
        SettingsError: If it names code that it must not.
    """
    allow_targets = typed_allow_targets(words)
    check(allowed_problem(allow_targets))
    given = OmegaConf.select(root, _ALLOW, throw_on_resolution_failure=False)
    added = [name for name in given or [] if name not in allow_targets] if OmegaConf.is_list(given) else []
    check(Problem(_ALLOW, "given on the command line, not in a file", added) if added else None)
    problems: list[Problem] = []
    for path, value in _leaves(OmegaConf.to_container(root, resolve=False)):
        try:
            _check_leaf(root, path, value, allow_targets)
            _check_typed(_dotted(path), value, words)
        except SettingsError as error:
            problems.extend(error.problems)
    check(*problems)


def typed_allow_targets(words: Sequence[str]) -> list[Any]:
    """Return the packages that the overrides of a command line add.

    Example:
        >>> typed_allow_targets(["loss=ce", "allow_targets=[mine,'my.other']"])
        ['mine', 'my.other']
    """
    found: list[Any] = []
    for word in words:
        if word.lstrip("+").startswith(f"{_ALLOW}="):
            with contextlib.suppress(HydraException):  # a word that is no override, which Hydra reports
                value: Any = OverridesParser.create().parse_override(word).value()
                found += value.list if isinstance(value, ChoiceSweep) else [value]
    flat = [name for names in found for name in (names if isinstance(names, list) else [names])]
    return [name.text if isinstance(name, QuotedString) else name for name in flat]


def _check_leaf(root: DictConfig, path: Path, value: Any, allow_targets: Sequence[str]) -> None:
    """Check one value of a configuration, as it stands there: interpolations are not resolved yet."""
    node, key, name = _dotted(path[:-1]), path[-1], _dotted(path)
    if key == _TARGET and path[0] == "hydra":
        _check_hydra_target(node, value, allow_targets)
    elif key == _TARGET:
        if value is not None or node not in MAY_BE_NULL:
            check_name(node, _resolved(root, path, value), allow_targets)
    elif _inside(name, _SWEPT):
        words = shlex.split(value) if node == _GRIDS and isinstance(value, str) else [str(key)]
        swept = [word for word in words if word.lstrip("+~").startswith("hydra")]
        check(Problem(name, "settings of a condition, none of Hydra's own", swept[0]) if swept else None)
    elif _inside(name, _LOGGING):
        _check_logging(root, path, value)
    elif _inside(name, _CODE):
        _resolved(root, path, value)


def _check_typed(name: str, value: Any, words: Sequence[str]) -> None:
    """Check that a setting which reaches a shell, a loader or another machine is none of a file's."""
    given = [word.lstrip("+").partition("=")[0] for word in words]
    for key, harmless in _TYPED.items():
        if _inside(name, (key,)) and value not in harmless and not _inside(name, [each for each in given if each]):
            raise SettingsError(Problem(name, f"given on the command line as +{name}=VALUE, not in a file", value))


def _check_hydra_target(node: str, target: Any, allow_targets: Sequence[str]) -> None:
    """Check what one of Hydra's own groups builds."""
    if node in _PLUGINS:
        known = Plugins.instance().class_name_to_class
        rule = f"the {node.rpartition('.')[2]} of a plugin of Hydra that is installed"
        good = isinstance(target, str) and target in known
        check(None if good else Problem(f"{node}.{_TARGET}", rule, target))
    else:
        kind = _HYDRA_CALLBACK if node.rpartition(".")[0] == "hydra.callbacks" else None
        find_target(node, target, allow_targets, kind)


def _check_logging(root: DictConfig, path: Path, value: Any) -> None:
    """Check a value of ``hydra.job_logging`` or ``hydra.hydra_logging``."""
    key, name = path[-1], _dotted(path)
    if key == "filename":
        good = isinstance(value, str) and value.startswith(_LOG_FILES) and ".." not in value
        check(None if good else Problem(name, "a file in ${hydra.runtime.output_dir}", value))
        return
    if key in ("()", "class"):
        good = value in _LOGGING_CLASSES
        check(None if good else Problem(name, f"one of {', '.join(_LOGGING_CLASSES)}", value))
    check(Problem(name, "left out, as it sets attributes", value) if "." in path else None)
    value = _resolved(root, path, value)
    names_code = isinstance(value, str) and "://" in value and value not in _STREAMS
    check(Problem(name, f"one of {', '.join(_STREAMS)}", value) if names_code else None)


def _resolved(root: DictConfig, path: Path, value: Any) -> Any:
    """Return what a value is when its interpolations are resolved.

    Raises:
        SettingsError: If they cannot be resolved yet, or give a part of the configuration, which nobody has checked.
    """
    if not (isinstance(value, str) and "${" in value):
        return value
    node: Any = root
    try:
        for key in path:
            node = node[key]
    except OmegaConfBaseException as error:
        rule = f"a value that can be resolved ({str(error).splitlines()[0]})"
        raise SettingsError(Problem(_dotted(path), rule, value)) from None
    rule = "a value, not a part of the configuration"
    check(Problem(_dotted(path), rule, value) if OmegaConf.is_config(node) else None)
    return node


def _leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path and the value of everything that is no dict and no list, of empty ones, and of what is called."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list) and value and key not in (_TARGET, "()", "class"):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _added(kind: Kind, allow_targets: Sequence[str]) -> tuple[str, ...]:
    return tuple(allow_targets) if kind.addable else ()


def _inside(name: str, packages: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)
