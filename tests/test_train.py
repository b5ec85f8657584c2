import gc
import json
import signal
import subprocess
import sys
import time
from collections import Counter

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import scripts.aggregate
import src.evaluate
from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import find
from src.engines.native.engine import library
from src.models.mlp import MLP
from src.training.module import StackedClassifier
from tests.commands import SHORT, files, parametrize, posix, results, run, started, wait_until


def test_single_run_leaves_every_file_of_the_schema(tmp_path, train):
    done = train("loss=ce", "classes=4", "seed=0", "trainer.max_epochs=2", "data.samples_per_class=10")
    [(condition, seed)] = results(tmp_path / "outputs" / "runs")
    assert condition.startswith("loss=ce,classes=4,")
    assert seed == 0
    assert files(tmp_path / "outputs/runs" / condition) == {
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        ".lock",
        "train.log",
        "seed=0/results.json",
        "seed=0/history.csv",
        "seed=0/predictions.csv",
        "seed=0/regions.csv",
        "seed=0/checkpoint.ckpt",
        "seed=0/events.out.tfevents.losslab",
        "seed=0/figures/loss.png",
        "seed=0/figures/scatter.png",
    }
    content = results(tmp_path)[condition, 0]
    assert (content["status"], content["loss"], content["model"], content["classes"]) == ("completed", "ce", "mlp", 4)
    assert content["config"]["seed"] == 0
    assert content["metrics"]["test/count"] == 8
    assert content["metrics"]["bayes/accuracy"] == 0.625
    folder = tmp_path / "outputs/runs" / condition / "seed=0"
    history = pd.read_csv(folder / "history.csv")
    assert list(history.columns) == ["epoch", "step", "train/loss", "train/accuracy"]
    assert history["step"].tolist() == [7, 14]  # 32 samples in mini-batches of 5
    predictions = pd.read_csv(folder / "predictions.csv")
    assert list(predictions.columns) == ["x1", "x2", "target", "pred", "correct", "p0", "p1", "p2", "p3"]
    assert predictions["correct"].sum() == content["metrics"]["test/correct"]
    assert torch.load(folder / "checkpoint.ckpt", weights_only=True)["global_step"] == 14
    assert f"{content['metrics']['population/accuracy']:.4f}" in done.out
    assert done.err == ""


@pytest.mark.integration
def test_no_figure_and_no_network_stay_in_memory(train):
    def alive():
        return Counter(type(thing) for thing in gc.get_objects() if type(thing) in (Figure, StackedClassifier, MLP))

    gc.collect()
    before = alive()
    gc.disable()
    try:
        train("figures=all", "seed=[3,4]", "trainer.max_epochs=2", "data.samples_per_class=10")
        assert alive() == before
    finally:
        gc.enable()


@parametrize("model", ["gaussian", "gaussian_shared"], quick=1)
def test_a_model_in_closed_form_leaves_all_files_except_a_loss_curve(tmp_path, train, model):
    done = train(f"model={model}", "classes=4", "seed=[3,4]", "study=stack")
    train(f"model={model}", "classes=4", "seed=4", "figures=none", "study=alone")
    [stack, alone] = (next((tmp_path / "outputs" / study).iterdir()) for study in ("stack", "alone"))
    common = {"results.json", "history.csv", "predictions.csv", "checkpoint.ckpt", "events.out.tfevents.losslab"}
    assert files(stack / "seed=3") == common | {"regions.csv", "figures/scatter.png"}
    for name in common - {"results.json", "events.out.tfevents.losslab"}:
        assert (stack / "seed=4" / name).read_bytes() == (alone / "seed=4" / name).read_bytes(), name
    content = json.loads((stack / "seed=4" / "results.json").read_text())
    assert (content["status"], content["loss"], content["model"]) == ("completed", "none", model)
    assert content["metrics"] == json.loads((alone / "seed=4" / "results.json").read_text())["metrics"]
    assert (stack / "seed=4" / "history.csv").read_text() == "epoch,step,train/loss,train/accuracy\n"
    assert f"model={model} classes=4" in done.out
    assert src.evaluate.main([f"run={stack / 'seed=3'}"]) == 0


@pytest.mark.integration
def test_a_report_shows_models_in_closed_form_beside_trained_ones(tmp_path, train):
    train("--multirun", "model=mlp,gaussian", "seed=range(2)", "study=both", *SHORT)
    assert scripts.aggregate.main([str(tmp_path / "outputs/both")]) == 0
    page = (tmp_path / "outputs/both/report/report.md").read_text()
    assert "by how much does gaussian differ from ce, model=mlp" in page
    assert "None: no run failed" in page


