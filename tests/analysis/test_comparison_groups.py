from itertools import product
from pathlib import Path

import pytest

from src.analysis.collect import collect
from src.analysis.comparison_groups import choose_baseline, name_methods
from tests.analysis.studies import write_run, write_study


def test_a_method_is_a_loss_with_its_own_options(tmp_path: Path):
    for rate in (0.1, 0.2):
        write_run(tmp_path, "mse", config={"optimizer": {"lr": rate}})
        for smoothing in (0.0, 0.3):
            write_run(tmp_path, "ce", config={"optimizer": {"lr": rate}, "loss": {"smoothing": smoothing}})
    named = name_methods(collect([tmp_path]).runs)
    assert set(named["method"]) == {"mse", "ce, smoothing=0.0", "ce, smoothing=0.3"}
    assert set(named["setting"]) == {"lr=0.1", "lr=0.2"}
    assert not named.duplicated(["method", "classes", "setting"]).any()


def write_models(study: Path, losses: dict[str, tuple[str, ...]]) -> Path:
    """Write a run for every model and each of its losses."""
    for model, own in losses.items():
        for loss in own:
            write_run(study, loss, model=model, config={"model": {"_target_": f"src.models.{model}"}})
    return study


def test_a_model_is_a_setting_where_each_has_several_losses(tmp_path: Path):
    named = name_methods(collect([write_models(tmp_path / "a", {"mlp": ("ce", "mse"), "linear": ("ce", "mse")})]).runs)
    assert list(named["method"]) == ["ce", "ce", "mse", "mse"]
    assert list(named["setting"]) == ["model=linear", "model=mlp"] * 2
    alone = name_methods(collect([write_models(tmp_path / "b", {"gaussian": ("none",)})]).runs)
    assert alone[["method", "setting"]].to_numpy().tolist() == [["gaussian", ""]]


def test_a_model_with_a_loss_of_its_own_is_compared_as_a_whole(tmp_path: Path):
    models = {"mlp": ("ce", "mse"), "linear": ("mse",), "gaussian": ("none",), "logistic": ("logistic",)}
    named = name_methods(collect([write_models(tmp_path, models)]).runs)
    assert set(named["method"]) == {"ce, model=mlp", "mse, model=mlp", "mse, model=linear", "gaussian", "logistic"}
    assert set(named["setting"]) == {""}
    assert choose_baseline(named) == "ce, model=mlp"


def test_the_settings_of_a_single_loss_are_compared_but_for_its_data(tmp_path: Path):
    for rate in (0.1, 0.2):
        for samples in (80, 160):
            write_run(tmp_path, "ce", config={"optimizer": {"lr": rate}, "data": {"samples": samples}})
    named = name_methods(collect([tmp_path]).runs)
    pairs = set(zip(named["method"], named["setting"], strict=True))
    assert pairs == set(product(["ce, lr=0.1", "ce, lr=0.2"], ["samples=80", "samples=160"]))


def test_conditions_that_look_alike_are_methods_of_their_own(tmp_path: Path):
    write_run(tmp_path, fingerprint="aaaa1111")
    write_run(tmp_path, fingerprint="bbbb2222")
    assert set(name_methods(collect([tmp_path]).runs)["method"]) == {"ce (aaaa1111)", "ce (bbbb2222)"}


def test_the_baseline_is_ce_or_the_first_and_must_exist(tmp_path: Path):
    named = name_methods(collect([write_study(tmp_path / "a", seeds=1)]).runs)
    assert choose_baseline(named) == "ce"
    assert choose_baseline(named, "mse") == "mse"
    with pytest.raises(ValueError, match="bce matches 0 of the compared losses; expected one of ce, mse"):
        choose_baseline(named, "bce")
    others = name_methods(collect([write_study(tmp_path / "b", ("mse", "bce"), seeds=1)]).runs)
    assert choose_baseline(others) == "bce"


def test_a_loss_name_stands_for_its_only_method(tmp_path: Path):
    for smoothing in (0.0, 0.3):
        write_run(tmp_path, "ce", config={"loss": {"smoothing": smoothing}})
    named = name_methods(collect([tmp_path]).runs)
    assert choose_baseline(named) == "ce, smoothing=0.0"
    assert choose_baseline(named, "ce, smoothing=0.3") == "ce, smoothing=0.3"
    with pytest.raises(ValueError, match=r"ce matches 2 of the compared losses; .* 'ce, smoothing=0\.0', "):
        choose_baseline(named, "ce")
