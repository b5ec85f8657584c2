import os

import pytest

from src.parallel.cpu import available_cpus, cpu_indices


def test_the_affinity_mask_counts_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 0, 3}, raising=False)
    assert (available_cpus(), cpu_indices()) == (3, [0, 3, 4])
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert (available_cpus(), cpu_indices()) == (6, [])
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus() == 1
