"""Checkpoint files, which may come from others: no code in them is run, and their sizes are checked first."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.storage.schema import check_contained


def load_checkpoint(path: Path, max_bytes: int | None = None) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU.

    Args:
        path: The file.
        max_bytes: Bytes that it may hold; never more than the file has, whatever a compressed entry claims.

    Raises:
        ValueError: If it is not a dictionary, holds more than that, or has a tensor of more elements than it stores.
        Exception: Any other, by torch's unpickler, for a file that is broken or has code in it.
    """
    check_contained(path, path.parent)
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    allowed = path.stat().st_size if max_bytes is None else min(path.stat().st_size, max_bytes)
    if claimed > allowed:
        raise ValueError(f"it claims {claimed} bytes, of which at most {allowed} can be right")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise ValueError(f"it holds {type(content).__name__}, not a dictionary")
    for tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} is not stored in full")
    return content


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)
