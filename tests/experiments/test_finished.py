from pathlib import Path
from typing import Any

from src.experiments.finished import completed
from src.storage.schema import FAILED, Results, seed_folder, write_results


def write_run(condition: Path, seed: int, digest: str = "3f9a1c2b", **changes: Any) -> None:
    folder = seed_folder(condition, seed)
    folder.mkdir(parents=True)
    fields: dict[str, Any] = {"study": "s", "condition": condition.name, "fingerprint": digest, "classes": 2}
    fields |= {"loss": "ce", "model": "mlp", "data": "noisy_cubic", "seed": seed, "overrides": [], "config": {}}
    fields |= {"versions": {}, "seconds": 1.0}
    write_results(folder, Results(**fields | changes))


def test_completed_seeds_of_the_same_condition_are_found_seed_0_included(tmp_path: Path) -> None:
    for seed in (0, 1, 7):
        write_run(tmp_path, seed, metrics={"test/accuracy": seed / 10})
    folders = [seed_folder(tmp_path, seed) for seed in (7, 0, 3)]
    done = completed(folders, "3f9a1c2b")
    assert list(done) == folders[:2]
    assert [results.metrics["test/accuracy"] for results in done.values()] == [0.7, 0]


def test_failed_foreign_and_broken_seeds_are_not_done(tmp_path: Path) -> None:
    write_run(tmp_path, 0)
    write_run(tmp_path, 1, status=FAILED, error="the loss became NaN in epoch 1, step 2")
    write_run(tmp_path, 2, digest="00000000")
    seed_folder(tmp_path, 3).mkdir()
    write_run(tmp_path, 4)
    (seed_folder(tmp_path, 4) / "results.json").write_text('{"schema": 1')
    folders = [seed_folder(tmp_path, seed) for seed in range(6)]
    assert list(completed(folders, "3f9a1c2b")) == [seed_folder(tmp_path, 0)]


def test_nothing_is_done_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert completed([tmp_path / "absent" / "seed=0"], "3f9a1c2b") == {}
    assert completed([], "3f9a1c2b") == {}
