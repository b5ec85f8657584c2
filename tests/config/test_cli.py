import shlex
from unittest.mock import Mock

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from src.config.cli import _in_order, checked_composition, readable
from src.config.paths import CONFIG_DIR
from tests.commands import SHORT, results


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("data.target=等级", "等级"),
        ("data.labels=[niedrig, höchst]", ["niedrig", "höchst"]),
        ("data.path=Größe in cm.csv", "Größe in cm.csv"),
        ("data.target='é, b'", "é, b"),
        ('data.target="é"', "é"),
        ("data.target=a", "a"),
        ("hydra.searchpath=[file:///für uns/conf,file:///b]", ["file:///für uns/conf", "file:///b"]),
        ("model.hidden=[5,3]", [5, 3]),
    ],
)
def test_words_that_are_not_ascii_need_no_quotes(word, value):
    read = OverridesParser.create().parse_override(readable(word)).value()
    assert (read.text if isinstance(read, QuotedString) else read) == value


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("experiment=*", "experiment=glob(*)"),
        ("loss=m*", "loss=glob(m*)"),
        ("study=*", "study=*"),
        ("loss=ce", "loss=ce"),
    ],
)
def test_a_star_is_a_glob_of_a_group_in_a_sweep_alone(word, expected):
    assert readable(word) == expected
    assert readable(word, sweeps=False) == word


def test_overrides_may_stand_before_and_after_flags():
    typed = ["loss=ce", "--multirun", "classes=2,4", "--config-dir", "x", "seed=1"]
    assert _in_order(typed) == ["--multirun", "--config-dir", "x", "loss=ce", "classes=2,4", "seed=1"]


def test_the_advice_on_quotes_works_when_pasted(tmp_path, train):
    table = tmp_path / "ä b'c.csv"
    table.write_text("f,y\n" + "".join(f"{number % 5},{'uv'[number % 2]}\n" for number in range(20)))
    words = ("data=csv", "data.target=y", "trainer.max_epochs=1", "figures=none")
    refused = train(*words, f"data.path={table}", code=1).err
    assert not results(tmp_path)
    [pasted] = shlex.split(refused.rpartition("Did you mean ")[2].rstrip().removesuffix("?"))
    train(*words, pasted)
    [content] = results(tmp_path).values()
    assert content["config"]["data"]["path"] == str(table)


def test_a_study_may_be_named_by_a_number(tmp_path, train):
    train("study=2026", *SHORT)
    [content] = results(tmp_path / "outputs" / "2026").values()
    assert content["study"] == content["config"]["study"] == "2026"


def test_a_setting_that_some_jobs_lack_names_them(tmp_path, train):
    refused = train("--multirun", "model=mlp,linear", "model.hidden=[20]", "loss=mse,corn", code=1)
    assert "`model.hidden`" in refused.err
    assert '"[20]"' in refused.err
    assert "In 2 of 4 jobs: model=linear loss=mse, model=linear loss=corn." in refused.err
    assert not (tmp_path / "outputs").exists()


def test_every_wrong_value_of_a_sweep_is_reported_at_once(tmp_path, train):
    refused = train("--multirun", "classes=1,2,x", "trainer.max_epochs=1,0", code=1).err
    assert [line.split("`")[1] for line in refused.strip().splitlines()].count("trainer.max_epochs") == 3
    assert "got 0. In 1 of 6 jobs: classes=2 trainer.max_epochs=0" in refused
    assert not (tmp_path / "outputs").exists()


def test_flags_that_cannot_be_read_are_left_to_the_check():
    assert _in_order(["a=1", "--cfg=nope", "b=2"]) == ["a=1", "--cfg=nope", "b=2"]


def composed_twice(words, mode, config_dir=CONFIG_DIR):
    """Compose as Hydra's command line does: first to read the mode, then with the mode appended."""
    with initialize_config_dir(str(config_dir), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        hydra.get_mode("train", words)
        return hydra.compose_config("train", [*words, f"hydra.mode={mode.name}"], mode)


@pytest.mark.usefixtures("hydra_restore_singletons")
@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ([], RunMode.RUN),
        (["loss=mse", "+x=1", "hydra.verbose=true", "~profiler"], RunMode.RUN),
        (["loss=mse,ce", "experiment=hw4", "seed=range(3)"], RunMode.MULTIRUN),
    ],
)
def test_a_command_line_is_composed_once_to_what_hydra_composes(words, mode, monkeypatch):
    expected = composed_twice(words, mode)
    compose = Mock(wraps=ConfigLoaderImpl._load_configuration_impl)
    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", lambda *args, **kwargs: compose(*args, **kwargs))
    with checked_composition(words):
        config = composed_twice(words, mode)
    assert OmegaConf.to_yaml(config) == OmegaConf.to_yaml(expected)
    compose.assert_called_once()


@pytest.mark.usefixtures("hydra_restore_singletons")
def test_what_hydra_refuses_in_the_second_composition_is_refused(tmp_path):
    with checked_composition([]), pytest.raises(ConfigCompositionException, match="Ambiguous value"):
        composed_twice(["loss=mse,ce"], RunMode.RUN)
    (tmp_path / "train.yaml").write_text("defaults:\n- loss: ???\n- _self_\n", encoding="utf-8")
    with checked_composition([]), pytest.raises(ConfigCompositionException, match="You must specify 'loss'"):
        composed_twice([], RunMode.RUN, tmp_path)
