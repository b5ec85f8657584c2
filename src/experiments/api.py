"""Training from Python."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from src.config.allowlist import check_composition
from src.config.cli import explain, override_problem, readable
from src.config.paths import CONFIG_DIR
from src.config.resolvers import resolve
from src.config.validation import validate_job
from src.experiments.condition import Condition
from src.experiments.loading import load_study
from src.experiments.runner import FailedSeedsError, run_condition
from src.utils.validation import check

_LITERALS = ("true", "false", "null", "nan", "inf")  # unquoted, Hydra's grammar reads these as no text


def run(*overrides: str, output_dir: Path | str = "outputs", **settings: Any) -> pd.DataFrame:
    """Train all seeds of one condition that are not finished yet, as ``python -m src.train`` does.

    Args:
        overrides: Overrides as on the command line, such as ``"data.flip=0.1"`` or ``"+optimizer.betas=[0.8,0.9]"``.
        output_dir: The directory of the studies.
        settings: Settings and group choices by name. A dictionary holds settings of a group, a sequence of seeds
            trains as one stack: ``loss="ce", classes=4, seed=range(20), trainer={"max_epochs": 50}``.

    Returns:
        The runs of the condition, one row per seed, with the columns of ``load_study``.

    Raises:
        SettingsError: If a setting is wrong; nothing is written then.
        FailedSeedsError: If a seed failed; the others are finished.
        OSError: If a file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     small = {"data": {"samples_per_class": 10}, "trainer": {"max_epochs": 1}}
        ...     runs = run(loss="ce", seed=range(2), output_dir=folder, **small)
        >>> runs["seed"].tolist(), runs["status"].unique().tolist()
        ([0, 1], ['completed'])
    """
    words = [
        *(readable(word, sweeps=False) for word in overrides),
        *(word for name, value in settings.items() for word in _override(name, value)),
    ]
    check(override_problem(words))
    try:
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            root = f"hydra.sweep.dir={_literal(f'{output_dir}/${{study}}')}"
            composed = compose("train", overrides=[*words, root], return_hydra_config=True)
    except HydraException as error:
        raise ValueError(explain(error, words)) from None
    check_composition(composed, words)
    validate_job(composed)
    folder = Path(composed.hydra.sweep.dir, composed.hydra.sweep.subdir)
    folder.mkdir(parents=True, exist_ok=True)
    results = run_condition(Condition(folder, resolve(composed), dict(composed.hydra.runtime.choices), words))
    FailedSeedsError.check(results)
    runs = load_study(folder.parent)
    names = {result.name for result in results}
    mine = [path.parent == folder and path.name in names for path in map(Path, runs["folder"])]
    return runs[mine].reset_index(drop=True)


def _override(name: str, value: Any) -> Iterator[str]:
    """Yield the overrides that set a value, one per setting of a dictionary."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _override(f"{name}.{key}", inner)
    else:
        yield f"{name}={_literal(value)}"


def _literal(value: Any) -> str:
    """Return a value as Hydra's override grammar writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Sequence | range) and not isinstance(value, str):
        return "[" + ",".join(map(_literal, value)) + "]"
    text = str(value)
    if isinstance(value, str) and (not text.isidentifier() or text.lower() in _LITERALS):
        return QuotedString(text, Quote.single).with_quotes()
    return text
