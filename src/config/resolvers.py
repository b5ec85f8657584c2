"""The OmegaConf resolvers of the configuration: ``condition``, ``classes_in``, ``val_share`` and ``sha256``.

Importing this module registers them and the structured configs. A resolver computes a value, checks nothing and
imports no torch.
"""

from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

import src.config.schema  # noqa: F401 - registers the structured configs
from src.config.naming import condition_folder, condition_name, fingerprint
from src.utils.validation import SettingsError


def resolve(root: DictConfig) -> dict[str, Any]:
    """Return the settings of a job, resolved, as plain containers and without Hydra's own."""
    job = OmegaConf.masked_copy(root, [str(name) for name in root if name != "hydra"])
    config = cast(dict[str, Any], OmegaConf.to_container(job, resolve=True))
    if isinstance(study := config.get("study"), int | float) and not isinstance(study, bool):
        config["study"] = str(study)  # study=2026, which YAML reads as a number
    return config


def condition(root: DictConfig) -> str:
    """Return the name of the directory of a job's condition; the resolver ``${condition:}``."""
    config = resolve(root)
    choices = dict(root.hydra.runtime.choices)
    name = condition_name(config, choices, list(root.hydra.overrides.task))
    return condition_folder(Path(str(root.hydra.sweep.dir)), name, fingerprint(config, choices))


def classes_in(settings: DictConfig) -> int | None:
    """Return the number of classes in a table; the resolver ``${classes_in:${data}}``."""
    from src.data.dataframe import TableSettings, count_classes  # pandas takes half a second to import

    plain = cast(dict[str, Any], OmegaConf.to_container(settings, resolve=True))
    return count_classes(plain["path"], TableSettings.of(plain))


def val_share(data: DictConfig) -> float:
    """Return the share of the rows of a table that ``data.split_by`` names ``val``; the resolver ``${val_share:}``."""
    from src.data.reading import read_table  # pandas takes half a second to import

    plain = cast(dict[str, Any], OmegaConf.to_container(data, resolve=False))
    try:
        table = read_table(plain.get("path"), plain.get("target"), plain.get("read"))
    except SettingsError:
        return 0.0
    column = plain.get("split_by")
    return float((table[column] == "val").mean()) if column in table.columns else 0.0


def sha256(path: str) -> str | None:
    """Return the hash of a file; the resolver ``${sha256:PATH}``."""
    from src.data.dataframe import digest  # pandas takes half a second to import

    return digest(path)


OmegaConf.register_new_resolver("condition", lambda *, _root_: condition(_root_), replace=True)
OmegaConf.register_new_resolver("classes_in", classes_in, replace=True)
OmegaConf.register_new_resolver("val_share", lambda *, _parent_: val_share(_parent_), replace=True)
OmegaConf.register_new_resolver("sha256", sha256, replace=True)
