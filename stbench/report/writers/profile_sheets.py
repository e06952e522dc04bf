"""Profiles as tables of text: counts, speed, memory, stages and growth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stbench.efficiency.records import Axis, Cost, Growth, Memory, Mode, Profile, Speed
from stbench.report.analysis.published_cost import PublishedCost, published_cost
from stbench.report.numbers import format_bytes, format_count, format_digits, format_time, format_work
from stbench.report.writers.cells import Sheet

NONE = "–"
FEW_SAMPLES = 20
AXES: tuple[Axis, ...] = ("horizon", "pixels", "batch")


def make_sheets(profile: Profile) -> tuple[Sheet, ...]:
    """Return the tables of a profile in reading order."""
    sheets = [_counts(profile), _speed(profile, "inference")]
    if any(s.mode == "training" for cost in profile.costs for s in cost.speeds):
        sheets.append(_speed(profile, "training"))
    if any(cost.memories for cost in profile.costs):
        sheets.append(_memory(profile))
    return (*sheets, _time(profile))


def _counts(profile: Profile) -> Sheet:
    rows: list[tuple[str, ...]] = []
    published_notes: list[str] = []
    sources: list[str] = []
    notes: list[str] = []
    for cost in profile.costs:
        published = published_cost(profile.benchmark, cost)
        mark = ""
        if published is not None and published.notes:
            mark = f" [{len(published_notes) + 1}]"
            published_notes.append(f"{mark.strip()} {cost.method}: {'; '.join(published.notes)}.")
        if published is not None:
            sources.append(f"{cost.method}: published as {published.label} ({published.table}), {published.source}.")
        rows.append(_count_row(cost, published, mark))
        notes += [f"{cost.method}: {text}." for text in _count_notes(cost)]
    heads = (
        "method",
        "params live",
        "dead",
        "shared",
        "MACs",
        "one pass",
        "FLOPs",
        "published params",
        "published MACs",
    )
    convention = "MACs: one prediction over the whole horizon, batch 1, fvcore's convention; FLOPs = 2·MACs."
    return Sheet("Parameters and multiply-adds", heads, tuple(rows), (convention, *published_notes, *sources, *notes))


def _count_notes(cost: Cost) -> Iterator[str]:
    """Return notes on the parts of a method's counts, and on what they leave out."""
    macs, parameters = cost.macs, cost.parameters
    if macs.modules:
        yield f"MACs by part: {', '.join(f'{name} {format_work(count)}' for name, count in macs.modules.items())}"
    if macs.attention:
        share = format_work(macs.attention)
        yield f"{share} of its MACs are the two products of attention, which plain fvcore does not count"
    if macs.idle > 0:
        yield f"{format_work(macs.idle)} of its MACs are in the published convention but not executed"
    if macs.idle < 0:
        yield f"it executes {format_work(-macs.idle)} MACs that published counts leave out"
    if parameters.dead:
        yield f"dead parameters: {', '.join(parameters.dead_names)}"
    if parameters.shared:
        yield f"shared parameters: {', '.join(parameters.shared_names)}"
    if macs.torch_counter != macs.executed:
        yield f"torch's counter finds {format_work(macs.torch_counter)}, fvcore {format_work(macs.executed)}"
    if macs.uncounted:
        calls = ", ".join(f"{name} ×{count}" for name, count in sorted(macs.uncounted.items()))
        yield f"operators not counted: {calls}"


def _count_row(cost: Cost, published: PublishedCost | None, mark: str) -> tuple[str, ...]:
    parameters, macs = cost.parameters, cost.macs
    theirs = published or PublishedCost()
    return (
        cost.method,
        format_count(parameters.live),
        format_count(parameters.dead),
        format_count(parameters.shared),
        format_work(macs.total),
        NONE if macs.one_pass is None else format_work(macs.one_pass),
        format_work(macs.flops),
        _show(theirs.parameters_m, lambda m: f"{m:.2f} M{mark if theirs.parameters_note else ''}"),
        _show(theirs.macs_g, lambda g: f"{g:.2f} G{mark if theirs.macs_note else ''}"),
    )


