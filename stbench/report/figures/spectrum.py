"""Power of predicted over power of true frames at each wavenumber: below 1, detail of that size is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stbench.metrics import Metric, get_metric
from stbench.report.analysis.compare import frame_statistics
from stbench.report.analysis.table import Row, Table
from stbench.report.figures.style import legend_below, look, new_figure, plain_log, save, short, styled, width_for

COLUMNS = ("row", "lead_times", "wavenumber", "power_ratio")


def draw_spectrum(table: Table, stem: Path) -> list[Path]:
    """The ratio of radially averaged power spectra, all lead times (solid) and the last one (dotted), mean over seeds.

    Nothing is drawn for a table without spectra (a metric with parts ``predicted_k`` and ``observed_k``).
    """
    metric = next((m for m in map(get_metric, table.metrics) if "predicted_1" in m.parts), None)
    known = {} if metric is None else {row.label: found for row in table.rows if (found := _ratios(row, metric)).size}
    if not known:
        return []
    lines: list[list[object]] = []
    with styled():
        figure = new_figure(2.4, width=width_for(len(known)))
        axes = figure.subplots()
        for place, row in enumerate(table.rows):
            if row.label not in known:
                continue
            for which, ratio_K in zip(("all", "last"), known[row.label], strict=True):
                style = look(place) | ({"linestyle": ":", "marker": ""} if which == "last" else {"markersize": 2.5})
                rings = np.arange(1, len(ratio_K) + 1)
                axes.plot(rings, ratio_K, label=short(row) if which == "all" else None, **style)
                lines += [[row.label, which, int(k), repr(float(v))] for k, v in zip(rings, ratio_K, strict=True)]
        axes.axhline(1, color="#444444", linewidth=0.8, linestyle="--")
        axes.set_yscale("log")
        plain_log(axes.yaxis)
        axes.set_xlabel("wavenumber (cycles per longer side)")
        axes.set_ylabel("power, predicted / true\n(dotted: last lead time)")
        legend_below(figure)
        return save(figure, stem.with_name(f"{stem.name}-spectrum.png"), COLUMNS, lines)


def _ratios(row: Row, metric: Metric) -> np.ndarray:
    """Power ratios over all lead times and at the last one, (2, K); empty where they were not recorded."""
    found = [frame_statistics(record, metric.name) for record in row.finished]
    known = [statistics_JNT.mean(axis=1) for statistics_JNT in found if statistics_JNT is not None]
    if not known or len(known) < len(found):
        return np.empty((0, 0))
    power_JT = np.mean(known, axis=0)
    power_J2 = np.stack([power_JT.mean(axis=1), power_JT[:, -1]], axis=1)
    rings = len(metric.parts) // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((power_J2[:rings] / power_J2[rings:]).T)
