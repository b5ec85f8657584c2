from pathlib import Path

import pytest

from src.storage.manifest import RequestedCondition, read_manifests, write_manifest

CE = RequestedCondition("loss=ce-0123abcd", "0123abcd", ["loss=ce"], {"seed": [0, 1]})
MSE = RequestedCondition("loss=mse-4567abcd", "4567abcd", ["loss=mse"], {"seed": [0], "seeds.init": [5, 6]})


def test_further_sweeps_add_manifests_and_the_same_sweep_adds_none(tmp_path: Path) -> None:
    assert read_manifests(tmp_path) == []
    for conditions in ([CE], [MSE], [CE]):
        write_manifest(tmp_path / "study", conditions)
    assert sorted(each.name for sweep in read_manifests(tmp_path / "study") for each in sweep) == [CE.name, MSE.name]


def test_a_condition_names_the_directories_of_its_crossed_seeds() -> None:
    assert CE.seed_folders() == ["seed=0", "seed=1"]
    assert MSE.seed_folders() == ["seed=0,init=5", "seed=0,init=6"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "7",
        "[7]",
        '[{"name": "a"}]',
        '[{"name": "../a", "fingerprint": "b", "overrides": [], "seeds": {"seed": [1]}}]',
        '[{"name": "a", "fingerprint": "b", "overrides": [], "seeds": {"seed": [-1]}}]',
        '[{"name": "a", "fingerprint": "b", "overrides": [], "seeds": {"init": [1]}}]',
    ],
)
def test_a_file_that_is_no_manifest_is_skipped(text: str, tmp_path: Path) -> None:
    write_manifest(tmp_path, [CE])
    (tmp_path / ".sweep" / "other.json").write_text(text)
    assert [each for sweep in read_manifests(tmp_path) for each in sweep] == [CE]
