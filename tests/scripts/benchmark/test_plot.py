from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.plot import draw, plot_engine, plot_growth
from tests.scripts.benchmark.made_up import content


def test_a_line_a_form_through_its_best_rounds() -> None:
    ax = plot_engine(Figure().subplots(), content()["engine"])
    lines = {tuple(line.get_ydata()): line for line in ax.get_lines()}
    assert set(lines) == {(600.0, 600.0, 600.0), (10.5, 10.5), (20.0, 20.0), (11.0, 11.0)}
    assert list(lines[10.5, 10.5].get_xdata()) == [20, 80]
    assert lines[20.0, 20.0].get_linestyle() == "--"
    assert lines[11.0, 11.0].get_linestyle() == "-"
    assert lines[20.0, 20.0].get_color() == lines[11.0, 11.0].get_color() != lines[10.5, 10.5].get_color()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["the lecture's loop", "JAX jit + vmap + scan", "losslab", "one process", "a process a core"]


def test_growth_shows_seconds_and_gigabytes() -> None:
    figure = Figure()
    plot_growth(figure.subplots(), "seeds", content()["growth"]["axes"]["seeds"])
    seconds, memory = figure.axes
    assert list(seconds.get_lines()[0].get_ydata()) == [6.0, 7.0]
    assert list(memory.get_lines()[0].get_ydata()) == [0.5, 0.6]
    assert seconds.get_xlabel() == "seeds (10 epochs)"
    for ax in (seconds, memory):
        low, high = ax.get_ylim()
        assert all(low < value < high for value in ax.get_lines()[0].get_ydata())


@pytest.mark.parametrize("parts", [("engine", "growth"), ("engine",), ("growth",)])
def test_a_figure_is_written_of_what_was_measured(parts: tuple[str, ...], tmp_path: Path) -> None:
    draw({part: content()[part] for part in parts}, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width > 1000


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="--plot needs the part engine or growth"):
        draw({"start": content()["start"]}, tmp_path / "figure.png")
