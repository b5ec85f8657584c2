import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from src.plotting.style import class_colors, class_markers, plain, save, series_colors, style, wrapped

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(color: str, deficiency: str) -> np.ndarray:
    """CIE 1976 L*a*b* of a colour as someone with a colour-vision deficiency sees it."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(DEFICIENCIES[deficiency]) @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def small_figure() -> Figure:
    with style():
        figure = Figure(figsize=(3, 2))
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], rasterized=True, label="$x$ & <y>")
        ax.set_title("accuracy")
        ax.legend()
    return figure


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("colors", [class_colors(10), series_colors(10)])
def test_ten_colors_are_told_apart_with_any_colour_vision(colors: list[str], deficiency: str):
    seen = [lab(color, deficiency) for color in [*colors, "white"]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 12  # 2.3 is just noticeable


def test_two_classes_are_green_then_red():
    green, red = (to_rgb(color) for color in class_colors(2))
    assert max(green) == green[1]
    assert max(red) == red[0]


@pytest.mark.parametrize("classes", [0, 1, 2, 10, 11, 40])
def test_every_class_has_a_colour_of_its_own_and_a_marker(classes: int):
    assert len(set(class_colors(classes))) == len(set(series_colors(classes))) == classes
    assert len(class_markers(classes)) == classes
    assert len(set(class_markers(classes))) == min(classes, 10)


def test_few_classes_keep_their_colours_when_classes_are_added():
    assert class_colors(4)[:2] == class_colors(2)


def test_style_ends_with_its_block_and_ignores_the_users_settings():
    with mpl.rc_context({"font.size": 30, "axes.grid": True}):
        with style():
            assert mpl.rcParams["font.size"] == 8
            assert not mpl.rcParams["axes.grid"]
        assert mpl.rcParams["font.size"] == 30


def test_saved_files_are_what_a_printer_wants(tmp_path: Path):
    png, svg, pdf = save(small_figure(), tmp_path / "new" / "a.b")
    assert [path.name for path in (png, svg, pdf)] == ["a.b.png", "a.b.svg", "a.b.pdf"]
    assert sorted((tmp_path / "new").iterdir()) == sorted([png, svg, pdf])
    with Image.open(png) as image:
        assert image.size == (600, 400)
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    texts = [element.text for element in ET.parse(svg).iter() if element.tag.endswith("text")]  # noqa: S314 - ours
    assert "accuracy" in texts
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"/Type3" not in content
    assert b"/TrueType" in content or b"/CIDFontType2" in content


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path):
    for one, other in zip(save(small_figure(), tmp_path / "a"), save(small_figure(), tmp_path / "b"), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_huge_figure_is_saved_with_fewer_dots(tmp_path: Path):
    figure = Figure(figsize=(600, 0.5))
    (png,) = save(figure, tmp_path / "wide", ("png",))
    with Image.open(png) as image:
        assert image.width == 30_000


def test_plain_text_is_never_a_formula(tmp_path: Path):
    with style():
        figure = Figure()
        text = figure.text(0, 0, plain("$a_b$ costs $\\frac{$"))
    save(figure, tmp_path / "a", ("svg",))
    assert text.get_text().replace(r"\$", "$") == "$a_b$ costs $\\frac{$"
    assert "$a_b$ costs $\\frac{$" in (tmp_path / "a.svg").read_text()


def test_long_labels_are_wrapped_at_spaces_and_inside_long_words():
    assert wrapped("ce, lr=0.1") == "ce, lr=0.1"
    assert max(map(len, wrapped("ce, hidden=[" + "50," * 30 + "50], lr=0.1").split("\n"))) <= 36
    assert wrapped("x" * 1000).count("\n") == 4
    assert wrapped("x" * 1000).endswith("...")
