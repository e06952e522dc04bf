"""A search as tables: the best settings of each method, and all trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from stbench.errors import counted
from stbench.report.analysis.expected import errors_of, expected_lowest
from stbench.report.numbers import format_duration, format_value, format_work
from stbench.report.writers.cells import Sheet
from stbench.report.writers.csv import as_csv
from stbench.report.writers.markdown import sheet_markdown
from stbench.schema.trial import Trial, Tuned

HEADINGS = (
    *("method", "best settings", "trial", "validation ↓", "expected of 1", "trials", "pruned", "failed"),
    *("training", "MACs"),
)
COLUMNS = ("method", "trial", "state", "validation", "epochs", "train_seconds", "train_macs", "reason", "run")


def short(settings: Mapping[str, str]) -> str:
    """Return settings on one line: keys without their section, numbers with four digits.

    >>> short({"training.lr": "0.00123456", "config.width": "[8, 16]"})
    'lr=0.001235, width=[8, 16]'
    """
    return ", ".join(f"{key.partition('.')[2]}={_rounded(text)}" for key, text in settings.items())


def _rounded(text: str) -> str:
    try:
        return text if text.lstrip("-").isdigit() else f"{float(text):.4g}"
    except ValueError:
        return text


def best_sheet(tuned: Tuned) -> Sheet:
    """Return the best settings of each method, in the order of their validation error."""
    order = sorted(tuned.methods, key=lambda method: _value(tuned.best(method)))
    rows = tuple(_row(tuned, method) for method in order)
    title = f"Best settings on {tuned.benchmark}, {tuned.protocol}: {tuned.limit} for each method"
    return Sheet(title, HEADINGS, rows, notes(tuned), names=2)


def _value(trial: Trial | None) -> float:
    return float("inf") if trial is None or trial.value is None else trial.value


def _row(tuned: Tuned, method: str) -> tuple[str, ...]:
    trials, best = tuned.of(method), tuned.best(method)
    states = Counter(trial.state for trial in trials)
    errors = errors_of(trials)
    macs = [trial.macs for trial in trials if trial.macs is not None]
    return (
        method,
        "none finished" if best is None else short(best.settings),
        "" if best is None else str(best.number + 1),
        "" if best is None else format_value(_value(best)),
        "" if not errors else format_value(float(expected_lowest(errors).mean[0])),
        *(str(count) for count in (len(trials), states["pruned"], states["failed"])),
        format_duration(sum(trial.seconds for trial in trials)),
        format_work(sum(macs)) if macs else "",
    )


def notes(tuned: Tuned) -> tuple[str, ...]:
    """Return how the search was made and how its numbers read."""
    told = [
        f"Validation {tuned.metric}, the lowest of a trial's epochs; all trials have seed {tuned.trial_seed}. The test "
        "split was not used.",
        "expected of 1: mean over all trials, which is what one trial gives. A pruned trial counts with the lowest "
        "error it had, a failed one with the highest of its method.",
        "Band of the figure: one standard deviation of the lowest of n trials (Dodge et al., 2019), within the errors "
        "seen.",
    ]
    if tuned.sampler != "random":
        told.append(
            "The expectation draws trials independently. Proposed ones (TPE) depend on those before, so read it as the "
            "lowest of n of these trials in random order; --sampler random makes it exact."
        )
    left = sum(trial.state == "open" for trial in tuned.trials)
    if left:
        told.append(f"{counted(left, 'trial')} not ended yet: repeat the command.")
    return tuple(told)


def tuned_markdown(tuned: Tuned, pictures: Sequence[str]) -> str:
    """Return the best settings, figures, and notes."""
    sheet = best_sheet(tuned)
    shown = [f"![expected validation error against trials]({name})" for name in pictures]
    return "\n".join([f"## {sheet.title}", "", *sheet_markdown(sheet), "", *shown, ""])


def trials_csv(tuned: Tuned) -> str:
    """Return one line per trial: what came of it, then its settings."""
    keys = list(dict.fromkeys(key for trial in tuned.trials for key in trial.settings))
    return as_csv(
        (*COLUMNS, *keys), [[*_facts(trial), *(trial.settings.get(key, "") for key in keys)] for trial in tuned.trials]
    )


def _facts(trial: Trial) -> list[object]:
    value = "" if trial.value is None else repr(trial.value)
    macs = "" if trial.macs is None else trial.macs
    return [
        trial.method,
        trial.number + 1,
        trial.state,
        value,
        trial.epochs,
        trial.seconds,
        macs,
        trial.reason,
        trial.run,
    ]
