"""Which code a ``_target_`` may name: that of this project and its libraries, and what ``allow_targets`` adds.

A configuration decides what is called. So that neither a copied command line nor a stored ``results.json`` can call
``os.system``, a target is looked at twice: what is typed may only name this project, its libraries, and packages that
the same command line adds; and whatever is to be built has to be defined there, which
``src.experiments.write_run.subprocess.run`` is not. Python's own packages cannot be added.
"""

import contextlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString, Sweep
from hydra.errors import HydraException
from hydra.utils import get_object

from src.utils.validation import Problem

PACKAGES = ("src", "torch", "lightning")
FUNCTIONS = ("src",)  # torch.load and torch.hub.load would run what they read
_TARGET = "_target_"
_ALLOW = "allow_targets"
_CALLS = (_TARGET, "()", "class")  # what Hydra and logging call


def allowed_problem(allow_targets: Any) -> Problem | None:
    """Find a problem unless the setting is a list of names of packages or modules, none of them Python's own."""
    listed = allow_targets if isinstance(allow_targets, list) else [None]
    names = [name.split(".") if isinstance(name, str) else [""] for name in listed]
    good = all(all(map(str.isidentifier, name)) and name[0] not in sys.stdlib_module_names for name in names)
    rule = "a list of packages such as [mypackage], none of them Python's own"
    return None if good else Problem("allow_targets", rule, allow_targets)


def target_problem(place: str, target: Any, kind: type, allow_targets: Sequence[str]) -> Problem | None:
    """Find a problem unless a target may be called for a part of the settings.

    Args:
        place: The config group, or what is below it: ``model.network``.
        target: The dotted name.
        kind: A class that it has to be derived from; ``object`` for none.
        allow_targets: Packages beside this project, torch and lightning.

    Returns:
        The problem: the name is outside of the packages, it does not exist, what it names is defined elsewhere, or it
        is neither a class of the kind nor, where any class will do, a function of this project or an added package.
    """
    packages = (*PACKAGES, *allow_targets)
    name = f"{place}.{_TARGET}"
    if not isinstance(target, str) or not _inside(target, packages):
        return Problem(name, f"in {', '.join(packages)} or a package of {_ALLOW}=[...]", target)
    try:
        found = get_object(target)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[-1]
        return Problem(name, f"the name of a class that can be imported ({reason})", target)
    if not _inside(getattr(found, "__module__", None) or "", packages):
        return Problem(name, f"defined in {', '.join(packages)}", target)
    if inspect.isclass(found) and issubclass(found, kind):
        return None
    if kind is object and inspect.isfunction(found) and _inside(found.__module__, (*FUNCTIONS, *allow_targets)):
        return None
    wanted = "a class" if kind is object else f"a class derived from {kind.__name__}"
    return Problem(name, wanted, target)


def targets(place: str, settings: Any) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of every ``_target_`` in some settings, at any depth."""
    if isinstance(settings, dict) and _TARGET in settings:
        yield place, settings[_TARGET]
    if isinstance(settings, dict | list):
        for name, value in settings.items() if isinstance(settings, dict) else enumerate(settings):
            yield from targets(f"{place}.{name}", value)


def unsafe_override(words: Sequence[str]) -> Problem | None:
    """Find a problem if a command line would have other code called than it may.

    Args:
        words: All of its overrides, as those of ``allow_targets`` hold for the others.

    Example:
        >>> print(unsafe_override(["loss._target_=os.system"]))
        Expected `loss._target_` to be in src, torch, lightning or a package of allow_targets=[...], got "os.system".
        >>> unsafe_override(["loss._target_=mine.Loss", "allow_targets=[mine]"]) is unsafe_override(["loss=ce"]) is None
        True
    """
    values = [(key, leaf) for word in words for key, value in _parsed(word) for leaf in _leaves(key, value)]
    added = [str(value) for _, (name, value) in values if name == _ALLOW]
    packages = [*PACKAGES, *([] if allowed_problem(added) else added)]
    for key, (name, value) in values:
        parts = re.split(r"[.@]", name)
        if parts[0] == "hydra" and ("callbacks" in parts or any(part in _CALLS for part in parts)):
            return Problem(key, "left to the files of the configuration, as it names code to be called", value)
        if _TARGET in parts and not (isinstance(value, str) and _inside(value, packages)) and value is not None:
            return Problem(name, f"in {', '.join(packages)} or a package of {_ALLOW}=[...]", value)
    return None


def _parsed(word: str) -> Iterator[tuple[str, Any]]:
    """Yield the key and the value of an override, if it is one."""
    with contextlib.suppress(HydraException):  # what is wrong with it, Hydra, who reads it next, explains
        override = OverridesParser.create().parse_override(word)
        yield override.key_or_group, override.value()


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every value that an override gives, with its dotted name, at any depth and of any sweep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
        if not value:
            yield name, value
    elif isinstance(value, list | ChoiceSweep):
        for inner in value if isinstance(value, list) else value.list:
            yield from _leaves(name, inner)
        if not value:
            yield name, value
    elif isinstance(value, QuotedString):
        yield name, value.text
    else:
        yield name, str(value) if isinstance(value, Sweep) else value


def _inside(name: str, packages: Sequence[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)
