"""The event file, read back through TensorBoard's own reader and through a running TensorBoard."""

import io
import json
import math
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as pictures
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from src.storage.tensorboard import EVENTS, write_events
from tests.commands import started, wait_until

STARTED, ENDED = 1_700_000_000.0, 1_700_000_040.0
METRICS = {"test/accuracy": 0.71875, "population/accuracy": 0.741, "population/regret": 0.009}
HPARAMS = {"loss": "ce", "classes": 4, "seed": 0, "optimizer.lr": 0.005, "nested": True}


def make_history(seed: int = 0, epochs: int = 30) -> pd.DataFrame:
    epoch = np.arange(epochs)
    values = np.random.default_rng(seed).random((epochs, 2))
    columns = {"epoch": epoch, "step": 26 * (epoch + 1), "train/loss": values[:, 0], "train/accuracy": values[:, 1]}
    return pd.DataFrame(columns)


def make_png(path: Path, seed: int = 0) -> Path:
    pictures.imsave(path, np.random.default_rng(seed).random((20, 30, 3)))
    return path


def write(folder: Path, **changes: Any) -> Path:
    arguments = {"history": make_history(), "metrics": METRICS, "hparams": HPARAMS} | changes
    folder.mkdir(parents=True, exist_ok=True)
    return write_events(folder, started=STARTED, ended=ENDED, **arguments)


def read(folder: Path) -> EventAccumulator:
    everything = {"scalars": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def hparams_of(run: EventAccumulator, tag: str) -> bytes:
    content: bytes = run.SummaryMetadata(tag).plugin_data.content
    return content


def test_curves_equal_the_history(tmp_path: Path) -> None:
    history = make_history().assign(**{"val/loss": 0.5})
    write(tmp_path, history=history, metrics={})
    run = read(tmp_path)
    assert set(run.Tags()["scalars"]) == {"train/loss", "train/accuracy", "val/loss"}
    for tag in run.Tags()["scalars"]:
        points = run.Scalars(tag)
        assert [point.step for point in points] == history["step"].tolist()
        assert [point.value for point in points] == history[tag].astype(np.float32).tolist()


def test_wall_time_follows_the_steps_from_start_to_end(tmp_path: Path) -> None:
    write(tmp_path)
    run = read(tmp_path)
    assert run.FirstEventTimestamp() == STARTED
    points = run.Scalars("train/loss")
    seconds = [point.wall_time - STARTED for point in points]
    assert seconds == pytest.approx([40 * point.step / points[-1].step for point in points], abs=1e-5)


def test_final_metrics_are_one_point_at_the_last_step(tmp_path: Path) -> None:
    write(tmp_path)
    run = read(tmp_path)
    for tag, value in METRICS.items():
        (point,) = run.Scalars(tag)
        assert (point.step, point.value, point.wall_time) == (26 * 30, np.float32(value), ENDED)


def test_a_metric_puts_no_stray_point_on_the_curve_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, metrics={"train/loss": 123.0})
    values = [point.value for point in read(tmp_path).Scalars("train/loss")]
    assert len(values) == 30
    assert 123.0 not in values


def test_image_is_the_png_file_unchanged(tmp_path: Path) -> None:
    png = make_png(tmp_path / "scatter.png")
    write(tmp_path, images={"figures/scatter": png})
    (image,) = read(tmp_path).Images("figures/scatter")
    assert image.encoded_image_string == png.read_bytes()
    assert (image.step, image.width, image.height) == (26 * 30, 30, 20)
    assert pictures.imread(io.BytesIO(image.encoded_image_string)).shape[:2] == (20, 30)


