"""A figure of the measurements: the time per step, and the growth of whole commands."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.engine import BACKENDS, OURS
from src.plotting.style import INK, MUTED, class_markers, save, series_colors, style

Content = dict[str, Any]
ALONE = "one process"


def draw(content: Content, file: Path) -> None:
    """Write a figure: the engine above, below it one panel per axis along which the work grows.

    Raises:
        BenchmarkError: If neither was measured.
    """
    engine, axes = content.get("engine"), content.get("growth", {}).get("axes", {})
    growth = {name: measured for name, measured in axes.items() if measured["values"]}
    if not engine and not growth:
        raise BenchmarkError("--plot needs the part engine or growth, and neither was measured")
    with style():
        heights = [2.7] * bool(engine) + [2.2] * bool(growth)
        figure = Figure(figsize=(7.0, sum(heights)))
        rows = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        if engine:
            plot_engine(rows.pop(0).subplots(), engine)
        if growth:
            plot_growth(rows.pop(0), growth)
        save(figure, file.with_suffix(""), [file.suffix.lstrip(".")])


def plot_engine(ax: Axes, engine: Content) -> Axes:
    """Draw the minimum us per step and network against S: one colour per backend, one process dashed.

    Args:
        ax: Where to draw.
        engine: The measurements of the engine.

    Returns:
        The same axes.
    """
    colors = dict(zip(BACKENDS, series_colors(len(BACKENDS)), strict=True)) | {OURS: INK}
    markers = dict(zip(BACKENDS, class_markers(len(BACKENDS)), strict=True))
    sizes = sorted(map(int, engine["sizes"]))
    for form in dict.fromkeys(form for size in sizes for form in engine["sizes"][str(size)]):
        backend, _, processes = form.partition(", ")
        measured = {size: engine["sizes"][str(size)].get(form) for size in sizes}
        fastest = {size: min(each["us"]) for size, each in measured.items() if each}
        ax.plot(
            list(fastest),
            list(fastest.values()),
            color=colors[backend],
            marker=markers[backend],
            markersize=3.5,
            linewidth=2.0 if backend == OURS else 1.1,
            linestyle="--" if processes == ALONE else "-",
        )
    ax.set(xscale="log", yscale="log", xlabel="networks S", ylabel="µs per step and network")
    ax.xaxis.set_major_locator(FixedLocator(sizes))
    ax.xaxis.set_minor_locator(NullLocator())
    plain_numbers(ax.xaxis, ax.yaxis)
    ax.grid(axis="y")
    drawn = {form.partition(",")[0] for forms in engine["sizes"].values() for form in forms}
    handles = [
        Line2D([], [], color=colors[backend], marker=markers[backend], markersize=3.5, label=BACKENDS[backend].title)
        for backend in BACKENDS
        if backend in drawn
    ]
    handles.append(Line2D([], [], color=MUTED, linestyle="--", label=ALONE))
    handles.append(Line2D([], [], color=MUTED, linestyle="-", label="one process per core"))
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def plot_growth(figure: FigureBase, growth: Content) -> None:
    """Draw the seconds (left scale) and the peak memory (right scale) of whole commands, one panel per axis.

    Args:
        figure: Where to draw.
        growth: The measurements of every axis along which work grows.
    """
    panels = figure.subplots(1, len(growth), sharey=True, squeeze=False)[0]
    memories = [ax.twinx() for ax in panels]
    color = series_colors(1)[0]
    for ax, memory, (name, measured) in zip(panels, memories, growth.items(), strict=True):
        values, epochs = measured["values"], measured["epochs"]
        ax.plot(values, measured["seconds"], color=INK, marker="o", markersize=3.5)
        memory.plot(values, _gigabytes(measured), color=color, marker="s", markersize=3, linestyle=":")
        ax.set(xscale="log", xlabel=f"{name} ({epochs} epoch{'s' * (epochs > 1)})")
        ax.xaxis.set_major_locator(FixedLocator(values if len(values) < 5 else values[::2]))
        ax.xaxis.set_minor_locator(NullLocator())
        plain_numbers(ax.xaxis)
        ax.grid(axis="y")
        memory.sharey(memories[0])
        memory.tick_params(right=False, labelright=False)
    _fit(panels[0], [each for measured in growth.values() for each in measured["seconds"]])
    _fit(memories[0], [each for measured in growth.values() for each in _gigabytes(measured)])
    panels[0].set_ylabel("seconds")
    memories[-1].set_ylabel("peak memory, GB", color=color)
    memories[-1].spines["right"].set_visible(True)
    memories[-1].tick_params(right=True, labelright=True)


def _gigabytes(measured: Content) -> list[float]:
    return [each / 1e9 for each in measured["memory"]]


def _fit(ax: Axes, values: list[float]) -> None:
    """Give the panels that share this one's scale a logarithmic one, of an octave and a half at least."""
    low, high = min(values), max(values)
    ax.set(yscale="log", ylim=(low / 1.3, max(high * 1.3, low * 3)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    plain_numbers(ax.yaxis)


def plain_numbers(*scales: Axis) -> None:
    """Write 10 and 1000, not powers of ten; 10k and 1M beyond."""
    for scale in scales:
        scale.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def short(value: float) -> str:
    """Return a number in few letters.

    Example:
        >>> short(0.5), short(1000), short(100000), short(1000000)
        ('0.5', '1000', '100k', '1M')
    """
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e4 else f"{value:g}"
