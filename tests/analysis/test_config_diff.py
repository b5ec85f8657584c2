import pytest

from src.analysis.config_diff import as_text, differing_settings, flatten, short_names
from src.storage.schema import EXCLUDED_FROM_FINGERPRINT


def test_flatten_keeps_lists_and_empty_groups():
    assert flatten({"a": {"b": {"c": 1}}, "d": [{"e": 1}], "f": {}}) == {"a.b.c": 1, "d": [{"e": 1}], "f": {}}


def test_equal_configurations_differ_in_nothing():
    assert differing_settings([{"a": {"b": 1}}] * 3) == [{}, {}, {}]
    assert differing_settings([]) == []


def test_a_value_and_its_absence_differ():
    assert differing_settings([{"a": {"b": 1}}, {"a": {"b": 2}}, {}]) == [{"a.b": 1}, {"a.b": 2}, {}]


def test_one_equals_one_point_zero_but_not_true_nor_text():
    assert differing_settings([{"lr": 1}, {"lr": 1.0}]) == [{}, {}]
    assert differing_settings([{"lr": 1}, {"lr": True}]) == [{"lr": 1}, {"lr": True}]
    assert differing_settings([{"lr": 1}, {"lr": "1"}]) == [{"lr": 1}, {"lr": "1"}]
    assert differing_settings([{"width": [1, 2]}, {"width": [2, 1]}]) == [{"width": [1, 2]}, {"width": [2, 1]}]


@pytest.mark.parametrize("key", [*EXCLUDED_FROM_FINGERPRINT, "export.folder", "classes", "data.classes"])
def test_what_is_not_scientific_does_not_count(key: str):
    def nested(value: int) -> dict:
        config: dict = {}
        *groups, last = key.split(".")
        inner = config
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
        return config

    assert differing_settings([nested(1), nested(2)]) == [{}, {}]


def test_a_key_that_only_begins_like_an_ignored_one_counts():
    assert differing_settings([{"seedling": {"data": 1}}, {"seedling": {"data": 2}}]) == [
        {"seedling.data": 1},
        {"seedling.data": 2},
    ]


def test_groups_are_compared_within_one_choice():
    adam = {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.005, "betas": [0.9, 0.999]}}
    sgd = {"optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1}}
    assert differing_settings([adam, sgd]) == [{"optimizer": "Adam"}, {"optimizer": "SGD"}]
    faster = {"optimizer": {**sgd["optimizer"], "lr": 0.2}}
    with_rate = differing_settings([adam, sgd, faster])
    assert with_rate[1] == {"optimizer": "SGD", "optimizer.lr": 0.1}
    assert with_rate[2] == {"optimizer": "SGD", "optimizer.lr": 0.2}


def test_short_names_stay_unambiguous():
    assert short_names([{"optimizer.lr": 0.1, "head.lr": 1}]) == ["optimizer.lr=0.1, head.lr=1"]
    assert short_names([{"a.depth": 2, "b.width": 3}]) == ["depth=2, width=3"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.005, "0.005"), (True, "true"), (None, "null"), ([1, "a"], '[1,"a"]'), ("relu", "relu")]
)
def test_values_read_as_on_the_command_line(value: object, text: str):
    assert as_text(value) == text
