"""Columns of the tables that runs were trained on, as the runs recorded them."""

import json
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from src.storage.schema import TABLE, ArtifactError, file_text

_MAX_BYTES = 100_000_000  # of the rows of the splits, mostly
_SHOWN = ("name", "role", "use", "values", "missing")


def read_columns(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per column of each table, from the first run of the first condition with it.

    Args:
        runs: The completed runs; those without ``table.json`` are left out, as broken ones are.

    Returns:
        The columns file, name, role, use, values and missing, all texts.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for folder in map(Path, runs.drop_duplicates("fingerprint")["folder"]):
        try:
            content = _read(folder / TABLE)
            if content is None or (sha256 := str(content["sha256"])) in rows:
                continue
            file = PurePath(str(content["path"])).name
            used = {True: "feature", False: "not used"}
            columns = [{**each, "use": used[bool(each["used"])]} for each in content["columns"]]
            rows[sha256] = [{"file": file} | {name: str(each[name]) for name in _SHOWN} for each in columns]
        except (ArtifactError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return pd.DataFrame([row for each in rows.values() for row in each], columns=["file", *_SHOWN])


def _read(path: Path) -> dict[str, Any] | None:
    text = file_text(path, _MAX_BYTES)
    content: dict[str, Any] | None = None if text is None else json.loads(text)
    return content
