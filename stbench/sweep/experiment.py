"""Experiment files (``stbench run --config exp.yaml``): what a sweep runs, as one typed record. Imports no torch.

The command line and Python describe a sweep by the same record, so a key means the same in all three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from stbench.errors import UserError
from stbench.schema import Benchmark, Record, RunSpec
from stbench.schema.protocol import Precision
from stbench.settings import Override, leaves, merge, read_yaml
from stbench.sweep.executors import DEFAULT_EXECUTOR, Executor, get_executor

TRAINING = ("epochs", "budget", "batch_size", "patience", "precision")
"""Keys that are also flags of ``stbench run`` and set the training of every method."""
LENGTHS = ("epochs", "budget")
"""Keys of which one replaces the other."""
MOST_SEEDS = 10_000
_COMMA_OUTSIDE_BRACKETS = re.compile(r",(?![^\[]*\])")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_LABEL = re.compile(r"[\w.+-]+")
_OF_A_SPEC = {"plugin", "config", "shape", "seed"}


def split_texts(value: Any) -> Any:
    """Split a text at its commas; a list stays."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in _COMMA_OUTSIDE_BRACKETS.split(value) if part.strip())


def split_numbers(value: Any) -> tuple[int, ...]:
    """Whole numbers and ranges, as one text with commas, one number, or a list: ``0,1,2``, ``0..2``, ``[0, 5..9]``.

    Raises:
        ValueError: something else, a number below 0 or above 2^63, or one twice.
    """
    found: list[int] = []
    for part in value if isinstance(value, list | tuple) else str(value).split(","):
        text = str(part).strip()
        if between := _RANGE.fullmatch(text):
            first, last = int(between[1]), int(between[2])
            if not 0 <= last - first < MOST_SEEDS:
                raise ValueError(f"{text!r} is no range of at most {MOST_SEEDS} numbers, the smaller one first")
            found += range(first, last + 1)
        elif re.fullmatch(r"\d+", text):
            found.append(int(text))
        else:
            raise ValueError("expected whole numbers or ranges, e.g. 0,1,2 or 0..2")
    if not found or max(found) >= 1 << 63 or len(set(found)) < len(found):
        raise ValueError("seeds must be different, non-negative numbers below 2^63")
    return tuple(found)


def _labels(value: Any) -> Any:
    texts = split_texts(value)
    odd = [text for text in texts if not (isinstance(text, str) and _LABEL.fullmatch(text))]
    if odd:
        raise ValueError(f"{odd[0]!r}: use letters, digits and - _ . + only")
    return texts


Texts = Annotated[tuple[str, ...], BeforeValidator(split_texts)]
Labels = Annotated[tuple[str, ...], BeforeValidator(_labels)]
Seeds = Annotated[tuple[NonNegativeInt, ...], BeforeValidator(split_numbers)]


class DatasetChoice(Record):
    """One dataset of an experiment.

    Attributes:
        name: a benchmark, or a path to your own data.
        data: how your own data are read: ``t_in``, ``t_out``, ``stride``, ``shares``, ``size``, ``variable`` …
        protocols: in place of the experiment's.
        settings: for this dataset, over the experiment's.
    """

    name: str
    data: dict[str, Any] = {}
    protocols: Texts | None = None
    settings: dict[str, Any] = {}

    def open(self) -> str | Benchmark:
        """Return the benchmark's name, or the benchmark made of the user's own data.

        Raises:
            UserError: the name is unknown, nothing readable is at the path, or ``data`` is given beside a name.
        """
        from stbench.data.benchmarks.lookup import is_path, load_benchmark

        if is_path(self.name):
            from stbench.data.benchmarks.own_data import CustomOptions, custom_benchmark

            return custom_benchmark(self.name, CustomOptions.parse(self.data, f"data of {self.name}"))
        if self.data:
            raise UserError(
                f"data of {self.name}: only for your own data (a path); {self.name!r} is a benchmark's name, whose "
                "protocol fixes this. Change its options in settings: {dataset: {KEY: VALUE}}."
            )
        load_benchmark(self.name)
        return self.name


class ExecutorChoice(Record):
    """The executor of an experiment and its settings."""

    kind: str = DEFAULT_EXECUTOR
    settings: dict[str, Any] = {}

    def make(self) -> Executor:
        """Return the executor.

        Raises:
            UserError: its name or a setting is wrong, or it cannot be used on this machine.
        """
        return get_executor(self.kind, self.settings)

    @staticmethod
    def spread(value: Any) -> Any:
        """Return the fields of what a file may say: ``processes``, or ``{kind: processes, jobs: 2}``."""
        if isinstance(value, str):
            return {"kind": value}
        if not isinstance(value, Mapping) or "settings" in value:
            return value
        settings = {key: setting for key, setting in value.items() if key != "kind"}
        return {"kind": value.get("kind", DEFAULT_EXECUTOR), "settings": settings}


