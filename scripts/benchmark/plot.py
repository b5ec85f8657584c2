"""Measurements as a figure: what a step costs, and how whole commands grow."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from scripts.benchmark.command import BenchmarkError
from scripts.benchmark.engine import OURS, PEERS
from src.report.style import INK, MUTED, class_markers, save, series_colors, style

Content = dict[str, Any]
ALONE = "one process"


def draw(content: Content, file: Path) -> None:
    """Write a figure of what was measured: the engine above, a panel for each way in which work grows below.

    Raises:
        BenchmarkError: If neither was measured.
    """
    engine, growth = content.get("engine"), content.get("growth", {}).get("axes", {})
    if not engine and not growth:
        raise BenchmarkError("--plot needs the part engine or growth, and neither was measured")
    with style():
        heights = [2.7] * bool(engine) + [2.2] * bool(growth)
        figure = Figure(figsize=(7.0, sum(heights)))
        rows = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        if engine:
            plot_engine(rows.pop(0).subplots(), engine)
        for ax, (name, measured) in zip(
            rows[0].subplots(1, len(growth)) if growth else [], growth.items(), strict=True
        ):
            plot_growth(ax, name, measured)
        save(figure, file.with_suffix(""), [file.suffix.lstrip(".")])


def plot_engine(ax: Axes, engine: Content) -> Axes:
    """Draw the least us per step and network against S: a colour a peer, a process a core solid, one process dashed.

    Args:
        ax: Where to draw.
        engine: The measurements of the engine.

    Returns:
        The same axes.
    """
    colors = dict(zip(PEERS, series_colors(len(PEERS)), strict=True)) | {OURS: INK}
    markers = dict(zip(PEERS, class_markers(len(PEERS)), strict=True))
    sizes = sorted(map(int, engine["sizes"]))
    for form in dict.fromkeys(form for size in sizes for form in engine["sizes"][str(size)]):
        peer, _, processes = form.partition(", ")
        measured = {size: engine["sizes"][str(size)].get(form) for size in sizes}
        points = {size: min(each["us"]) for size, each in measured.items() if each}
        ax.plot(
            list(points),
            list(points.values()),
            color=colors[peer],
            marker=markers[peer],
            markersize=3.5,
            linewidth=2.0 if peer == OURS else 1.1,
            linestyle="--" if processes == ALONE else "-",
        )
    ax.set(xscale="log", yscale="log", xlabel="networks S", ylabel="µs per step and network")
    ax.xaxis.set_major_locator(FixedLocator(sizes))
    ax.xaxis.set_minor_locator(NullLocator())
    plain_numbers(ax.xaxis, ax.yaxis)
    ax.grid(axis="y")
    drawn = {form.partition(",")[0] for forms in engine["sizes"].values() for form in forms}
    handles = [
        Line2D([], [], color=colors[peer], marker=markers[peer], markersize=3.5, label=PEERS[peer].title)
        for peer in PEERS
        if peer in drawn
    ]
    handles.append(Line2D([], [], color=MUTED, linestyle="--", label=ALONE))
    handles.append(Line2D([], [], color=MUTED, linestyle="-", label="a process a core"))
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def plot_growth(ax: Axes, name: str, measured: Content) -> Axes:
    """Draw the seconds (left scale) and the peak memory (right scale) of a whole command against its size.

    Args:
        ax: Where to draw.
        name: What grows.
        measured: Its measurements.

    Returns:
        The same axes.
    """
    memory, color = ax.twinx(), series_colors(1)[0]
    gigabytes = [each / 1e9 for each in measured["memory"]]
    ax.plot(measured["values"], measured["seconds"], color=INK, marker="o", markersize=3.5)
    memory.plot(measured["values"], gigabytes, color=color, marker="s", markersize=3, linestyle=":")
    epochs = measured["epochs"]
    ax.set(xscale="log", yscale="log", xlabel=f"{name} ({epochs} epoch{'s' * (epochs > 1)})", ylabel="seconds")
    memory.set(yscale="log")
    memory.set_ylabel("peak memory, GB", color=color)
    memory.spines["right"].set_visible(True)
    for scale, values in ((ax.yaxis, measured["seconds"]), (memory.yaxis, gigabytes)):
        low, high = min(values), max(values)
        scale.axes.set_ylim(low / 1.5, max(high * 1.5, low * 4))
        scale.set_minor_locator(NullLocator())
        scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
    values = measured["values"]
    few = values if len(values) <= 3 else values[:: 2 if len(values) > 4 else 1]
    ax.xaxis.set_major_locator(FixedLocator(few))
    ax.xaxis.set_minor_locator(NullLocator())
    plain_numbers(ax.xaxis, ax.yaxis, memory.yaxis)
    return ax


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