def test_frames_of_a_movie_are_at_the_steps_of_their_epochs(tmp_path: Path) -> None:
    pictures = {epoch: make_png(tmp_path / f"{epoch}.png", seed=epoch).read_bytes() for epoch in (0, 1, 12, 30)}
    write(tmp_path / "run", movie=pictures)
    frames = read(tmp_path / "run").Images("figures/movie")
    assert [frame.encoded_image_string for frame in frames] == [*pictures.values()]
    assert [frame.step for frame in frames] == [0, 26, 26 * 12, 26 * 30]
    assert [frame.wall_time - STARTED for frame in frames] == pytest.approx([0, 40 / 30, 16, 40], abs=1e-5)


@pytest.mark.parametrize(("failed", "status"), [(False, "STATUS_SUCCESS"), (True, "STATUS_FAILURE")])
def test_hparams_session(tmp_path: Path, failed: bool, status: str) -> None:
    hparams = HPARAMS | {"numpy": np.float64(0.25), "count": np.int64(3)}
    path = write(tmp_path, hparams=hparams, failed=failed)
    run = read(tmp_path)
    start = metadata.parse_session_start_info_plugin_data(hparams_of(run, metadata.SESSION_START_INFO_TAG))
    end = metadata.parse_session_end_info_plugin_data(hparams_of(run, metadata.SESSION_END_INFO_TAG))
    found = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert found == hparams
    assert found["nested"] is True
    assert (start.start_time_secs, end.end_time_secs) == (STARTED, ENDED)
    assert end.status == type(end).DESCRIPTOR.fields_by_name["status"].enum_type.values_by_name[status].number
    assert b"hp_metric" not in path.read_bytes()


def test_numbers_that_are_not_finite_are_written_as_they_are(tmp_path: Path) -> None:
    history = make_history(epochs=5)
    history["train/loss"] = [1.0, math.inf, -math.inf, 1e300, math.nan]
    write(tmp_path, history=history, metrics={"test/loss": 1e300})
    run = read(tmp_path)
    values = [point.value for point in run.Scalars("train/loss")]
    assert values[:4] == [1.0, math.inf, -math.inf, math.inf]
    assert math.isnan(values[4])
    assert run.Scalars("test/loss")[0].value == math.inf


@pytest.mark.parametrize("history", [pd.DataFrame(), make_history(epochs=0)], ids=["nothing", "columns only"])
def test_without_history_all_but_the_curves_is_written(tmp_path: Path, history: pd.DataFrame) -> None:
    metrics = METRICS | {"train/loss": 0.5}
    write(tmp_path, history=history, metrics=metrics, images={"scatter": make_png(tmp_path / "scatter.png")})
    run = read(tmp_path)
    assert set(run.Tags()["scalars"]) == set(metrics)
    assert run.Tags()["images"] == ["scatter"]
    assert run.Scalars("train/loss")[0].step == 0
    assert metadata.SESSION_START_INFO_TAG in run.Tags()["tensors"]


def test_a_single_row_at_step_zero(tmp_path: Path) -> None:
    write(tmp_path, history=pd.DataFrame({"epoch": [0], "step": [0], "train/loss": [1.5]}))
    (point,) = read(tmp_path).Scalars("train/loss")
    assert (point.step, point.value, point.wall_time) == (0, 1.5, STARTED)


def test_writing_again_replaces_the_file(tmp_path: Path) -> None:
    write(tmp_path)
    path = write(tmp_path, history=make_history(seed=1, epochs=7))
    assert [child.name for child in tmp_path.iterdir()] == [path.name] == [EVENTS]
    assert len(read(tmp_path).Scalars("train/loss")) == 7


def test_a_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write(tmp_path).read_bytes()

    def write_on_full_disk(event: object) -> bytes:
        raise OSError("No space left on device")

    monkeypatch.setattr("src.storage.tensorboard.record", write_on_full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, metrics={})
    assert [child.read_bytes() for child in tmp_path.iterdir()] == [before]


