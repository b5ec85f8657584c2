"""Movies of a training: decision regions and loss over the epochs, as GIF and as a page with a slider."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from src.plotting.run_figures import plot_test_scatter, scatter_legend, set_loss_scale
from src.plotting.style import INK, series_colors, style
from src.storage.atomic import replacing_file

DPI = 100
MILLISECONDS = 150  # per frame
LAST_MILLISECONDS = 2000
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


def write_gif(path: Path, frames: Sequence[Image.Image]) -> Path:
    """Write frames, of which the last stays longer, as an endless GIF and return its path."""
    # The median cut, which is the default, mixes the colours of classes that have few pixels.
    palette: dict[str, Any] = {"method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
    first, *others = [image.quantize(**palette) for image in frames]
    duration = [MILLISECONDS] * len(others) + [LAST_MILLISECONDS]
    with replacing_file(path) as scratch:
        first.save(scratch, format="GIF", save_all=True, append_images=others, duration=duration, loop=0)
    return path


def write_page(path: Path, title: str, frames: Mapping[int, Image.Image]) -> Path:
    """Write frames by their epochs as one self-contained HTML page with a slider and return its path."""
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    embedded = [(epoch, base64.b64encode(_png(image)).decode()) for epoch, image in frames.items()]
    page = environment.get_template("movie.html").render(title=title, frames=embedded)
    with replacing_file(path) as scratch:
        scratch.write_text(page, encoding="utf-8")
    return path


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
