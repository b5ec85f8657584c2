import subprocess

import pytest
import torch

from scripts.benchmark import device
from scripts.benchmark.__main__ import main
from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.device import crossing, gpu_name

NO_GPU = "benchmark: --accelerator gpu needs a CUDA device, and torch sees none here\n"


def probe(monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    done = subprocess.CompletedProcess([], 0, says, "")
    monkeypatch.setattr(device.subprocess, "run", lambda *_, **__: done)


def test_without_a_gpu_one_line_is_said_and_nothing_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probe(monkeypatch, "\n")
    assert main(["--accelerator", "gpu"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", NO_GPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.integration
def test_the_probe_sees_no_gpu_where_there_is_none() -> None:
    with pytest.raises(BenchmarkError, match="torch sees none"):
        gpu_name()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: torch sees no CUDA device")
def test_a_gpu_is_measured() -> None:
    measured = device.measure(gpu_name(), quick=True, report=lambda _: None)
    assert measured["device"] == torch.cuda.get_device_name()
    assert all(us > 0 for kind in ("gpu", "cpu") for values in measured[kind].values() for us in values)


def test_both_are_measured_up_to_what_a_cpu_can(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[str, int]] = []

    def train(group: device.WorkerGroup, size: int, plan: device.TimingPlan) -> list[float]:
        on_gpu = group.assignments[0].overrides == ("trainer.accelerator=gpu",)
        assert sum(len(assignment.seeds) for assignment in group.assignments) == size
        trained.append(("gpu" if on_gpu else "cpu", size))
        return [100 / size, 200 / size] if on_gpu else [10.0]

    monkeypatch.setattr(device, "_train", train)
    measured = device.measure("A GPU", quick=False, report=lambda _: None)
    sizes = [10**power for power in range(6)]
    assert [size for kind, size in trained if kind == "gpu"] == sizes
    assert [size for kind, size in trained if kind == "cpu"] == sizes[:-1]
    assert measured["overtakes"] == pytest.approx(10)


@pytest.mark.parametrize(
    ("cpu", "gpu", "expected"),
    [
        ({1: 10.0, 10: 10.0}, {1: 5.0, 10: 1.0}, 1.0),  # from the start
        ({1: 10.0, 10: 10.0}, {1: 50.0, 10: 20.0}, None),  # never
        ({1: 10.0}, {1: 100.0, 10: 10.0, 100: 1.0}, 10.0),  # where the CPU was not measured, its last cost stands
        ({1: 8.0, 4: 8.0}, {1: 16.0, 4: 4.0}, 2.0),  # halfway between, in logarithms
    ],
)
def test_the_gpu_overtakes_where_the_lines_cross(
    cpu: dict[int, float], gpu: dict[int, float], expected: float | None
) -> None:
    assert crossing(cpu, gpu) == (expected if expected is None else pytest.approx(expected))