def test_a_seed_whose_covariance_is_singular_fails_alone_and_says_why(tmp_path, train):
    done = train("--multirun", "model=gaussian", "data.samples_per_class=4", "seed=range(6)", "figures=none", code=1)
    found = {seed: content for (_, seed), content in results(tmp_path).items()}
    failed = {seed: content["error"] for seed, content in found.items() if content["status"] == "failed"}
    assert 0 < len(failed) < 6
    for seed, error in failed.items():
        assert error.startswith("the covariance of class ")
        assert f"seed={seed} failed: {error}" in done.out


def test_sweep_trains_the_seeds_of_each_condition_in_one_job(tmp_path):
    sweep = ("--multirun", "loss=mse,ce", "seed=range(3)", "study=s", *SHORT)
    done = run("src.train", *sweep, folder=tmp_path)
    found = results(tmp_path)
    assert {(content["loss"], content["seed"]) for content in found.values()} == {
        (loss, seed) for loss in ("mse", "ce") for seed in range(3)
    }
    assert len(found) == 6
    assert len({content["condition"] for content in found.values()}) == 2
    assert len({content["fingerprint"] for content in found.values()}) == 2
    assert done.out.count("seed=[0,1,2]") == 2  # a job a condition
    for condition in {condition for condition, _ in found}:
        seconds = {found[condition, seed]["seconds"] for seed in range(3)}
        assert len(seconds) == 1  # trained together


def test_a_seed_alone_and_in_a_stack_leaves_the_same_files(tmp_path, train):
    short = ("loss=bce", "trainer.max_epochs=3", "data.samples_per_class=20", "figures=all", "export=none")
    train("seed=[1,2]", "study=together", *short)
    train("seed=2", "study=alone", *short)
    together, alone = (next(tmp_path.glob(f"outputs/{study}/*/seed=2")) for study in ("together", "alone"))
    assert files(alone) == files(together)
    for name in files(alone) - {"results.json"}:
        assert (alone / name).read_bytes() == (together / name).read_bytes(), name
    own, stored = (json.loads((folder / "results.json").read_text()) for folder in (alone, together))
    assert stored["metrics"] == own["metrics"]
    assert {key for key in own if own[key] != stored[key]} <= {"seconds", "study", "config", "overrides"}


def test_finished_seeds_are_kept_and_missing_ones_trained(tmp_path, train):
    train("seed=[0,1]", *SHORT)
    [folder] = (tmp_path / "outputs/runs").iterdir()
    before = {seed: (folder / f"seed={seed}/results.json").stat().st_mtime_ns for seed in (0, 1)}
    (folder / "seed=1/results.json").unlink()
    done = train("seed=[0,1,2]", *SHORT)
    assert "1 of 3 seeds are finished and kept" in done.out
    assert (folder / "seed=0/results.json").stat().st_mtime_ns == before[0]
    assert {seed for _, seed in results(tmp_path)} == {0, 1, 2}
    again = train("seed=[0,1,2]", *SHORT)
    assert "3 of 3 seeds are finished and kept" in again.out
    assert "population accuracy" in again.out
    train("seed=0", "resume=false", *SHORT)
    assert (folder / "seed=0/results.json").stat().st_mtime_ns > before[0]
    assert not [path for path in files(folder) if ".new" in path or ".old" in path]


def test_same_settings_written_another_way_share_a_folder(tmp_path, train):
    train("optimizer.lr=1", "seed=0", *SHORT)
    train(*reversed(SHORT), "optimizer.lr=1.0", "seed=1", "data.half_width=0.2")
    assert len(list((tmp_path / "outputs/runs").iterdir())) == 1
    assert {seed for _, seed in results(tmp_path)} == {0, 1}


@pytest.mark.integration
def test_diverged_seed_is_marked_and_the_others_finish(tmp_path):
    # With weights of 1e19 a squared error overflows in some seeds and not in others.
    settings = ("loss=mse", "model=linear", "model.init_std=8e18,0.02", "seed=range(3)", "study=s", *SHORT)
    done = run("src.train", "--multirun", *settings, folder=tmp_path, code=1)
    found = results(tmp_path)
    assert len(found) == 6
    failed = {seed: content for (_, seed), content in found.items() if content["status"] == "failed"}
    assert len(failed) == 1
    [(seed, content)] = failed.items()
    assert content["metrics"] == {}
    assert content["error"]
    assert f"seed={seed} failed: {content['error']}" in done.out
    assert "-m src.train --multirun loss=mse" in done.err
    assert "Traceback" not in done.err
    folder = tmp_path / "outputs/s" / content["condition"] / f"seed={seed}"
    assert files(folder) == {"results.json", "history.csv", "events.out.tfevents.losslab"}


@posix
@pytest.mark.integration
@pytest.mark.parametrize("seconds", [0, 3])
def test_interrupt_leaves_no_half_written_seed(tmp_path, seconds):
    command = [sys.executable, "-m", "src.train", "seed=[0,1]", "figures=none", "trainer.max_epochs=100000"]
    with started(command, tmp_path) as process:
        wait_until(lambda: list(tmp_path.glob("outputs/runs/*/.hydra")))
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err == "Interrupted. Finished seeds are kept; the same command trains the rest.\n"
    assert not list(tmp_path.glob("outputs/runs/*/*seed*"))


