"""The commands as functions: :func:`run`, :func:`table`, :func:`report` and :func:`profile` return records and frames.

A mistake raises :class:`stbench.UserError`. Objects show themselves as tables in a notebook.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stbench.cli.display import SweepDisplay
from stbench.cli.launch import Order, carry_out
from stbench.errors import UserError, unknown_name
from stbench.report.analysis.section import Report, make_report
from stbench.report.collect.records import Collected, RunRecord, collect
from stbench.report.writers.csv import summary_csv, to_csv
from stbench.schema import RunSpec
from stbench.schema.folder import runs_below
from stbench.sweep.experiment import TRAINING, Experiment, as_overrides, described, lay_over, read_experiment
from stbench.sweep.launch import all_specs

if TYPE_CHECKING:
    from stbench.efficiency.records import Profile

Names = str | Sequence[str]
Dataset = str | Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """Finished and failed runs: one table per dataset and protocol.

    Attributes:
        report: the analysis of all runs below the output folder.
        names: folder names of the runs that this object is about.
        files: what was written.
    """

    report: Report
    names: tuple[str, ...]
    files: tuple[Path, ...] = ()

    @cached_property
    def records(self) -> tuple[RunRecord, ...]:
        """Records of the runs."""
        return tuple(record for record in self.report.records if record.name in self.names)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run and metric, as in ``table.csv``."""
        return _frame(to_csv(self.records))

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per method and metric over all seeds of the output folder, as in ``summary.csv``."""
        return _frame(summary_csv(self.report.sections))

    @cached_property
    def table(self) -> pd.DataFrame:
        """Means of the metrics by dataset, protocol and method, over the seeds of these runs."""
        keys = ["benchmark", "protocol", "method"]
        rows = [
            {**{key: getattr(record.spec, key) for key in keys}, name: score.total}
            for record in self.records
            for name, score in record.result.test.items()
        ]
        if not rows:
            return pd.DataFrame(columns=keys).set_index(keys)
        return pd.DataFrame(rows).groupby(keys, sort=False).mean()

    def __repr__(self) -> str:
        """Return the table as text."""
        return f"{len(self.records)} runs\n{self.table.to_string()}"

    def _repr_html_(self) -> str:
        """Return the table for a notebook; names are escaped."""
        return self.table.to_html(escape=True, float_format=lambda value: f"{value:.4g}")


@dataclass(frozen=True)
class Costs:
    """What ``stbench profile`` measured; ``record`` holds all of it."""

    record: Profile

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per measurement, as in the profile's csv."""
        from stbench.report.writers.profile import profile_csv

        return _frame(profile_csv(self.record))

    def _repr_html_(self) -> str:
        """Return the frame for a notebook."""
        return self.frame.to_html(escape=True)


