"""The entry point of commands that run under Hydra: every error of a user is one line and an exit code.

Hydra prints up to twenty lines for some errors and a traceback for others. Here each becomes a line that names the
setting, the value and what is allowed, with the nearest key or choice where a name is misspelt.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, NoReturn

import hydra._internal.utils as hydra_utils
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import (
    CompactHydraException,
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from src.config.allowlist import check_composition
from src.config.paths import CONFIG_DIR
from src.config.schema import TrainerConfig
from src.utils.validation import Problem, SettingsError

FIXED = ("hydra.run.dir", "hydra.sweep.subdir")
OTHERWISE = {  # settings of other templates and of earlier versions, and what is written here
    "returns": "written as optimized_metric=, its new name",
    "task_name": "written as study=, the name of the folder of the runs",
    "ckpt_path": "left out: a killed command continues (trainer.checkpoint_every), and src.evaluate takes run=FOLDER",
    "extras": "left out: --cfg job shows the configuration, and tags=[...] is a setting of its own",
    "hparams_search": "written as experiment=tuned, which tunes the settings of hydra.sweeper.space",
    "datamodule": "written as data=, its name here",
    "train": "left out, as a run trains what is unfinished and src.evaluate trains nothing",
    "test": "left out, as every run ends with the test samples",
}
NAMES = ("hydra.output_subdir", "hydra.job.name")
GRAMMAR = "written as NAME=VALUE, a value with any of , = : ' \" ( ) [ ] { } $ or spaces in quotes of its own"
ONE_VALUE = "one value; a list is [1,2], and several values are swept over with --multirun"
MAX_REASON = 300  # characters of Hydra's own message
MAX_JOB, MAX_JOBS = 100, 3  # characters of a job in a message, and jobs
_TEXT = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?:[^,=:'"()\[\]{}$\\]|:(?=//))+"""  # quoted or not, or a URL
_SWEEP = r"(?:Ambiguous value for argument|Sweep parameters|Sweeping over [^:]*:) '([^=]*)=(.*)'"
_APPEND = r"Could not append to config\. An item is already at '(.*)'"
_CHOSEN = r"Multiple values for ([\w/@]+)\."
_UNKNOWN = r"(?:Could not override|Could not delete from config\.) '([^']+)'"


class RefusedJobsError(CompactHydraException):
    """Jobs of a sweep that cannot be composed, or whose settings are wrong.

    Args:
        refused: Each error, with the overrides of the jobs that have it.
        jobs: The overrides of every job of the sweep.
    """

    def __init__(self, refused: Iterable[tuple[Exception, list[Sequence[str]]]], jobs: Sequence[Sequence[str]]) -> None:
        self.refused = list(refused)
        super().__init__("\n".join(str(error) for error, _ in self.refused))
        self.jobs = jobs

    def explain(self) -> str:
        """Return a line for each error, which says in which jobs it is unless it is in all."""
        common = set.intersection(*map(set, self.jobs))
        lines = []
        for error, jobs in self.refused:
            text = str(error) if isinstance(error, SettingsError) else explain(error, jobs[0])
            if len(jobs) < len(self.jobs):
                names = [" ".join(word for word in job if word not in common)[:MAX_JOB] for job in jobs[:MAX_JOBS]]
                text += (
                    f" In {len(jobs)} of {len(self.jobs)} jobs: {', '.join(names)}{', ...' * (len(jobs) > MAX_JOBS)}."
                )
            lines.append(text)
        return "\n".join(lines)


