import io
from typing import Any

from rich.console import Console

from scripts.benchmark import whole
from scripts.benchmark.tables import tables
from tests.scripts.benchmark.made_up import content


def shown(measured: dict[str, Any]) -> list[str]:
    console = Console(width=160, record=True, markup=False, highlight=False, file=io.StringIO())
    for table in tables(measured):
        console.print(table)
    return [" ".join(line.split()) for line in console.export_text().splitlines() if line.strip()]


def test_the_engine_is_shown_in_us_and_in_times_losslabs() -> None:
    lines = shown({"engine": content()["engine"]})
    assert "us per step and network, minimum (median); segments of 520 steps from step 2601 on:" in lines
    assert "S = 1 S = 20 S = 80" in lines
    assert "the lecture's loop, one process 600.0 (600.0) 600.0 (630.0) 600.0 (630.0)" in lines
    assert "losslab, one process per core - 11.0 (11.5) 11.0 (11.5)" in lines
    assert "the lecture's loop, one process - 54.55 54.55" in lines  # the median of 600/11, 660/12.5 and 630/11.5
    assert "losslab, one process per core - 1.00 1.00" in lines
    assert 'scikit-learn MLPClassifier: not measured, as sklearn is not installed (pip install -e ".[bench]")' in lines


def test_wide_networks_are_shown_with_the_roofline_in_the_last_row() -> None:
    lines = shown({"wide": content()["wide"]})
    assert "20 x 64" in lines
    assert "losslab, one process per core 1100.0 (1150.0)" in lines
    assert (
        lines.index("at most possible (190 GFLOP/s, 25 GB/s) 160")
        == lines.index("as a multiple of losslab's, median:") - 1
    )
    assert "JAX jit + vmap + scan, one process per core 1.04" in lines
    assert 'JAX jit + lax.map + scan: not measured, as jax is not installed (pip install -e ".[bench]")' in lines
    measured = content()["wide"] | {"roofline": None}
    assert not any(line.startswith("at most possible") for line in shown({"wide": measured}))


def test_whole_commands_are_shown_with_their_memory() -> None:
    lines = shown(content())
    assert f"{whole.HW4} 16.00 18.00 2000" in lines
    assert f"{whole.ALL}, extrapolated 480.00 640.00 -" in lines
    measured = content()
    measured["hw4"]["full"] = True
    assert f"{whole.ALL} 480.00 640.00 -" in shown(measured)


def test_growth_is_shown_with_what_failed() -> None:
    lines = shown({"growth": content()["growth"]})
    assert "seeds 10 10 7.0 600" in lines
    assert "1,000 samples: no" in lines


def test_verdicts_are_shown_and_quick_ones_are_not() -> None:
    lines = shown(content())
    assert "engine, S = 20 11.00 us at most 12 us yes" in lines
    assert "engine, S = 80 11.00 us at most 10.5 us NO" in lines
    measured = content()
    measured["engine"]["context"] = {"quick": True, "cores": 2, "others": 0}
    lines = shown(measured)
    assert "--quick measures too little for a comparison with the targets." in lines
    assert not any(line.startswith("engine, S = 20") for line in lines)


def test_where_the_gpu_overtakes_is_shown() -> None:
    gpu = {"device": "A GPU", "gpu": {1: [90.0, 95.0], 100000: [0.05]}, "cpu": {"1": [80.0]}, "overtakes": 1234.5}
    context = {"context": {"quick": False, "cores": 2, "others": 0}}
    lines = shown({"gpu": gpu | context})
    assert "networks S A GPU CPU, all cores" in lines
    assert "1 90.000 80.000" in lines
    assert "100,000 0.050 -" in lines
    assert "the GPU overtakes the CPU at 1,234 networks" in lines
    assert "the GPU never overtakes the CPU" in shown({"gpu": gpu | context | {"overtakes": None}})


def test_a_busy_machine_and_another_number_of_cores_are_said() -> None:
    measured = content()
    assert not any("Other programs" in line or "meant for" in line for line in shown(measured))
    measured["start"]["context"] = {"quick": False, "cores": 16, "others": 0.123}
    busy, cores = "Other programs used much of the machine (start 12%)", "(meant for 2 cores; this machine has 2, 16)"
    assert len([line for line in shown(measured) if line.startswith(busy) or line == cores]) == 2
