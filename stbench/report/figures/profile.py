"""Latency against multiply-adds, with a bubble per method whose area is proportional to its parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stbench.efficiency.records import Cost, Profile
from stbench.report.encode import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AREA_PER_MILLION = 45.0
SMALLEST = 20.0
ROOM = 1.8
"""Margin around the outermost bubbles, as a factor on the logarithmic axes."""


def draw(profile: Profile, path: Path) -> None:
    """Save the figure as PNG; the grey line is the latency at the device's measured peak."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    timed = [(cost, seconds) for cost in profile.costs if (seconds := latency(cost)) is not None and cost.macs.total]
    shown = sorted(timed, key=lambda pair: (pair[0].macs.total, pair[1]))
    for number, (cost, seconds) in enumerate(shown):
        area = max(SMALLEST, AREA_PER_MILLION * cost.parameters.live / 1e6)
        place = cost.macs.total / 1e9, 1e3 * seconds
        axes.scatter(*place, s=area, color=f"C{number}", alpha=0.6, edgecolors="black", linewidths=0.5)
        above = number % 2 == 1
        axes.annotate(
            f"{picture(cost.method)}, {cost.parameters.live / 1e6:.1f} M",
            place,
            textcoords="offset points",
            xytext=(0, (1 if above else -1) * (area**0.5 / 2 + 3)),
            ha="center",
            va="bottom" if above else "top",
            fontsize=8,
        )
    axes.set(xscale="log", yscale="log", xlabel="10⁹ MACs of one prediction", ylabel="latency at batch 1, p50 (ms)")
    if shown:
        _frame(axes, shown)
        _peak_line(axes, shown)
    environment = profile.environment
    axes.set_title(
        picture(f"{profile.benchmark}: {environment['device']}, threads: {environment['threads']}; area: parameters"),
        fontsize=9,
    )
    figure.savefig(path, format="png", dpi=150)


def latency(cost: Cost) -> float | None:
    """Return the median seconds of a prediction at batch 1 in the first measured precision."""
    ones = (s.seconds.p50 for s in cost.speeds if s.mode == "inference" and s.batch == 1 and s.seconds)
    return next(ones, None)


def _frame(axes: Axes, shown: list[tuple[Cost, float]]) -> None:
    from matplotlib.ticker import LogFormatter

    macs = [cost.macs.total / 1e9 for cost, _ in shown]
    times = [1e3 * seconds for _, seconds in shown]
    axes.set_xlim(min(macs) / ROOM, max(macs) * ROOM)
    axes.set_ylim(min(times) / ROOM**2, max(times) * ROOM)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))


def _peak_line(axes: Axes, shown: list[tuple[Cost, float]]) -> None:
    """Draw the latency at the device's peak."""
    peaks = (s.peak_flops or s.gemm_flops for s in shown[0][0].speeds)
    peak = next((peak for peak in peaks if peak), None)
    if peak is None:
        return
    ends = [min(cost.macs.total for cost, _ in shown) / ROOM, max(cost.macs.total for cost, _ in shown) * ROOM]
    label = f"measured peak, {peak / 1e9:.0f} GFLOP/s"
    axes.plot([e / 1e9 for e in ends], [2e3 * e / peak for e in ends], color="0.6", lw=1, ls="--", label=label)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
