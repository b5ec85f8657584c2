import pytest

from tests.commands import results

TABLE = "a,b,y\n" + "".join(f"{row % 7},{row / 2},{'uv'[row % 2]}\n" for row in range(30))
WORDS = ("data=csv", "data.path=table.csv", "data.target=y", "data.copy=true", "trainer.max_epochs=1", "figures=none")


@pytest.mark.integration
def test_a_path_is_that_which_was_typed_wherever_jobs_run(tmp_path, train):
    (tmp_path / "table.csv").write_text(TABLE)
    train(*WORDS)
    train(*WORDS, "study=single", "hydra.job.chdir=true")
    train("--multirun", *WORDS, "study=sweep", "loss=ce,mse_onehot", "hydra.job.chdir=true", "hydra/launcher=basic")
    found = {study: results(tmp_path / "outputs" / study) for study in ("runs", "single", "sweep")}
    assert [len(runs) for runs in found.values()] == [1, 1, 2]
    [(condition, seed)] = found["runs"]
    for runs in found.values():
        assert runs[condition, seed]["metrics"] == found["runs"][condition, seed]["metrics"]
        assert runs[condition, seed]["fingerprint"] == found["runs"][condition, seed]["fingerprint"]
    assert len(list(tmp_path.rglob("*.csv"))) == len(list(tmp_path.glob("outputs/**/*.csv"))) + 1