def run(
    methods: Names | None = None,
    dataset: Dataset | Sequence[Dataset] | None = None,
    *,
    config: str | Path | None = None,
    protocol: Names | None = None,
    seeds: int | str | Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    download: bool = False,
    yes: bool = False,
    retry_failed: bool = False,
    redo: bool = False,
    no_test: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Results:
    """Train and score methods, as ``stbench run``; finished runs are reused.

    Scripts that use the executor ``processes`` call it under ``if __name__ == "__main__":``.

    Args:
        methods: names, e.g. ``["tau", "convlstm"]`` or ``"tau,convlstm"``.
        dataset: a benchmark, a path to your own data, ``{"name": PATH, "data": {"t_in": 10}}``, or a list of these.
        config: an experiment file or a run's ``spec.yaml``, which the other arguments override.
        protocol: ``paper``, ``legacy``, ``quick``, or several.
        seeds: ``3``, ``[0, 1, 2]`` or ``"0..2"``.
        settings: what ``--set`` sets, nested: ``{"tau": {"lr": 1e-3}, "dataset": {"stride": 5}}``.
        download: fetch missing files first.
        yes: do not ask before long trainings and large downloads.
        retry_failed: repeat failed runs.
        redo: repeat finished runs; the old folders stay, hidden.
        no_test: train and validate only; the results are empty.
        quiet: print nothing.
        options: further keys of an experiment file: epochs, budget, batch_size, device, executor, out, name, tags …

    Raises:
        UserError: a name, key or value is wrong, or data are missing.
    """
    given = {"methods": methods, "datasets": dataset, "protocols": protocol, "seeds": seeds, **options}
    over = {key: _listed(key, value) for key, value in given.items() if value is not None}
    doing = {"download": download, "yes": yes, "retry_failed": retry_failed, "redo": redo, "no_test": no_test}
    done = carry_out(_order(over, settings or {}, config, doing), SweepDisplay(quiet=quiet))
    assert done is not None, "this is no dry run"
    parts, _, out = done
    names = tuple(spec.folder for spec in all_specs(parts))
    return Results(make_report(collect([out / "runs"], first=names)), names)


def table(path: str | Path = "results") -> Results:
    """Return the runs below an output folder (or a list of run folders' parent), without writing anything.

    Raises:
        UserError: there is no complete run.
    """
    collected = _collected(path)
    return Results(make_report(collected), tuple(record.name for record in collected.records))


def report(path: str | Path = "results", *, out: str | Path = "report", formats: Names = "md,csv") -> Results:
    """Write a report of the runs below a folder, as ``stbench report``.

    Args:
        path: output folder of ``run``, or a folder of run folders.
        out: folder of the report.
        formats: some of md, csv, latex, html, png.

    Raises:
        UserError: there is no complete run, or a format is unknown.
    """
    from stbench.report.produce import Format, produce

    known = [known.value for known in Format]
    asked = [name.strip() for name in (formats.split(",") if isinstance(formats, str) else formats)]
    for name in asked:
        if name not in known:
            raise unknown_name("format", name, known)
    collected = _collected(path)
    made = make_report(collected)
    files = produce(made, Path(out), [Format(name) for name in asked])
    return Results(made, tuple(record.name for record in collected.records), tuple(files))


def profile(
    methods: Names,
    dataset: str,
    *,
    protocol: str = "paper",
    settings: Mapping[str, Any] | None = None,
    budget: float = 2.0,
    **measured: Any,
) -> Costs:
    """Measure what methods cost at the sizes of a benchmark, as ``stbench profile``; needs no data, writes no file.

    Args:
        methods: names.
        dataset: a benchmark.
        protocol: for model sizes and training settings.
        settings: what ``--set`` sets, nested.
        budget: seconds per measurement.
        measured: further fields of :class:`stbench.efficiency.profile.Settings`: training, memory, growth, device …

    Raises:
        UserError: a name, key or value is wrong.
    """
    from stbench.cli.profile import measure, profiled_specs
    from stbench.efficiency.profile import Settings

    known = list(Settings.__dataclass_fields__)
    for key in measured:
        if key not in known:
            raise unknown_name("setting of a profile", key, known)
    names = methods if isinstance(methods, str) else ",".join(methods)
    specs = profiled_specs(names, dataset, protocol, "paper", as_overrides(settings or {}))
    return Costs(measure(specs, Settings(budget=budget, **measured), lambda _: None))


def _order(
    over: Mapping[str, Any], settings: Mapping[str, Any], config: str | Path | None, doing: Mapping[str, Any]
) -> Order:
    read = {} if config is None else read_experiment(Path(config))
    where = "stbench.run" if config is None else str(config)
    if isinstance(read, RunSpec):
        decided = ("methods", "datasets", "protocols", "settings", "encoder", *TRAINING)
        odd = [key for key in ({**over, "settings": settings} if settings else over) if key in decided]
        if odd:
            raise UserError(f"{where} is the resolved spec of a run, which has decided {odd[0]}. Leave it out.")
        experiment = Experiment.parse({**described(read), **over}, where)
        seeds = experiment.seeds if "seeds" in over else None
        return Order(experiment, (), {}, file=where, spec=read, seeds=seeds, doing=doing)
    experiment = Experiment.parse(lay_over(read, over), where)
    opened = [(choice, choice.open()) for choice in experiment.datasets]
    training = {key: over[key] for key in TRAINING if key in over}
    return Order(experiment, opened, training, as_overrides(settings), where, doing=doing)


def _listed(key: str, value: Any) -> Any:
    """A single dataset is a list of one; other values are what a file may say."""
    return (dict(value),) if key == "datasets" and isinstance(value, Mapping) else value


def _collected(path: str | Path) -> Collected:
    collected = collect([runs_below(Path(path))])
    if not collected.records:
        raise UserError(f"No complete run in {path}. stbench.run makes runs.")
    return collected


def _frame(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))
