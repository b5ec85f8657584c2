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
    assert labels == ["the lecture's loop", "JAX jit + vmap + scan", "losslab", "one process", "one process per core"]


def test_growth_shows_seconds_and_gigabytes_of_all_axes_on_one_scale_each() -> None:
    figure = Figure()
    growth = content()["growth"]["axes"]
    plot_growth(figure, growth)
    panels, memories = figure.axes[: len(growth)], figure.axes[len(growth) :]
    assert [ax.get_xlabel() for ax in panels] == ["seeds (10 epochs)", "samples (1 epoch)"]
    assert [list(ax.get_lines()[0].get_ydata()) for ax in panels] == [[6.0, 7.0], [6.5]]
    assert [list(ax.get_lines()[0].get_ydata()) for ax in memories] == [[0.5, 0.6], [0.5]]
    for row in (panels, memories):
        assert {ax.get_yscale() for ax in row} == {"log"}
        ((low, high),) = {ax.get_ylim() for ax in row}
        assert all(low < value < high for ax in row for value in ax.get_lines()[0].get_ydata())


@pytest.mark.parametrize("parts", [("engine", "growth"), ("engine",), ("growth",)])
def test_a_figure_is_written_of_what_was_measured(parts: tuple[str, ...], tmp_path: Path) -> None:
    draw({part: content()[part] for part in parts}, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width > 1000


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    failed = {"values": [], "epochs": 10, "seconds": [], "memory": [], "failure": "1 seeds: no"}
    for measured in ({"start": content()["start"]}, {"growth": {"axes": {"seeds": failed}}}):
        with pytest.raises(BenchmarkError, match="--plot needs the part engine or growth"):
            draw(measured, tmp_path / "figure.png")
