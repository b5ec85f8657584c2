import io
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from src.config.instantiate import build_callbacks, build_components, build_trainer, stack
from src.experiments.summary_table import show
from src.storage.schema import FAILED, Results
from src.training.callbacks.progress import TrainingProgress, seed_progress


def result(seed, accuracy):
    metrics = {
        "test/accuracy": accuracy,
        "test/correct": round(32 * accuracy),
        "test/count": 32,
        "population/accuracy": accuracy - 0.01,
        "population/regret": 0.76 - accuracy,
        "bayes/accuracy": 0.75,
    }
    return Results("s", "c-1", "1", "ce", "mlp", "noisy_cubic", 2, seed, [], {}, {}, 1.0, metrics)


def shown(results, terminal=False):
    stream = io.StringIO()
    show(Console(file=stream, force_terminal=terminal, width=160), results, Path("outputs/s/c-1"))
    return stream.getvalue()


def test_few_seeds_have_a_row_each():
    lines = shown([result(0, 0.5), result(7, 0.625)]).splitlines()
    assert "Bayes accuracy 0.7500" in lines[0]
    assert lines[2].split() == ["0", "16/32", "0.5000", "0.4900", "0.2600"]
    assert lines[3].split() == ["7", "20/32", "0.6250", "0.6150", "0.1350"]
    assert lines[-1] == "files: outputs/s/c-1"


def test_many_seeds_are_summed_up():
    accuracies = [seed / 32 for seed in range(11)]
    lines = shown([result(seed, accuracy) for seed, accuracy in enumerate(accuracies)]).splitlines()
    rows = {line.split()[0]: line.split() for line in lines[2:-1]}
    assert rows["mean"][1:4] == ["11", "seeds", f"{statistics.fmean(accuracies):.4f}"]
    assert rows["sd"][1] == f"{statistics.stdev(accuracies):.4f}"
    assert rows["min"][1] == "0.0000"
    assert rows["max"][1] == f"{10 / 32:.4f}"


def test_failed_seeds_are_named_with_their_reason():
    broken = replace(result(3, 0.5), status=FAILED, metrics={}, error="the loss became NaN [in] epoch 2")
    text = shown([result(0, 0.5), broken])
    assert "seed=3 failed: the loss became NaN [in] epoch 2" in text
    assert "seed=0" not in text
    assert "seed=3 failed" in shown([broken])


def test_runs_without_a_distribution_show_what_they_have():
    metrics = {"test/accuracy": 0.5, "test/correct": 1, "test/count": 2}
    lines = shown([replace(result(0, 0.5), metrics=metrics)]).splitlines()
    assert "Bayes" not in lines[0]
    assert lines[2].split() == ["0", "1/2", "0.5000"]


def test_output_is_plain_where_there_is_no_terminal():
    assert shown([result(0, 0.5)]).isascii()
    assert "\x1b[" in shown([result(0, 0.5)], terminal=True)


def test_progress_counts_seeds_that_stopped_or_diverged(settings):
    chosen = settings("seed=[0,1,2,3]", "callbacks=rich_progress", "data.samples_per_class=4")
    parts = build_components(chosen, stack(chosen))
    trainer = build_trainer(chosen, build_callbacks(chosen))
    assert seed_progress(parts.classifier) == {}
    parts.classifier.curves.train_loss.append(torch.tensor([0.5, torch.nan, 1.5, torch.inf]))
    assert seed_progress(parts.classifier) == {"mean loss": "1.0000", "diverged": "2/4"}
    parts.classifier.ended = torch.tensor([3, 4, 0, 0])
    expected = {"mean loss": "1.0000", "stopped": "2/4", "diverged": "1/4"}
    assert trainer.progress_bar_callback.get_metrics(trainer, parts.classifier) == expected


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_counts_epochs_on_a_terminal_only(terminal, settings):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    chosen = settings("trainer.max_epochs=3", "data.samples_per_class=4")
    parts = build_components(chosen, stack(chosen))
    build_trainer(chosen, [TrainingProgress("loss=ce", console)]).fit(parts.classifier, datamodule=parts.datamodule)
    text = stream.getvalue()
    assert ("3/3" in text and "mean loss" in text) if terminal else text == ""


def test_a_worker_tells_of_some_epochs_and_of_the_last(settings, monkeypatch):
    reported = []
    monkeypatch.setattr("src.training.callbacks.progress.MAX_UPDATES", 1e-9)  # none but the last
    monkeypatch.setattr("src.training.callbacks.progress.reporter", lambda: lambda *progress: reported.append(progress))
    chosen = settings("trainer.max_epochs=30", "data.samples_per_class=4")
    parts = build_components(chosen, stack(chosen))
    trainer = build_trainer(chosen, [TrainingProgress("loss=ce", Console(file=io.StringIO()))])
    trainer.fit(parts.classifier, datamodule=parts.datamodule)
    assert [progress[:3] for progress in reported] == [("loss=ce", 1, 30), ("loss=ce", 30, 30)]
    assert reported[-1][3].startswith("mean loss 0.")
