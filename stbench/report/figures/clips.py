"""Pictures of predictions: strips for print, an animation for talks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stbench.files import write_gif
from stbench.report.analysis.clips import Clips, shared_clips, to_error, to_image
from stbench.report.analysis.table import Table
from stbench.report.encode import picture
from stbench.report.figures.style import COLUMN, new_figure, pictures_wanted, save, styled

FRAMES = 5
CLIPS = 2
FRAME_MS = 350
ERROR_MAP = "inferno"
COLUMNS = ("row", "clip", "lead_time", "mse_frame", "largest_error")


def draw_strips(table: Table, stem: Path) -> list[Path]:
    """Draw input, truth, and every row's prediction with its absolute error, one picture per clip."""
    clips = shared_clips(table)
    if clips is None:
        return []
    written: list[Path] = []
    for number in range(min(CLIPS, len(clips.index))):
        path = stem.with_name(f"{stem.name}-clip{clips.index[number]}.png")
        with styled():
            written += save(_strip(clips, number), path, COLUMNS, _lines(clips, number))
    return written


def _strip(clips: Clips, number: int) -> Figure:
    past, future = clips.past[number], clips.future[number]
    shown = _evenly(len(future), FRAMES)
    seen = _evenly(len(past), len(shown))
    errors = {name: [to_error(p[number][t], future[t]) for t in shown] for name, p in clips.predictions.items()}
    worst = max((float(np.nanmax(error)) for row in errors.values() for error in row), default=1.0) or 1.0
    image = to_image(past[0], clips.low, clips.high)
    ratio = image.shape[0] / image.shape[1]
    rows = 2 + 2 * len(errors)
    figure = new_figure(rows * ((COLUMN - 1.1) / len(shown) * ratio + 0.03) + 0.7)
    grid = figure.subplots(rows, len(shown), squeeze=False)
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    for axes in grid.flat:
        axes.set_axis_off()
    _images(grid[0], [past[t] for t in seen], clips, "input", [f"t = {t - len(past) + 1}" for t in seen])
    _images(grid[1], [future[t] for t in shown], clips, "truth", [f"t = {t + 1}" for t in shown])
    last: Any = None
    for place, (name, prediction) in enumerate(clips.predictions.items()):
        _images(grid[2 + 2 * place], [prediction[number][t] for t in shown], clips, name, [])
        for axes, error in zip(grid[3 + 2 * place], errors[name], strict=True):
            last = axes.imshow(error, cmap=ERROR_MAP, vmin=0, vmax=worst)
        _name(grid[3 + 2 * place][0], "error")
    if last is not None:
        bar = figure.colorbar(last, ax=grid, location="bottom", fraction=0.03, aspect=40, pad=0.01)
        bar.set_label("absolute error, model units")
    return figure


def _images(line: Any, frames: list[Any], clips: Clips, name: str, titles: list[str]) -> None:
    for axes, frame in zip(line, frames, strict=False):
        axes.imshow(to_image(frame, clips.low, clips.high), cmap="gray", vmin=0, vmax=255)
    for axes, title in zip(line, titles, strict=False):
        axes.set_title(title, fontsize=6, pad=1.5)
    _name(line[0], name)


def _name(axes: Axes, name: str) -> None:
    """Write a name to the left of a strip, on two lines if it is long."""
    text = picture(name).replace(" [", "\n[", 1).replace(", ", ",\n")
    axes.annotate(text, (-0.06, 0.5), xycoords="axes fraction", ha="right", va="center", fontsize=6)


def _evenly(count: int, most: int) -> list[int]:
    """Return at most ``most`` of ``count`` positions, evenly spaced, with first and last."""
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, most))})


def _lines(clips: Clips, number: int) -> list[list[object]]:
    lines: list[list[object]] = []
    for name, prediction in clips.predictions.items():
        error = (prediction[number] - clips.future[number]).astype(np.float64)
        for step, frame in enumerate(error):
            known = frame[~np.isnan(frame)]  # a sum over known cells is scaled to the frame, as in the metric
            mse = float((known**2).sum()) * frame.size / max(1, known.size)
            most = float(abs(known).max(initial=0.0))
            lines.append([name, int(clips.index[number]), step + 1, repr(mse), repr(most)])
    return lines


def draw_gif(table: Table, stem: Path) -> list[Path]:
    """Animate the input, then truth and every row's prediction of the first clip side by side."""
    clips = shared_clips(table)
    if clips is None or not pictures_wanted():
        return []
    from PIL import Image

    frames = [Image.fromarray(frame) for frame in _animation(clips)]
    path = stem.with_name(f"{stem.name}-clip{clips.index[0]}.gif")
    write_gif(path, frames, FRAME_MS)
    return [path]


def _animation(clips: Clips) -> list[Any]:
    """Return one labelled picture per time step, (H', W', 3)."""
    names = ["truth", *clips.predictions]
    steps = len(clips.past[0]) + len(clips.future[0])
    columns = min(len(names), 4)
    lines = -(-len(names) // columns)
    first = to_image(clips.past[0][0], clips.low, clips.high)
    tile = 1.5
    with styled():
        size = (columns * tile, lines * (tile * first.shape[0] / first.shape[1] + 0.3) + 0.3)
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
        pictures = [_tile(axes, name, first) for axes, name in zip(grid, names, strict=False)]
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        return [_frame(figure, pictures, clips, step) for step in range(steps)]


def _tile(axes: Axes, name: str, first: Any) -> Any:
    axes.set_axis_off()
    axes.set_title(picture(name).replace(" [", "\n[", 1), fontsize=6)
    return axes.imshow(first, cmap="gray", vmin=0, vmax=255)


def _frame(figure: Figure, pictures: list[Any], clips: Clips, step: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    lead = step - len(clips.past[0])
    figure.suptitle(f"input, t = {lead + 1}" if lead < 0 else f"prediction, t = {lead + 1}", fontsize=8)
    sources = [clips.future[0], *(p[0] for p in clips.predictions.values())]
    for shown, source in zip(pictures, sources, strict=True):
        shown.set_data(to_image(clips.past[0][step] if lead < 0 else source[lead], clips.low, clips.high))
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