class Experiment(Record):
    """What a sweep runs and where: every method on every dataset under every protocol with every seed.

    ``settings`` are what ``--set`` sets, nested: ``{tau: {lr: 0.001}, dataset: {stride: 5}}``. ``name`` and ``tags``
    label the run folders and do not enter run ids. Relative paths are below the working folder.
    """

    name: str = ""
    tags: Labels = ()
    methods: Texts = Field(min_length=1)
    datasets: tuple[DatasetChoice, ...] = Field(min_length=1)
    protocols: Texts = Field(default=("paper",), min_length=1)
    seeds: Seeds = (0,)
    settings: dict[str, Any] = {}
    epochs: PositiveInt | None = None
    budget: str | None = None
    batch_size: PositiveInt | None = None
    patience: PositiveInt | None = None
    precision: Precision | None = None
    encoder: Literal["paper", "shared"] = "paper"
    executor: ExecutorChoice = ExecutorChoice()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1, le=128)] = 1
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    data_dir: Path | None = None
    out: Path = Path("results")
    log: Texts = ()

    @field_validator("name")
    @classmethod
    def _name_is_a_label(cls, name: str) -> str:
        return "".join(_labels((name,))) if name else name

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @field_validator("datasets", mode="before")
    @classmethod
    def _names_of_datasets(cls, value: Any) -> Any:
        listed = split_texts(value)
        if not isinstance(listed, list | tuple):
            return listed
        return tuple({"name": one} if isinstance(one, str) else one for one in listed)

    @field_validator("executor", mode="before")
    @classmethod
    def _flat_executor(cls, value: Any) -> Any:
        return ExecutorChoice.spread(value)

    @model_validator(mode="after")
    def _one_length(self) -> Experiment:
        if self.budget is not None and self.epochs is not None:
            raise ValueError("budget and epochs both say how long to train. Give one of them")
        return self

    @property
    def world_size(self) -> int:
        """Data-parallel processes on all nodes."""
        return self.devices * self.nodes

    def training_keys(self) -> dict[str, Any]:
        """Return the training keys that are given."""
        return {key: value for key in TRAINING if (value := getattr(self, key)) is not None}


def read_experiment(file: Path) -> dict[str, Any] | RunSpec:
    """Read an experiment file with those it ``extends``, or the ``spec.yaml`` of a run.

    Returns:
        The merged values, to be parsed as :class:`Experiment` once the command's options are laid over them.

    Raises:
        UserError: a file cannot be read, or files extend each other in a circle.
    """
    values = _extended(file, ())
    if values.keys() >= _OF_A_SPEC:
        return _known_spec(RunSpec.parse(values, str(file)), file)
    return values


def _extended(file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if file.resolve() in above:
        raise UserError(f"{file} extends itself, through {' and '.join(map(str, above))}. Remove one 'extends'.")
    values: dict[str, Any] = read_yaml(file, dict)
    bases = values.pop("extends", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not (isinstance(bases, list) and all(isinstance(base, str) for base in bases)):
        raise UserError(f"{file}: extends = {bases!r}: expected a file, or a list of files, beside this one.")
    merged: dict[str, Any] = {}
    for base in bases:
        merged = lay_over(merged, _extended(file.parent / base, (*above, file.resolve())))
    return lay_over(merged, values)


def lay_over(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the values of an experiment; ``over`` wins, and a length of training replaces any other.

    >>> lay_over({"epochs": 3, "settings": {"tau": {"lr": 1}}}, {"budget": "1h", "settings": {"lr": 2}})
    {'settings': {'tau': {'lr': 1}, 'lr': 2}, 'budget': '1h'}
    """
    replaced = LENGTHS if any(key in over for key in LENGTHS) else ()
    return merge({key: value for key, value in values.items() if key not in replaced}, over)


def _known_spec(spec: RunSpec, file: Path) -> RunSpec:
    """Check that the record of a run can be run.

    Raises:
        UserError: it scored published weights.
    """
    if spec.weights is not None:
        raise UserError(
            f"{file} records published weights that were scored, not trained. Repeat that with 'stbench evaluate "
            f"--checkpoint FILE --method {spec.method} --dataset {spec.benchmark}'."
        )
    return spec


def described(spec: RunSpec) -> dict[str, Any]:
    """Return the values of the experiment that is one known run."""
    return {
        "methods": [spec.method],
        "datasets": [spec.benchmark],
        "protocols": [spec.protocol],
        "devices": max(1, spec.world_size // spec.nodes),
        "nodes": spec.nodes,
    }


def as_overrides(settings: Mapping[str, Any]) -> list[Override]:
    """Return nested settings as ``KEY=VALUE`` pairs.

    >>> as_overrides({"tau": {"lr": 1e-5}, "epochs": 3})
    [Override(key='tau.lr', text='1.0e-05'), Override(key='epochs', text='3')]
    """
    return [Override(".".join(path), as_yaml(value)) for path, value in leaves(settings)]


def as_yaml(value: Any) -> str:
    """Return a value as one line of YAML.

    >>> as_yaml([32, 1e-5])
    '[32, 1.0e-05]'
    """
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")
