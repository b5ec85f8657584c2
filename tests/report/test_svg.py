import re
import xml.etree.ElementTree as ET
from pathlib import Path

from matplotlib.figure import Figure

from src.plotting.style import save, style
from src.report.svg import inline


def drawing(folder: Path, title: str = "a & <b>") -> str:
    with style():
        figure = Figure(figsize=(3, 2))
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], marker="o", label="x", clip_on=True)
        ax.imshow([[0, 1], [1, 0]])
        ax.set_title(title)
        ax.legend()
    (path,) = save(figure, folder / "a", ("svg",))
    return path.read_text()


def ids(svg: str) -> list[str]:
    return re.findall(r'\bid="([^"]*)"', svg)


def test_two_drawings_share_no_id_and_every_reference_is_kept(tmp_path: Path):
    text = drawing(tmp_path)
    first, second = (inline(text, name, "title")[0] for name in ("first", "second"))
    assert not set(ids(first)) & set(ids(second))
    for svg in (first, second):
        assert len(set(ids(svg))) == len(ids(svg))
        references = re.findall(r'href="#([^"]*)"', svg) + re.findall(r"url\(#([^)]*)\)", svg)
        assert references
        assert set(references) <= set(ids(svg))


def test_a_drawing_is_an_element_without_header_metadata_or_size(tmp_path: Path):
    svg, width = inline(drawing(tmp_path), "one", "what <it> shows")
    assert svg.startswith("<svg")
    assert width == 288
    root = ET.fromstring(svg)  # noqa: S314 - ours
    assert "width" not in root.attrib
    assert root.attrib["viewBox"] == "0 0 216 144"
    assert root[0].text == "what <it> shows"
    assert root.attrib["aria-labelledby"] == root[0].attrib["id"]
    for gone in ("<?xml", "<!DOCTYPE", "<metadata", "<script"):
        assert gone not in svg
    assert "Verdana" in svg
