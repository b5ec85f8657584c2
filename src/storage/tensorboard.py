"""The TensorBoard event file of one seed, written in bulk after training.

Every seed is one TensorBoard run: its curves, final metrics, hyperparameters and figures are in one event file in its
directory. The file is written with tensorboard's protos, one event per epoch, and the events of all epochs at once, as
a writer that is called for every value takes many times as long.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from src.storage.atomic import replacing_file
from src.storage.event_records import record, scalar_records

EVENTS = "events.out.tfevents.losslab"
"""TensorBoard reads every file with ``tfevents`` in its name; with a fixed name, a second write replaces the first."""

_FILE_VERSION = "brain.Event:2"
_AXES = ("epoch", "step")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

HParam = str | int | float | bool


def write_events(
    folder: Path,
    *,
    history: pd.DataFrame,
    metrics: Mapping[str, float],
    hparams: Mapping[str, HParam],
    started: float,
    ended: float,
    images: Mapping[str, Path] = {},
    movie: Mapping[int, bytes] = {},
    failed: bool = False,
) -> Path:
    """Write the event file of one seed into its folder, atomically.

    A column of ``history`` becomes a curve over ``step`` under its own name, NaN and infinity included. A metric
    becomes one point at the last step, unless a curve has its name. The wall time of an event runs from ``started`` to
    ``ended`` in proportion to its step, so that TensorBoard's relative time axis shows the duration of training.

    The file declares no HParams experiment: TensorBoard takes that of an arbitrary run for all runs, which would hide
    what that run lacks. Without one it derives columns and domains from all runs.

    Args:
        folder: The directory of the seed, which exists.
        history: One row per epoch: ``step`` (optimizer steps so far), ``epoch`` and any columns of numbers; may be
            empty.
        metrics: Final metrics by name.
        hparams: Hyperparameters by name.
        started: When training started, in seconds since 1970.
        ended: When training ended, in seconds since 1970.
        images: PNG files by tag.
        movie: Frames as PNG, by the number of finished epochs; each is at the step that its epoch ended with.
        failed: Whether the seed failed, which HParams shows as its status.

    Returns:
        The path of the event file.

    Raises:
        ValueError: If ``history`` has rows but no ``step``, or an image is not a PNG file.
        TypeError: If a hyperparameter is neither text, a number nor a boolean.
    """
    steps = _steps(history)
    last = steps[-1] if steps else 0
    curves = [column for column in history.columns if column not in _AXES] if steps else []
    finals = {name: value for name, value in metrics.items() if name not in curves}
    before = [
        Event(wall_time=started, file_version=_FILE_VERSION),
        Event(wall_time=started, step=0, summary=_session_start(hparams, started)),
    ]
    after = [
        Event(wall_time=ended, step=last, summary=_scalars(finals)),
        *_frames(movie, [0, *steps], started, ended),
        *(Event(wall_time=ended, step=last, summary=_image(tag, _png(tag, path))) for tag, path in images.items()),
        Event(wall_time=ended, step=last, summary=_session_end(ended, failed)),
    ]
    path = folder / EVENTS
    with replacing_file(path, durable=False) as scratch, scratch.open("wb") as file:
        file.writelines(map(record, before))
        file.write(_epochs({name: history[name].to_numpy(np.float64) for name in curves}, steps, started, ended))
        file.writelines(map(record, after))
    return path


def _steps(history: pd.DataFrame) -> list[int]:
    """Return the optimizer steps of the rows."""
    if history.empty:
        return []
    if "step" not in history.columns:
        raise ValueError(f"Expected `history` to have the column step, got {', '.join(map(str, history.columns))}.")
    steps: list[int] = history["step"].astype("int64").tolist()
    return steps


def _epochs(curves: Mapping[str, NDArray[np.float64]], steps: list[int], started: float, ended: float) -> bytes:
    """Return the records of one event per row, with the values of all columns."""
    # Scalars are stored in single precision; a value that overflows becomes infinite, as in training.
    with np.errstate(over="ignore"):
        scalars = {name: column.astype(np.float32) for name, column in curves.items()}
    return scalar_records(_times(steps, started, ended), steps, scalars)


def _frames(movie: Mapping[int, bytes], steps: list[int], started: float, ended: float) -> Iterator[Event]:
    """Yield one event per frame; the steps are those before and after each epoch."""
    times = _times(steps, started, ended)
    for epoch, content in movie.items():
        yield Event(wall_time=times[epoch], step=steps[epoch], summary=_image("figures/movie", content))


def _times(steps: list[int], started: float, ended: float) -> list[float]:
    """Return when each step was, as if all had taken the same time."""
    times: list[float] = (started + (ended - started) * np.array(steps, dtype=np.float64) / max([*steps, 1])).tolist()
    return times


def _scalars(values: Mapping[str, float]) -> Summary:
    """Return scalars by tag, in the simple_value form that every reader of event files supports."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def _png(tag: str, path: Path) -> bytes:
    """Return the bytes of a PNG file."""
    content = path.read_bytes()
    if not content.startswith(_PNG_SIGNATURE) or len(content) < 24:
        raise ValueError(f"Expected the image {tag} to be a PNG file, got {path}.")
    return content


def _image(tag: str, content: bytes) -> Summary:
    """Return a PNG as an image, its bytes unchanged."""
    width, height = struct.unpack(">II", content[16:24])  # the first fields of the first chunk, IHDR
    image = Summary.Image(width=width, height=height, encoded_image_string=content)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def _session_start(hparams: Mapping[str, HParam], started: float) -> Summary:
    """Return the summary that adds the run to the HParams table, named after its directory."""
    info = SessionStartInfo(start_time_secs=started)
    for name, value in hparams.items():
        if isinstance(value, str):
            info.hparams[name].string_value = value
        elif isinstance(value, (bool, np.bool_)):
            info.hparams[name].bool_value = bool(value)
        elif isinstance(value, (int, float, np.number)):
            info.hparams[name].number_value = float(value)
        else:
            raise TypeError(f"Expected the hyperparameter {name} to be text, a number or a boolean, got {value!r}.")
    return _hparams_summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def _session_end(ended: float, failed: bool) -> Summary:
    """Return the summary with the final status of the session."""
    status = Status.STATUS_FAILURE if failed else Status.STATUS_SUCCESS
    info = SessionEndInfo(status=status, end_time_secs=ended)
    return _hparams_summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _hparams_summary(tag: str, data: HParamsPluginData) -> Summary:
    """Return a summary that carries data of the HParams plugin in its metadata, where the plugin reads it."""
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
