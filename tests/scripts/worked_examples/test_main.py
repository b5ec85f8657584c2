from pathlib import Path

import pytest

from scripts.worked_examples import __main__ as command
from scripts.worked_examples import examples
from scripts.worked_examples.examples import Number, all_examples
from src.training.single_thread import single_threaded


def test_every_number_agrees() -> None:
    with single_threaded():
        assert [line for example in all_examples() for line in example.mismatches] == []


@pytest.mark.integration
def test_every_number_is_that_of_the_slides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--out", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "IS NOT" not in shown.out
    printed = ["0.982", "1.089", "2.071", "0.74624", "0.64992", "0.706624521", "0.7066", "0.5259", "0.40", "1.386"]
    for digits in [*printed, "0.81", "0.56", "0.44", "0.3133", "0.7437", "0.72", "0.66"]:
        assert f"= {digits} " in shown.out, digits
    assert shown.out.count("C = ") == 7
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{kind}" for name in ("surfaces", "gradient_norm") for kind in ("png", "svg", "pdf")
    }


def test_a_number_that_differs_is_named_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "draw", lambda out: [])
    monkeypatch.setattr(examples, "FLOORS", {2: "0.3134"})
    monkeypatch.setattr(examples, "LABELS", [0, 0, 0, 1, 0])
    assert command.main(["--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "Floor of the double softmax, C = 2: 0.313262 IS NOT 0.3134" in lines
    assert "Below the table, correct: 1 IS NOT 2" in lines
    assert any("0.52209 IS NOT" not in line and "-0.0267 0.0617 0" in line for line in lines)


@pytest.mark.parametrize(
    ("computed", "printed", "slack", "agrees"),
    [
        (0.7066, "0.71", 0.0, True),
        (0.7049, "0.71", 0.0, False),
        (0.474148, "0.4742", 0.0, False),
        (0.474148, "0.4742", 2.5e-5, True),
        (1.0, "1", 0.0, True),
        (1.2, "1", 0.0, False),
        (0.5 + 1e-10, 0.5, 0.0, True),
        (0.5 + 1e-8, 0.5, 0.0, False),
    ],
)
def test_a_number_agrees_if_it_rounds_to_the_printed_digits(
    computed: float, printed: str | float, slack: float, agrees: bool
) -> None:
    assert Number(computed, printed, slack).agrees is agrees
    assert (" = " in str(Number(computed, printed, slack))) is agrees
