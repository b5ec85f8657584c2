import pytest

from scripts.benchmark import whole
from scripts.benchmark.targets import AT_LEAST, AT_MOST, Verdict, verdicts
from tests.scripts.benchmark.made_up import content


def by_name(**costs: list[float]) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in verdicts(content(**costs))}


def test_every_target_is_judged_by_hand_checked_numbers() -> None:
    judged = {name: (round(verdict.value, 3), verdict.met) for name, verdict in by_name().items()}
    assert judged == {
        "engine, S = 20": (11.0, True),  # the best of 11, 12.5 and 11.5 against 12
        "engine, S = 80": (11.0, False),  # against 10.5
        "tuned JAX / losslab, S = 20": (1.043, True),  # the median of 10.5 / 11, 30 / 12.5 and 12 / 11.5
        "tuned JAX / losslab, S = 80": (1.043, True),
        "wide: JAX vmap / losslab, S = 20, mini-batches of 64": (1.043, True),
        "wide: the loop / losslab, S = 20, mini-batches of 64": (54.545, True),
        "80 networks: the loop / losslab": (35.0, True),  # the median of 40 and 30 against 35
        "80 networks: the loop in one process per core / losslab": (17.5, False),  # of 20 and 15 against 18
        "one network: the loop / losslab": (2.45, True),
        whole.HELP: (1.0, True),
        whole.CFG: (2.5, False),
        whole.SMALLEST: (6.5, False),
        "1000 seeds / 20 seeds": (20.0, False),  # against 15
        "1000 seeds: peak memory": (2.0, True),
    }


def test_one_network_is_compared_with_jax() -> None:
    measured = content()
    us = {"jax": [45.0, 50.0, 44.0], "losslab": [40.0, 38.0, 41.0]}
    measured["engine"]["sizes"]["1"] |= {f"{name}, one process": {"us": rounds} for name, rounds in us.items()}
    judged = {verdict.name: verdict for verdict in verdicts(measured)}["JAX / losslab, S = 1"]
    assert judged.value == 45 / 40  # the median of 45 / 40, 50 / 38 and 44 / 41
    assert judged.met


def test_a_slower_engine_meets_less() -> None:
    judged = by_name(ours=[13.0, 14.0, 15.0], jax=[12.0, 12.0, 12.0])
    assert not judged["engine, S = 20"].met
    assert not judged["tuned JAX / losslab, S = 20"].met


@pytest.mark.parametrize("rule", [AT_LEAST, AT_MOST])
def test_a_limit_itself_is_met(rule: str) -> None:
    assert Verdict("", [2.0], rule, 2.0).met


def test_what_was_not_measured_is_not_judged() -> None:
    measured = content()
    assert verdicts({}) == []
    assert len(verdicts({"start": measured["start"]})) == 3
    del measured["engine"]["sizes"]["80"]
    del measured["engine"]["sizes"]["20"]["jax, one process per core"]
    assert [verdict.name for verdict in verdicts({"engine": measured["engine"]})] == ["engine, S = 20"]