def test_what_tensorboard_cannot_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expected `history` to have the column step, got epoch, train/loss"):
        write(tmp_path, history=make_history()[["epoch", "train/loss"]])
    with pytest.raises(TypeError, match=r"Expected the hyperparameter hidden to be text, .*got \[50, 100\]"):
        write(tmp_path, hparams={"hidden": [50, 100]})
    path = tmp_path / "scatter.png"
    for content in (b"GIF89a" + bytes(40), b"\x89PNG\r\n\x1a\n", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"Expected the image scatter to be a PNG file, got .*scatter\.png"):
            write(tmp_path, images={"scatter": path})


def test_torch_is_not_imported() -> None:
    code = "import sys, src.storage.tensorboard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


RUNS = ("study/loss=ce,classes=4-3f9a/seed=0", "study/loss=ce,classes=4-3f9a/seed=1", "study/loss=mse/seed=2")
EXCESS = {"population/excess_ce": 0.125}
MOMENTUM = {"optimizer.momentum": 0.9}


def ask(base: str, name: str, body: dict[str, Any]) -> Any:
    """Ask the HParams plugin of a running TensorBoard over HTTP, as its page does."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}data/plugin/hparams/{name}", json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.loads(response.read())


def session_groups(base: str) -> dict[str, Any]:
    body = {"allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE"], "startIndex": 0, "sliceSize": 100}
    return {group["name"]: group for group in ask(base, "session_groups", body).get("sessionGroups", [])}


@pytest.mark.parametrize("load_fast", ["false", "auto"])  # TensorBoard's Python reader and its fast one
def test_server_has_hparams_columns_and_rows_of_all_runs(load_fast: str, tmp_path: Path) -> None:
    """Also of a failed run with other metrics and hyperparameters."""
    for seed, name in enumerate(RUNS[:2]):
        metrics, hparams = METRICS | EXCESS | {"test/accuracy": 0.5 + seed / 4}, HPARAMS | {"seed": seed}
        write(tmp_path / "logs" / name, history=make_history(seed), metrics=metrics, hparams=hparams)
    other = HPARAMS | MOMENTUM | {"loss": "mse", "seed": 2}
    write(tmp_path / "logs" / RUNS[2], history=make_history(2), metrics={}, hparams=other, failed=True)
    words = ["--logdir", str(tmp_path / "logs"), "--host", "127.0.0.1", "--port", "0", f"--load_fast={load_fast}"]
    command = [sys.executable, "-m", "tensorboard.main", *words, "--reload_interval=1"]
    log = tmp_path / "tensorboard.log"

    def address() -> str | None:
        found = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text(encoding="utf-8"))
        return found and found.group()

    def all_groups() -> dict[str, Any] | None:
        groups = session_groups(base)
        ended = [group["sessions"][0].get("status", "") for group in groups.values()]
        return groups if sum(map(bool, ended)) == 3 else None

    with log.open("w") as output, started(command, tmp_path, stdout=output, stderr=subprocess.STDOUT):
        base = wait_until(address)
        groups = wait_until(all_groups)
        experiment = ask(base, "experiment", {})
    assert {info["name"] for info in experiment["hparamInfos"]} == {*HPARAMS, *MOMENTUM}
    tags = {info["name"]["tag"] for info in experiment["metricInfos"]}
    assert tags == {"train/loss", "train/accuracy", *METRICS, *EXCESS}
    assert [info["name"] for info in experiment["hparamInfos"] if info["differs"]] == ["loss", "seed"]
    assert set(groups) == set(RUNS)
    for seed, run in enumerate(RUNS[:2]):
        assert groups[run]["hparams"] == HPARAMS | {"seed": seed}
        values = {metric["name"]["tag"]: metric["value"] for metric in groups[run]["metricValues"]}
        expected = METRICS | EXCESS | {"test/accuracy": 0.5 + seed / 4}
        assert {tag: values[tag] for tag in expected} == pytest.approx(expected, rel=1e-6)
    assert [groups[run]["sessions"][0]["status"][7:] for run in RUNS] == ["SUCCESS", "SUCCESS", "FAILURE"]
    assert groups[RUNS[2]]["hparams"] == other
