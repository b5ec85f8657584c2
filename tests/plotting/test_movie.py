from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from src.plotting.movie import TITLE_HEIGHT, frame, plot_loss_epochs, png, read_gif, side_by_side, write_gif, write_page
from src.plotting.style import class_colors


class Page(HTMLParser):
    """The tags of a page, and its title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def frames() -> dict[int, Image.Image]:
    """Return pictures of one sample that is right from epoch 2 on."""
    curves = {"train/loss": np.array([3.0, np.nan, 1.0])}
    samples = {"x": np.zeros((1, 2)), "target": np.array([1]), "regions": None}
    return {epoch: frame(curves, epoch, 2, pred=np.array([int(epoch > 1)]), **samples) for epoch in (0, 1, 2)}


def test_losses_have_their_epochs_and_a_line_at_one_of_them() -> None:
    ax = plot_loss_epochs(Figure().subplots(), {"a": np.array([3.0, np.nan, 1.0]), "b": np.ones(3)}, 2)
    loss, _, line = ax.lines
    np.testing.assert_array_equal(loss.get_xydata(), [[1, 3], [2, np.nan], [3, 1]])
    assert set(line.get_xdata()) == {2}
    assert len(plot_loss_epochs(Figure().subplots(), {"a": np.ones(3)}, 0).lines) == 1


def test_a_gif_has_every_frame_and_repeats(frames: dict[int, Image.Image], tmp_path: Path) -> None:
    with Image.open(write_gif(tmp_path / "movie.gif", frames)) as movie:
        assert movie.n_frames == 3
        assert movie.size == frames[0].size
        assert movie.info["loop"] == 0
        movie.seek(2)
        shown, drawn = (np.asarray(image.convert("RGB"), dtype=int) for image in (movie, frames[2]))
    for color in class_colors(2):
        rgb = np.round(255 * np.array(to_rgb(color)))
        of_class = (drawn == rgb).all(-1)
        assert of_class.any()
        assert np.abs(shown[of_class] - rgb).max() <= 8
    assert np.abs(shown - drawn).mean() < 1  # of 255


def test_a_page_has_every_frame_and_escapes_its_title(frames: dict[int, Image.Image], tmp_path: Path) -> None:
    pictures = {epoch: png(image) for epoch, image in frames.items()}
    page = Page(write_page(tmp_path / "movie.html", "<script>alert(1)</script>&", pictures).read_text(encoding="utf-8"))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["data-epoch"] for image in images] == ["0", "1", "2"]
    assert ["hidden" in image for image in images] == [True, True, False]
    assert all(image["src"].startswith("data:image/png;base64,") for image in images)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert page.words.count("<script>alert(1)</script>&") == 2


def test_movies_beside_each_other_show_the_same_epoch(frames: dict[int, Image.Image], tmp_path: Path) -> None:
    read = read_gif(write_gif(tmp_path / "movie.gif", frames))
    assert list(read) == [0, 1, 2]
    later = {1: Image.new("RGB", frames[1].size, "red"), 5: Image.new("RGB", frames[1].size, "blue")}
    joined = side_by_side({"mse " * 60: frames, "ce λ": later})
    assert list(joined) == [0, 1, 2, 5]
    width, height = frames[0].size
    for epoch, own, color in [(0, 0, (255, 0, 0)), (1, 1, (255, 0, 0)), (2, 2, (255, 0, 0)), (5, 2, (0, 0, 255))]:
        picture = joined[epoch]
        assert picture.size == (2 * width, TITLE_HEIGHT + height)
        left = np.asarray(picture.crop((0, TITLE_HEIGHT, width, TITLE_HEIGHT + height)))
        np.testing.assert_array_equal(left, np.asarray(frames[own]))
        assert picture.getpixel((width + 5, TITLE_HEIGHT + 5)) == color
        title = np.asarray(picture.crop((width, 0, 2 * width, TITLE_HEIGHT)))
        assert (title < 100).any()


@pytest.mark.parametrize("content", [b"", b"GIF89a" + bytes(20), b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_movie_is_one_line(content: bytes, tmp_path: Path, frames: dict[int, Image.Image]) -> None:
    path = tmp_path / "movie.gif"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"movie\.gif is not a movie of figures=movie"):
        read_gif(path)
    frames[0].save(path)  # a picture without epochs
    with pytest.raises(ValueError, match=r"movie\.gif is not a movie of figures=movie"):
        read_gif(path)