@pytest.mark.integration
@pytest.mark.parametrize("flag", ["--help", "--cfg=job"])
def test_help_and_configuration_do_not_wait_for_torch(flag, tmp_path):
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['train', {flag!r}]\n"
        "try:\n    runpy.run_module('src.train', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "classes: 2" in done.stdout
    assert not files(tmp_path)


def test_crossed_streams_ride_one_stack_and_name_their_folders(tmp_path, train):
    sweep = ("seed=0,1", "seeds.init=range(2)", "seeds.shuffle=7", "study=s", *SHORT)
    done = train("--multirun", *sweep)
    assert "seed=[0,1] seeds.init=[0,1] seeds.shuffle=7" in done.out
    [condition] = {path.parent.parent for path in (tmp_path / "outputs/s").glob("*/*/results.json")}
    assert "pinned=init+shuffle" in condition.name
    names = {path.name for path in condition.iterdir()} - {".hydra", ".lock", "train.log"}
    assert names == {f"seed={seed},init={init},shuffle=7" for seed in (0, 1) for init in (0, 1)}
    content = json.loads((condition / "seed=1,init=0,shuffle=7/results.json").read_text())
    assert content["streams"] == {"data": 1, "split": 1, "init": 0, "shuffle": 7}
    assert content["overrides"][-3:] == ["seed=1", "seeds.init=0", "seeds.shuffle=7"]
    again = train(*content["overrides"])  # alone, from what the file says
    assert "1 of 1 seeds are finished and kept" in again.out
    more = train("--multirun", "seed=0,1,2", *sweep[1:])
    assert "4 of 6 seeds are finished and kept" in more.out


@pytest.mark.integration
def test_a_learning_rate_is_an_axis_whose_stacks_the_report_compares(tmp_path, train):
    axis = ("optimizer.lr=1e-4,1e-3,1e-2", "seed=range(5)", "study=s", "hydra/launcher=basic")
    done = train("--multirun", *axis, *SHORT)
    assert done.out.count("seed=[0,1,2,3,4]") == 3  # one stack per rate
    assert len(results(tmp_path / "outputs" / "s")) == 15
    findings = find(collect([tmp_path / "outputs" / "s"]), "population/accuracy", Plan("ce, lr=0.0001"))
    assert list(findings.comparisons["loss"]) == ["ce, lr=0.001", "ce, lr=0.01"]
    assert set(findings.comparisons["n"]) == {5}


def test_predictions_can_be_left_out_of_a_large_sweep(train, tmp_path):
    words = ("seed=3", "trainer.max_epochs=1", "data.samples_per_class=10", "figures=none", "export=none")
    train(*words, "predictions=false")
    assert {name.rpartition("/")[2] for name in files(tmp_path / "outputs") if "/seed=3/" in name} == {
        "results.json",
        "history.csv",
        "checkpoint.ckpt",
    }
    assert "predictions" in train(*words, "predictions=nope", code=1).err


@pytest.mark.integration
def test_results_say_which_engine_trained(train, tmp_path):
    cases = {
        ("engine=torch",): "layerwise",
        ("optimizer=sgd",): "layerwise",
        ("trainer.precision=bf16-mixed",): "autograd",
    }
    if library()[0] is not None:
        cases["engine=native",] = "native"
    for words, engine in cases.items():
        study = engine + words[0].partition("=")[0]
        train(*words, *SHORT, "export=none", f"study={study}")
        [content] = results(tmp_path / "outputs" / study).values()
        assert content["versions"]["engine"] == engine
    train("model=gaussian", "data=gaussians", *SHORT[:1], "figures=none", "export=none", "study=closed")
    [content] = results(tmp_path / "outputs/closed").values()
    assert "engine" not in content["versions"]


@pytest.mark.integration
def test_a_movie_shows_the_first_seed_and_changes_no_result(train, tmp_path):
    words = ("seed=[0,1]", "trainer.max_epochs=2", "data.samples_per_class=10", "export=none")
    train(*words, "figures=movie", "study=movie")
    train(*words, "figures=first", "study=plain")
    [movie], [plain] = ([*tmp_path.glob(f"outputs/{study}/*")] for study in ("movie", "plain"))
    assert movie.name == plain.name
    added = files(movie) - files(plain)
    assert added == {"seed=0/figures/movie.gif", "seed=0/figures/movie.html"}
    for seed in (0, 1):
        for name in ("checkpoint.ckpt", "history.csv", "predictions.csv"):
            paths = [folder / f"seed={seed}" / name for folder in (movie, plain)]
            assert paths[0].read_bytes() == paths[1].read_bytes(), name
    assert (movie / "seed=0/figures/movie.html").read_text(encoding="utf-8").count("<img") == 3
