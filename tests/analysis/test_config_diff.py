import pytest

from src.analysis.config_diff import as_text, differing_settings, flatten, short_names
from src.storage.schema import EXCLUDED_FROM_FINGERPRINT


def test_flatten_keeps_lists_and_empty_groups():
    assert flatten({"a": {"b": {"c": 1}}, "d": [{"e": 1}], "f": {}}) == {"a.b.c": 1, "d": [{"e": 1}], "f": {}}


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ([], []),
        ([{"a": {"b": 1}}] * 3, [{}] * 3),
        ([{"a": {"b": 1}}, {"a": {"b": 2}}, {}], [{"a.b": 1}, {"a.b": 2}, {}]),  # a value and its absence differ
        ([{"lr": 1}, {"lr": 1.0}], [{}, {}]),
        *(
            ([{"lr": one}, {"lr": two}], [{"lr": one}, {"lr": two}])
            for one, two in ((1, True), (1, "1"), ([1, 2], [2, 1]))
        ),
        ([{"seedling": {"a": 1}}, {"seedling": {"a": 2}}], [{"seedling.a": 1}, {"seedling.a": 2}]),  # is no seed
    ],
)
def test_settings_differ_by_value_not_by_type_of_number(configs, expected):
    assert differing_settings(configs) == expected


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
