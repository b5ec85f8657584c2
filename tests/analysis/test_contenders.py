from pathlib import Path

import pytest

from src.analysis.collect import collect
from src.analysis.contenders import choose_baseline, name_contenders
from tests.analysis.studies import write_run, write_study


def test_a_contender_is_a_loss_with_its_own_options_and_the_rest_is_the_setting(tmp_path: Path):
    for rate in (0.1, 0.2):
        write_run(tmp_path, "mse", config={"optimizer": {"lr": rate}})
        for smoothing in (0.0, 0.3):
            write_run(tmp_path, "ce", config={"optimizer": {"lr": rate}, "loss": {"smoothing": smoothing}})
    named = name_contenders(collect([tmp_path]).runs)
    assert set(named["contender"]) == {"mse", "ce, smoothing=0.0", "ce, smoothing=0.3"}
    assert set(named["setting"]) == {"lr=0.1", "lr=0.2"}
    assert not named.duplicated(["contender", "classes", "setting"]).any()


def test_a_model_is_a_setting_where_models_differ(tmp_path: Path):
    write_run(tmp_path, model="mlp")
    write_run(tmp_path, model="linear", config={"model": {"_target_": "src.models.linear.Linear"}})
    assert list(name_contenders(collect([tmp_path]).runs)["setting"]) == ["model=linear", "model=mlp"]


def test_conditions_that_look_alike_are_contenders_of_their_own(tmp_path: Path):
    write_run(tmp_path, fingerprint="aaaa1111")
    write_run(tmp_path, fingerprint="bbbb2222")
    assert set(name_contenders(collect([tmp_path]).runs)["contender"]) == {"ce (aaaa1111)", "ce (bbbb2222)"}


def test_the_baseline_is_ce_else_the_first_and_what_is_asked_for_must_be_there(tmp_path: Path):
    named = name_contenders(collect([write_study(tmp_path / "a", seeds=1)]).runs)
    assert choose_baseline(named) == "ce"
    assert choose_baseline(named, "mse") == "mse"
    with pytest.raises(ValueError, match="bce is no loss here; expected one of ce, mse"):
        choose_baseline(named, "bce")
    others = name_contenders(collect([write_study(tmp_path / "b", ("mse", "bce"), seeds=1)]).runs)
    assert choose_baseline(others) == "bce"


def test_a_loss_name_stands_for_its_only_contender(tmp_path: Path):
    for smoothing in (0.0, 0.3):
        write_run(tmp_path, "ce", config={"loss": {"smoothing": smoothing}})
    named = name_contenders(collect([tmp_path]).runs)
    assert choose_baseline(named) == "ce, smoothing=0.0"
    assert choose_baseline(named, "ce, smoothing=0.3") == "ce, smoothing=0.3"
    with pytest.raises(ValueError, match=r"ce is several losses here; expected one of 'ce, smoothing=0\.0', "):
        choose_baseline(named, "ce")
