"""``stbench profile``: cost of methods (parameters, multiply-adds, memory, time, energy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stbench.cli.run import Device, Encoder
from stbench.errors import UserError

if TYPE_CHECKING:
    from stbench.efficiency.profile import Settings
    from stbench.efficiency.records import Profile
    from stbench.schema import RunSpec
    from stbench.settings import Override

PRECISIONS = ("32", "bf16")


def profile_command(
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Benchmark name; its data are not needed.")],
    methods: Annotated[str, typer.Option("--methods", "-m", help="Comma-separated names, e.g. tau,simvp:gsta.")],
    protocol: Annotated[str, typer.Option(help="Protocol for model sizes and training settings.")] = "paper",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="e.g. tau.hid_t=128, batch_size=8, shape.height=128."),
    ] = None,
    encoder: Annotated[Encoder, typer.Option(help="The encoder of each paper, or one for all.")] = Encoder.PAPER,
    device: Annotated[Device, typer.Option(help="auto uses CUDA if available.")] = Device.AUTO,
    batch_sizes: Annotated[str, typer.Option(help="Comma-separated; 1 is always measured.")] = "1,4,16",
    precision: Annotated[str, typer.Option(help="Comma-separated: 32, bf16.")] = "32",
    train: Annotated[bool, typer.Option("--train", help="Also time training steps.")] = False,
    compile_: Annotated[bool, typer.Option("--compile", help="Run predictions through torch.compile.")] = False,
    memory: Annotated[bool, typer.Option(help="Measure peak memory, in fresh processes.")] = True,
    growth: Annotated[bool, typer.Option(help="Measure scaling with horizon and resolution.")] = True,
    budget: Annotated[float, typer.Option(min=0.01, help="Seconds per measurement, after warm-up.")] = 2.0,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads; default: torch's choice.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
    out: Annotated[Path, typer.Option(help="Output folder for tables, figure and records.")] = Path("results/profile"),
) -> None:
    """Measure the cost of methods at the shapes of a benchmark; needs no data."""
    import torch
    from rich.console import Console

    from stbench.efficiency.profile import Settings
    from stbench.report.encode import terminal
    from stbench.report.produce import write_profile
    from stbench.report.writers.profile import title
    from stbench.report.writers.profile_sheets import make_sheets
    from stbench.report.writers.terminal import sheet_rich
    from stbench.settings import parse_overrides
    from stbench.sweep.sweep import check_writable

    settings = Settings(
        device=device.value,
        batch_sizes=_batch_sizes(batch_sizes),
        precisions=_precisions(precision),
        training=train,
        compiled=compile_,
        memory=memory,
        growth=growth,
        budget=budget,
    )
    specs = profiled_specs(methods, dataset, protocol, encoder.value, parse_overrides(set_))
    check_writable(out)
    if threads is not None:
        torch.set_num_threads(threads)
    console, notes = Console(), Console(stderr=True)
    with notes.status("profiling") as status:
        found = measure(specs, settings, lambda text: status.update(text))
    if json_:
        print(found.model_dump_json(indent=2))
    else:
        if not console.is_terminal:
            console.width = max(console.width, 200)
        console.print(terminal(title(found)), style="bold")
        for sheet in make_sheets(found):
            console.print(sheet_rich(sheet))
    for path in write_profile(found, out):
        notes.print(terminal(f"wrote {path}"))


def measure(specs: Sequence[RunSpec], settings: Settings, say: Callable[[str], None]) -> Profile:
    """Profile methods on this machine.

    Raises:
        UserError: the device does not exist.
    """
    import torch

    from stbench.efficiency.profile import profile
    from stbench.efficiency.records import Profile
    from stbench.sweep.environment import describe_environment

    costs = profile(specs, settings, say)
    where = torch.device("cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu")
    return Profile(
        benchmark=specs[0].benchmark,
        version=specs[0].benchmark_version,
        protocol=specs[0].protocol,
        environment=describe_environment(where),
        compiled=settings.compiled,
        costs=costs,
    )


def profiled_specs(
    methods: str, dataset: str, protocol: str, encoder: Literal["paper", "shared"], sets: Sequence[Override]
) -> list[RunSpec]:
    """Return the specs of the requested methods under the protocol.

    Raises:
        UserError: a name is unknown, or a method cannot run.
    """
    from stbench.cli.names import check_installed, method_names
    from stbench.sweep.plan import Request, make_plan

    names = method_names(methods)
    check_installed(names)
    plan = make_plan(
        Request(methods=names, benchmark=dataset, protocol=protocol, overrides=sets, encoder=encoder, free_shape=True)
    )
    for name in names:
        if name in plan.skipped:
            raise UserError(f"{name} cannot run on {dataset}: {plan.skipped[name]}. Leave it out of --methods.")
    by_name = {spec.method: spec for spec in plan.specs}
    return [by_name[name] for name in dict.fromkeys(names)]


def _batch_sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise UserError(f"--batch-sizes {text!r}: expected whole numbers, e.g. --batch-sizes 1,4,16.") from None
    if sizes[0] < 1:
        raise UserError(f"--batch-sizes {text!r}: a batch has at least one clip.")
    return sizes


def _precisions(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not set(chosen) <= set(PRECISIONS):
        raise UserError(f"--precision {text!r}: expected some of {', '.join(PRECISIONS)}, separated by commas.")
    return chosen
