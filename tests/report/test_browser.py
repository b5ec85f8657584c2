"""The page in a browser: it fits a phone and a desktop, and nothing in it is wider than the screen."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from src.analysis.collect import collect
from src.analysis.comparisons import Plan
from src.analysis.findings import find
from src.report.figure_set import study_figures
from src.report.write import write_report
from tests.analysis.studies import write_run, write_study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome"),
]
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
WRAPPER = """<!DOCTYPE html><body style="margin:0">
<iframe id="page" src="{page}" style="border:0;width:{width}px;height:800px"></iframe><script>onload = () => {{
  const inner = document.getElementById("page").contentDocument;
  const wide = [...inner.querySelectorAll("body *")].filter(each =>
    !each.closest(".scroll, .drawing, pre") && each.getBoundingClientRect().right > {width} + 1);
  const small = [...inner.querySelectorAll("p, td, li")].filter(each =>
    parseFloat(getComputedStyle(each).fontSize) < 12);
  document.body.dataset.found = [inner.documentElement.scrollWidth, wide.length, small.length,
    inner.querySelectorAll("svg").length].join(" ");
}}</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a study with a long name, long settings and something left out."""
    folder = tmp_path_factory.mktemp("browser")
    study = write_study(folder / "a_study_with_quite_a_long_name_that_has_no_spaces_at_all", seeds=3, whole=True)
    for seed in range(3):
        write_run(
            study, "mse", 2, seed, config={"model": {"hidden": [100] * 12}}, overrides=["model.hidden=" + "9" * 90]
        )
    findings = find(collect([study]), "population/accuracy", Plan("ce"))
    left_out = {"failed": [f"{study}/seed=7: the loss became NaN"]}
    write_report(folder / "report", findings, study_figures(findings), left_out, ("svg",))
    return folder / "report" / "report.html"


def chromium(folder: Path, *arguments: str) -> str:
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_is_wider_than_the_screen(page: Path, tmp_path: Path, width: int):
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(WRAPPER.format(page=page.as_uri(), width=width))
    dom = chromium(
        tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=4000", "--dump-dom", wrapper.as_uri()
    )
    found = re.search(r'data-found="(\d+) (\d+) (\d+) (\d+)"', dom)
    assert found, dom[:2000]
    scroll_width, wide, small, drawings = map(int, found.groups())
    assert scroll_width <= width
    assert wide == 0
    assert small == 0
    assert drawings == 8


@pytest.mark.parametrize(("width", "height"), [(500, 800), (1280, 900)])
def test_the_page_is_drawn(page: Path, tmp_path: Path, width: int, height: int):
    shot = tmp_path / "shot.png"
    chromium(tmp_path, f"--window-size={width},{height}", f"--screenshot={shot}", page.as_uri())
    with Image.open(shot) as image:
        assert image.width == width
        assert len(image.convert("L").getcolors()) > 20


def test_the_page_prints(page: Path, tmp_path: Path):
    pdf = tmp_path / "page.pdf"
    chromium(tmp_path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", page.as_uri())
    assert pdf.read_bytes().startswith(b"%PDF-")