def _speed(profile: Profile, mode: Mode) -> Sheet:
    found = [(cost.method, s) for cost in profile.costs for s in cost.speeds if s.mode == mode]
    keys = list(dict.fromkeys((s.precision, s.batch) for _, s in found))
    rows = [_speed_row(name, s) for key in keys for name, s in found if (s.precision, s.batch) == key]
    heads = ("method", "precision", "batch", "p50", "p95", "IQR", "n", "seq/s", "frames/s", "of peak")
    notes = ["Of peak: 2·MACs per second over the fastest of several matrix products and convolutions on this device."]
    if mode == "training":
        notes.append("A training step counts as three forward passes.")
    if any(s.seconds and s.seconds.samples < FEW_SAMPLES for _, s in found):
        notes.append(f"With fewer than n = {FEW_SAMPLES} repeats, the p95 is close to the maximum.")
    if any(s.share_of_peak and s.share_of_peak > 1 for _, s in found):
        notes.append("A share above 1 means that a convolution uses fewer operations than are counted.")
    if profile.compiled:
        notes.append("Predictions run through torch.compile.")
    title = {"inference": "Speed of predictions", "training": "Speed of training"}[mode]
    return Sheet(title, heads, tuple(rows), tuple(notes))


def _speed_row(name: str, speed: Speed) -> tuple[str, ...]:
    head = name, speed.precision, str(speed.batch)
    spread = speed.seconds
    if spread is None:
        return (*head, speed.failure or NONE, *[NONE] * 6)
    return (
        *head,
        format_time(spread.p50),
        *(format_time(value) if spread.samples > 1 else NONE for value in (spread.p95, spread.iqr)),
        str(spread.samples),
        _show(speed.sequences_per_second, format_digits),
        _show(speed.frames_per_second, format_digits),
        _show(speed.share_of_peak, lambda share: f"{share:.2f}"),
    )


def _memory(profile: Profile) -> Sheet:
    keys = list(dict.fromkeys((m.mode, m.precision) for cost in profile.costs for m in cost.memories))
    heads = ["method", "batch"]
    for mode, precision in keys:
        heads += [f"{mode} {precision} peak", "activations"]
    rows = []
    for cost in profile.costs:
        by_key = {(m.mode, m.precision): m for m in cost.memories}
        first = cost.memories[0] if cost.memories else None
        cells = [text for key in keys for text in _memory_cells(by_key.get(key))]
        rows.append((cost.method, str(first.batch) if first else NONE, *cells, *_start_cells(first)))
    notes = (
        "Each peak was measured in a fresh process; on a CPU it is the resident set with libraries.",
        "Activations: the peak minus the memory of the process after building the method.",
    )
    return Sheet("Memory and start-up", (*heads, "start-up", "first clip"), tuple(rows), notes)


def _memory_cells(memory: Memory | None) -> tuple[str, str]:
    if memory is None:
        return NONE, NONE
    return _show(memory.peak, format_bytes, memory.failure), _show(memory.activations, format_bytes)


def _start_cells(memory: Memory | None) -> tuple[str, str]:
    return _show(memory.start_up if memory else None, format_time), _show(memory.first if memory else None, format_time)


def _time(profile: Profile) -> Sheet:
    rows = []
    for cost in profile.costs:
        stages = cost.stages
        shares = (
            [NONE] * 3
            if stages is None
            else [f"{100 * s:.0f} %" for s in (stages.encoder, stages.temporal, stages.decoder)]
        )
        growths = {growth.axis: growth for growth in cost.growths}
        exponents = [_exponents(growths.get(axis)) for axis in AXES]
        joules = _show(cost.energy.joules_per_sequence, lambda j: f"{format_digits(j)} J", "not measured")
        rows.append((cost.method, *shares, *exponents, joules))
    notes = (
        "Encoder, temporal module, decoder: shares of a prediction's time at batch 1.",
        "Growth: exponent of time (of MACs) in the horizon, in H·W and in the batch; 1 is proportional.",
        *dict.fromkeys(f"Energy: {cost.energy.reason}." for cost in profile.costs if cost.energy.reason),
    )
    growth_heads = tuple(f"grows with {axis}" for axis in AXES)
    return Sheet(
        "Stages and growth",
        ("method", "encoder", "temporal", "decoder", *growth_heads, "energy per sequence"),
        tuple(rows),
        notes,
    )


def _exponents(growth: Growth | None) -> str:
    if growth is None:
        return NONE
    return f"{_show(growth.time_exponent, _exponent)} ({_show(growth.macs_exponent, _exponent)})"


def _exponent(value: float) -> str:
    return f"{value:.2f}"


def _show(value: float | None, how: Callable[[float], str], instead: str | None = None) -> str:
    return (instead or NONE) if value is None else how(value)