def run(application: Callable[[], None]) -> None:
    """Run a Hydra application.

    Raises:
        SystemExit: With one line and exit code 1 for an error of the user.
        KeyboardInterrupt: After Ctrl-C, with what to do.
        Exception: Any other error; with ``HYDRA_FULL_ERROR=1`` every error, as it is.
    """
    words = sys.argv[1:] = _in_order(sys.argv[1:])
    _check(words)
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        with checked_composition(words):
            return application()
    try:
        with _raising(), checked_composition(words):
            application()
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Finished seeds are kept; the same command trains the rest.") from None
    except RefusedJobsError as error:
        raise SystemExit(error.explain()) from None
    except (HydraException, OmegaConfBaseException) as error:
        raise SystemExit(explain(error, words)) from None
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    except BrokenPipeError:  # see src.utils.console
        raise
    except OSError as error:
        raise SystemExit(f"Cannot read or write {error.filename} ({error.strerror}).") from None


@contextmanager
def _raising() -> Iterator[None]:
    """Raise the errors that Hydra would print before it exits."""
    before = hydra_utils.run_and_report
    hydra_utils.run_and_report = lambda func: func()
    try:
        yield
    finally:
        hydra_utils.run_and_report = before


@contextmanager
def checked_composition(words: Sequence[str]) -> Iterator[None]:
    """Check the code that every configuration names which Hydra composes in the body, jobs of a sweep included.

    Hydra 1.3 configures logging as soon as it has composed, and calls nothing in between that could check. To learn
    ``hydra.mode`` it composes the whole command line once more, half of its time; that configuration is handed on.

    Args:
        words: The overrides of the command line.
    """
    load = ConfigLoaderImpl.load_configuration
    composed: dict[tuple[str | None, ...], DictConfig] = {}

    def load_and_check(
        loader: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        if overrides[-1:] == [f"hydra.mode={run_mode.name}"]:  # which Hydra appends once it has read the mode
            config = composed.pop((config_name, *overrides[:-1]), None)
            if config is not None and not OmegaConf.missing_keys(config.hydra.runtime.choices):
                parsed = OverridesParser.create().parse_overrides(overrides)
                loader.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
                config.hydra.mode = run_mode
                config.hydra.overrides.hydra.append(overrides[-1])
                return config
        config = load(loader, config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        check_composition(config, words)
        if not validate_sweep_overrides:
            composed[config_name, *overrides] = config
        return config

    ConfigLoaderImpl.load_configuration = load_and_check  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign]


def _in_order(words: Sequence[str]) -> list[str]:
    """Return a command line as Hydra reads it: flags before overrides, which are quoted where they have to be."""
    parser = hydra_utils.get_args_parser()

    def give_up(message: str) -> NoReturn:
        raise ValueError(message)

    parser.error = give_up  # type: ignore[method-assign]
    try:
        given, _ = parser.parse_known_intermixed_args(list(words))
    except ValueError:
        return list(words)  # which `_check` reports
    flags = [word for word in words if word not in given.overrides]
    return [*flags, *(readable(word, sweeps=given.multirun) for word in given.overrides)]


def readable(word: str, sweeps: bool = True) -> str:
    """Return an override with what is not ASCII in quotes, and in a sweep a group's ``*`` as a glob.

    Example:
        >>> readable("data.labels=[niedrig, hoch, höchst]"), readable("experiment=*")
        ("data.labels=[niedrig, hoch,'höchst']", 'experiment=glob(*)')
    """
    key, equals, value = word.partition("=")
    if not key.startswith("hydra."):  # what a locale without these letters has left of them
        value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if sweeps and re.fullmatch(r"[\w-]*\*[\w*-]*", value) and (CONFIG_DIR / key).is_dir():
        return f"{key}=glob({value})"
    if not re.fullmatch(rf"(?>{_TEXT}|[,=:()\[\]{{}}$\\])*+", value):  # a quote without its partner: Hydra refuses it
        return key + equals + value
    return key + equals + re.sub(_TEXT, lambda found: found[0] if found[0].isascii() else _in_quotes(found[0]), value)


def _in_quotes(text: str) -> str:
    return text if text[0] in "'\"" else QuotedString(text.strip(), Quote.single).with_quotes()


def _check(words: Sequence[str]) -> None:
    """Exit, with code 2 for a wrong flag and 1 for an override that Hydra must not even read."""
    parser = hydra_utils.get_args_parser()

    def refuse(message: str) -> NoReturn:
        parser.exit(2, f"{Problem('flags', f'those of --hydra-help, then NAME=VALUE ({message})', ' '.join(words))}\n")

    parser.error = refuse  # type: ignore[method-assign]  # whose usage takes nine lines
    given = parser.parse_args(words)
    modes = [given.run, given.multirun, given.shell_completion, given.cfg is not None, given.info is not None]
    if sum(map(bool, modes)) > 1:
        refuse("only one of --run, --multirun, --cfg, --info and --shell-completion")
    if given.resolve and given.cfg is None and not given.help:
        refuse("--resolve goes with --cfg or --help")
    if given.experimental_rerun is not None:
        refuse("--experimental-rerun would load a pickle, which can run any code")
    if problem := override_problem(given.overrides):
        raise SystemExit(str(problem))


def override_problem(words: Sequence[str]) -> Problem | None:
    """Return a problem with overrides that Hydra must not read."""
    return next(filter(None, map(_word_problem, words)), None)


def _word_problem(word: str) -> Problem | None:
    """Return a problem that Hydra does not report, or one that would write files outside of the study."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException:
        return None  # Hydra reads it next and reports what is wrong
    key, value = override.key_or_group, override.value()
    if not key:
        return Problem(word, GRAMMAR, word)
    if (name := key.partition(".")[0]) in OTHERWISE:
        return Problem(key, OTHERWISE[name], override.get_value_string())
    if (CONFIG_DIR / key).is_dir() and not override.is_delete() and isinstance(value, int | float | dict | None):
        return Problem(
            key, f"one of {', '.join(sorted(file.stem for file in (CONFIG_DIR / key).glob('*.yaml')))}", value
        )
    if key in FIXED:
        return Problem(key, "left as it is, as a folder carries its fingerprint; set study or hydra.sweep.dir", value)
    if key == "hydra.searchpath" and "pkg://" in override.get_value_string():
        return Problem(key, "folders as file://FOLDER, as pkg:// imports a package", override.get_value_string())
    if key in NAMES and value is not None and not re.fullmatch(r"(?!.*\.\.)\.?\w[\w.=,+/-]*", _text(value)):
        return Problem(key, "the name of a file or folder, without a path", value)
    return None


def _text(value: Any) -> str:
    return value.text if isinstance(value, QuotedString) else str(value)


def explain(error: Exception, words: Sequence[str]) -> str:
    """Return the one line for an error that Hydra or OmegaConf raised for a command line."""
    text = str(error)
    if isinstance(error, SearchPathException):
        return str(Problem("--config-dir", f"a folder ({text})", " ".join(words)))
    if re.match("Cannot find primary config|Primary config", text):
        return str(
            Problem("--config-name or --config-path", f"that of a file ({text.splitlines()[0]})", " ".join(words))
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = error.options or sorted(file.stem for file in CONFIG_DIR.joinpath(group).glob("*.yaml"))
        return _with_nearest(Problem(group, f"one of {', '.join(options)}", name), name, options)
    if isinstance(error, OverrideParseException):
        return _with_quotes(error.override)
    if found := re.match(_SWEEP, text):
        return str(Problem(found[1], ONE_VALUE, found[2]))
    if found := re.match(_APPEND, text) or re.match(_CHOSEN, text):
        return str(Problem(found[1], "set by NAME=VALUE without a +, as it exists", _value(found[1], words)))
    if found := re.match(_UNKNOWN, text):
        # of a value {a: 1}, what is unknown in it
        unknown = getattr(error.__cause__, "full_key", None) or found[1]
        return _unknown(unknown, _value(found[1], words), found[1])
    if isinstance(invalid := error.__cause__, ValidationError) and invalid.full_key:
        rule = "true or false" if "bool" in str(invalid) else f"of another type ({str(invalid).splitlines()[0]})"
        rule = "given, not null" if "is not Optional" in str(invalid) else rule
        return str(Problem(invalid.full_key, rule, _value(invalid.full_key, words)))
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException):
        key = str(getattr(error, "full_key", None) or _mentioned(text, words))
        cause = f"; {error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
        reason = " ".join(f"{text}{cause}".partition("\n    full_key")[0].split())[:MAX_REASON]
        return str(Problem(key, f"a setting that Hydra can use ({reason})", _value(key, words)))
    return text


def _unknown(key: str, value: str, typed: str) -> str:
    """Return the line of a setting that there is not, at least not beside the chosen groups."""
    known = _known_keys(key.startswith("hydra"))
    if key in known:
        return str(Problem(key, "left out, as the groups that are chosen have no such setting", value))
    if key in {f"trainer.{item.name}" for item in fields(TrainerConfig)}:
        return str(Problem(key, f"written as +{key}=, as conf/trainer/ does not list it", value))
    if others := _choices_with(key):
        return str(Problem(key, f"left out, or given with {' or '.join(others)}, whose setting it is", value))
    rule = "a setting or group that --help lists"
    if key.startswith(("optimizer.", "scheduler.")):
        rule += f", or an argument of the class, written as +{key}="
    problem = Problem(key, rule, value)
    elsewhere = [name for name in known if name.rpartition(".")[2] == typed.rpartition(".")[2]]
    if "." in typed and len(elsewhere) == 1:  # such as model.lr
        return f"{problem} Did you mean {elsewhere[0]}?"
    return _with_nearest(problem, key.partition("@")[0], known)


def _choices_with(key: str) -> list[str]:
    """Return the choices of its group that have a setting, such as data=csv of data.path."""
    group, _, name = key.partition(".")
    files = {path.stem: OmegaConf.load(path) for path in sorted((CONFIG_DIR / group).glob("*.yaml"))}
    places = {choice: (config, OmegaConf.select(config, group)) for choice, config in files.items()}
    return [
        f"{group}={choice}"
        for choice, found in places.items()
        if name and any(name in each for each in found if isinstance(each, DictConfig))
    ]


def _with_quotes(word: str) -> str:
    """Return the line of an override that Hydra cannot read, and, to be pasted, one that it can."""
    key, equals, value = word.partition("=")
    problem = Problem(key or word, GRAMMAR, word)
    quoted = f"{key}={QuotedString(value, Quote.double).with_quotes()}"
    return f"{problem} Did you mean {shlex.quote(quoted)}?" if key and equals else str(problem)


def _with_nearest(problem: Problem, wrong: str, known: Sequence[str]) -> str:
    """Return the line of a problem with an unknown name, and the nearest known one where one is near."""
    near = get_close_matches(wrong, known, n=1, cutoff=0.7)
    return f"{problem} Did you mean {near[0]}?" if near else str(problem)


def _value(key: str, words: Sequence[str]) -> str:
    """Return the value that a command line gives to a key, or the whole line."""
    values = [word.partition("=")[2] for word in words if word.lstrip("+~").partition("=")[0] == key]
    return re.sub(r"^'([^']*)'$", r"\1", values[0]) if values else " ".join(words)  # as typed, see readable


def _mentioned(text: str, words: Sequence[str]) -> str:
    """Return the name of the override that an error mentions, or all."""
    keys = [word.lstrip("+~").partition("=")[0] for word in words if not word.startswith("-")]
    return next((key for key in keys if key and key in text), " ".join(keys) or "the command line")


def _known_keys(hydra: bool) -> list[str]:
    """Return the dotted names of all groups and settings."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        root = compose("train", return_hydra_config=hydra)
    return [*_dotted(OmegaConf.to_container(root, resolve=False))]


def _dotted(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{prefix}{name}"
            yield from _dotted(inner, f"{prefix}{name}.")
