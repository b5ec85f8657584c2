"""Movies of a training: decision regions and loss over the epochs, as GIF and as a page with a slider."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageSequence

from src.plotting.run_figures import plot_test_scatter, scatter_legend, set_loss_scale
from src.plotting.style import INK, series_colors, style
from src.storage.atomic import replacing_file
from src.utils.errors import first_line

DPI = 100
MILLISECONDS = 150  # per frame
LAST_MILLISECONDS = 2000
TITLE_HEIGHT = 28  # pixels
_EPOCHS = "epochs "  # begins the comment of a GIF
_FONT = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
_TEMPLATES = Path(__file__).parent / "templates"


def plot_loss_epochs(ax: Axes, curves: Mapping[str, NDArray[np.floating]], epoch: int) -> Axes:
    """Draw losses over a logarithmic axis of epochs, and a line at one epoch.

    Args:
        ax: Where to draw.
        curves: The loss after each epoch, (E,), by name. Values that are not finite are left out.
        epoch: The number of finished epochs, at least 0; there is no line at 0.

    Returns:
        The same axes.
    """
    for (name, loss), color in zip(curves.items(), series_colors(len(curves)), strict=True):
        marker = "o" if len(loss) == 1 else None
        loss = np.where(np.isfinite(loss), loss, np.nan)
        ax.plot(np.arange(1, len(loss) + 1), loss, color=color, marker=marker, label=name)
    if epoch:
        ax.axvline(epoch, color=INK, linewidth=0.9)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="epoch", ylabel="loss")
    ax.set_title(f"epoch {epoch}", loc="left")
    set_loss_scale(ax, np.concatenate(list(curves.values())))
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return ax


def frame(curves: Mapping[str, NDArray[np.floating]], epoch: int, classes: int, **scatter: Any) -> Image.Image:
    """Return one picture of a movie: test samples over the decision regions, and the losses.

    Args:
        curves: The loss after each epoch, (E,), by name.
        epoch: The number of finished epochs, at least 0.
        classes: Number of classes C.
        scatter: Arguments of ``plot_test_scatter``.
    """
    with style():
        figure = Figure(figsize=(8.4, 3.4), dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        loss, regions = figure.subplots(1, 2)
        plot_loss_epochs(loss, curves, epoch)
        plot_test_scatter(regions, classes=classes, **scatter)
        scatter_legend([regions], classes)
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def side_by_side(movies: Mapping[str, Mapping[int, Image.Image]]) -> dict[int, Image.Image]:
    """Return the pictures of several movies beside each other, below their titles.

    Args:
        movies: Pictures by their epochs, by the title of the movie; at least one of each.

    Returns:
        One picture for each epoch of any of them; a movie without that epoch shows the last one before it, if any.
    """
    font = ImageFont.truetype(str(_FONT), TITLE_HEIGHT // 2)
    joined = {}
    for epoch in sorted({epoch for frames in movies.values() for epoch in frames}):
        images = [
            frames[max((each for each in frames if each <= epoch), default=min(frames))] for frames in movies.values()
        ]
        size = sum(image.width for image in images), TITLE_HEIGHT + max(image.height for image in images)
        joined[epoch] = Image.new("RGB", size, "white")
        draw, left = ImageDraw.Draw(joined[epoch]), 0
        for title, image in zip(movies, images, strict=True):
            while font.getlength(title) > image.width - TITLE_HEIGHT:
                title = f"{title.removesuffix('...')[:-1]}..."
            draw.text((left + TITLE_HEIGHT // 2, TITLE_HEIGHT // 4), title, INK, font)
            joined[epoch].paste(image, (left, TITLE_HEIGHT))
            left += image.width
    return joined


def write_gif(path: Path, frames: Mapping[int, Image.Image]) -> Path:
    """Write frames by their epochs, of which the last stays longer, as an endless GIF and return its path.

    A frame that is equal to the one before is left out, as Pillow would do.
    """
    # The median cut, which is the default, mixes the colours of classes that have few pixels.
    palette: dict[str, Any] = {"method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
    kept: dict[int, Image.Image] = {}
    for epoch, image in frames.items():
        quantized = image.quantize(**palette)
        if not kept or ImageChops.difference(quantized.convert("RGB"), [*kept.values()][-1].convert("RGB")).getbbox():
            kept[epoch] = quantized
    first, *others = kept.values()
    options: dict[str, Any] = {
        "duration": [MILLISECONDS] * len(others) + [LAST_MILLISECONDS],
        "loop": 0,
        "comment": f"{_EPOCHS}{','.join(map(str, kept))}".encode(),
    }
    with replacing_file(path) as scratch:
        first.save(scratch, format="GIF", save_all=True, append_images=others, **options)
    return path


def read_gif(path: Path) -> dict[int, Image.Image]:
    """Return the frames of a GIF of ``write_gif`` by their epochs.

    Raises:
        ValueError: If the file is missing or is none.
    """
    try:
        with Image.open(path, formats=["GIF"]) as movie:
            epochs = movie.info.get("comment", b"").decode().removeprefix(_EPOCHS)
            frames = [image.convert("RGB") for image in ImageSequence.Iterator(movie)]
        return dict(zip(map(int, epochs.split(",")), frames, strict=True))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow's for a broken file
        raise ValueError(f"{path} is not a movie of figures=movie ({first_line(error)})") from None


def write_page(path: Path, title: str, frames: Mapping[int, bytes]) -> Path:
    """Write frames, PNG by their epochs, as one self-contained HTML page with a slider and return its path."""
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    embedded = [(epoch, base64.b64encode(image).decode()) for epoch, image in frames.items()]
    page = environment.get_template("movie.html").render(title=title, frames=embedded)
    with replacing_file(path) as scratch:
        scratch.write_text(page, encoding="utf-8")
    return path


def png(image: Image.Image) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
