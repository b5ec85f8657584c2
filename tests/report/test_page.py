import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import find
from src.report.content import Content, content
from src.report.page import html_page, markdown_page
from tests.analysis.studies import write_collapsed, write_run, write_study

VOID = {"meta", "link", "img", "br", "hr", "input", "path", "use", "image"}


class Outline(HTMLParser):
    """Collects tags, addresses and text, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.tags, self.addresses, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not (self.open and self.open[-1] in ("style", "title")):
            self.text.append(data)


def parsed(page: str) -> Outline:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    return outline


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Content:
    study = write_study(tmp_path_factory.mktemp("page") / "hw4", seeds=5)
    return content(find(collect([study]), "population/accuracy", Plan("ce")), ["accuracy"], {"failed": ["a: NaN"]})


SVG = '<?xml version="1.0"?><svg width="216pt" height="144pt" viewBox="0 0 216 144"><g id="a"/></svg>'


def test_the_page_needs_nothing_but_itself(report: Content):
    page = html_page(report, {"accuracy": SVG})
    outline = parsed(page)
    assert page.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "iframe", "img"} & set(outline.tags)
    assert all(address.startswith("#") for address in outline.addresses)
    assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\((?!#)", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_page_has_its_parts_in_order(report: Content):
    text = " ".join(" ".join(parsed(html_page(report, {"accuracy": SVG})).text).split())
    parts = (
        "How much does the choice of loss matter: by how much does mse differ from ce on population accuracy",
        report.answer[0],
        "Figures",
        "One box per condition, one dot per seed or the density of many.",
        "Tables",
        "Population accuracy against ce",
        "How many seeds?",
        "Left out",
        "a: NaN",
        "Provenance",
        "Settings that differ",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_seeds_that_did_not_learn_have_a_section_with_the_cure(tmp_path: Path):
    for seed in range(3):
        (write_collapsed if seed else write_run)(tmp_path / "hw4", seed=seed, overrides=["loss=ce", f"seed={seed}"])
    found = content(find(collect([tmp_path / "hw4"]), "population/accuracy", Plan("ce")), ["collapse"], {})
    command = "python -m src.train --multirun loss=ce 'seed=range(3)' model.init=kaiming study=hw4_kaiming"
    assert found.kaiming_commands == [command]
    assert [picture.name for picture in found.collapse_pictures] == ["collapse"]
    assert not found.pictures
    page, markdown = html_page(found, {"collapse": SVG}), markdown_page(found)
    text = " ".join(" ".join(parsed(page).text).split())
    for each in ("Seeds that did not learn", found.collapse[0], command):
        assert each in text
        assert each in markdown.replace("\\", "")
    assert 'id="figure-collapse"' in page


def test_a_picture_without_a_drawing_is_left_out(report: Content):
    page = html_page(report, {})
    assert "<figure" not in page
    assert "did not learn" not in page + markdown_page(report)


def test_long_lists_and_tables_are_cut_with_a_pointer_to_the_files(report: Content):
    long = replace(report.tables[0], rows=report.tables[0].rows * 200)
    page = html_page(replace(report, tables=[long], left_out={"failed": ["x"] * 50}), {})
    assert page.count("<li>x</li>") == 20
    assert "and 30 more, see problems.txt" in page
    assert "And 400 more rows" in page


def test_nothing_left_out_is_said(report: Content):
    clean = replace(report, left_out={})
    assert "no run failed, is missing or could not be read" in html_page(clean, {})
    assert "no run failed, is missing or could not be read" in markdown_page(clean)


def test_names_are_text_in_both_pages(tmp_path: Path):
    name = '<b onclick="x">a|b`c`_d_ @you [l](http://e.org)'
    for seed in range(3):
        write_run(tmp_path / "<i>", name, seed=seed, condition="a", versions={"<u>": "</ul>"})
        write_run(tmp_path / "<i>", "ce", seed=seed, overrides=["x=</pre><script>"])
    found = content(find(collect([tmp_path / "<i>"]), "population/accuracy", Plan("ce")), [], {"<s>": ["<script>"]})
    page, markdown = html_page(found, {}), markdown_page(found)
    outline = parsed(page)
    assert not {"b", "i", "u", "s", "script"} & set(outline.tags)
    assert name in "".join(outline.text)
    prose = "\n".join(line for line in markdown.splitlines() if not line.startswith("    "))  # except the commands
    for text in ("<b", "<i>", "<script>", "@you", "](http", "http://"):
        assert text not in prose
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows if "onclick" in row} <= {
        len(re.findall(r"(?<!\\)\|", row)) for row in rows if "onclick" not in row
    }


def test_markdown_says_the_same(report: Content):
    markdown = markdown_page(report)
    assert markdown.startswith("# hw4\n")
    plain = markdown.replace("\\", "")
    for text in (report.question, *report.answer, *report.notes):
        assert text in plain
    assert "![Accuracy](accuracy.png)" in markdown
    assert "| loss | C | n |" in markdown
    assert "- a: NaN" in markdown


def test_the_template_is_part_of_the_checkout():
    template = Path(html_page.__code__.co_filename).parent / "templates" / "report.html"
    listed = subprocess.run(
        ["git", "check-ignore", str(template)], cwd=template.parent, capture_output=True, check=False
    )
    assert template.is_file()
    assert listed.returncode != 0
