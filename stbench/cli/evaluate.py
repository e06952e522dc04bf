"""``stbench evaluate``: score public weights, or a finished run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stbench.cli.getting import AllowHttp, Yes
from stbench.cli.run import Device
from stbench.cli.scoring import Place, score_public, score_released
from stbench.errors import UserError, first_line

if TYPE_CHECKING:
    from stbench.evaluate.scenarios.record import ScenarioResult

EXIT_DIFFERENT = 1
EXIT_NOT_ALL = 1


def evaluate_command(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Finished runs, or folders of runs, for --scenario or --ensemble.")
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:KEY=VALUE",
            help="rollout:horizon=40 | transfer:target=DATASET | stride:every=1,2,3 | corrupt:missing_frames=0.1,0.2 | "
            "slice:hours=7-9. Kept in the run folders, apart from ordinary scores.",
        ),
    ] = None,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="Score the seeds of each row together.")] = False,
    run: Annotated[Path | None, typer.Option("--run", help="Run folder: score its best weights again.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Public .pth or .ckpt file; needs --method and --dataset.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Released weights, fetched if they are not here, e.g. openstl/taxibj/tau."),
    ] = None,
    method: Annotated[str | None, typer.Option("--method", "-m", help="Name, e.g. tau or simvp:gsta.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="Benchmark name.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Protocol for settings that the file does not show; default: paper, or that of --weights."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="e.g. phydnet.patch=2.")] = None,
    device: Annotated[Device, typer.Option(help="auto uses CUDA if available.")] = Device.AUTO,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files; default: $STBENCH_DATA.")] = None,
    out: Annotated[Path, typer.Option(help="Output folder for the result of a checkpoint (OUT/runs/).")] = Path(
        "results"
    ),
    yes: Yes = False,
    allow_http: AllowHttp = False,
) -> None:
    """Score weights on the test split without training: released weights, a public checkpoint, or a finished run.

    Scores of released weights are shown beside those of their training log, or of the printed table without it.

    A finished run is compared with its recorded scores; exit code 1 if they differ. --scenario and --ensemble score
    finished runs in other ways; exit code 1 if a run was left out.
    """
    if runs or scenario or ensemble:
        if not runs or not (scenario or ensemble):
            raise UserError(
                "Give runs and --scenario or --ensemble, as in: stbench evaluate results --scenario stride:every=2"
            )
        _beyond(runs, scenario or [], ensemble, device.value, data_dir)
        return
    if [run, checkpoint, weights].count(None) != 2:
        raise UserError("Give either --run DIR, or --weights NAME, or --checkpoint FILE with --method and --dataset.")
    place = Place(device.value, data_dir, out)
    if run is not None:
        _rescore(run, device.value, data_dir)
    elif weights is not None:
        asked = {"--dataset": dataset, "--method": method}
        score_released(weights, asked, protocol, set_ or [], place, yes=yes, allow_http=allow_http)
    elif checkpoint is None or method is None or dataset is None:
        raise UserError("--checkpoint needs --method and --dataset, e.g. --method tau --dataset taxibj.")
    else:
        score_public(checkpoint, method, dataset, protocol or "paper", set_ or [], place)


def _beyond(runs: list[Path], scenarios: list[str], ensemble: bool, device: str, data_dir: Path | None) -> None:
    from rich.console import Console

    from stbench.data.benchmarks.folders import data_dirs
    from stbench.evaluate.scenarios.scenario import read_scenario
    from stbench.report.encode import terminal
    from stbench.sweep.scenarios import evaluate_ensemble, evaluate_scenario, run_folders
    from stbench.train.engine import Engine

    wanted = [read_scenario(text) for text in scenarios]
    (folders, odd), dirs, console = run_folders(runs), data_dirs(data_dir), Console()
    left_out = [f"{path}: {reason}" for path, reason in odd.items()]

    def show(name: str, result: ScenarioResult) -> None:
        for case in result.cases:
            scores = [f"{metric} {score.total:.6g}" for metric, score in case.metrics.items()]
            shown = scores[0] if scores else "; ".join(dict.fromkeys(case.unavailable.values()))
            line = f"{name}  {result.name}  {case.label}: {shown} ({case.clips} of {case.of_clips} clips)"
            console.print(terminal(line), highlight=False, soft_wrap=True)

    for one in wanted:
        refused: list[UserError | OSError] = []
        for folder in folders:
            try:
                engine = Engine.of_run(folder.spec(), device)  # type: ignore[arg-type]
                show(folder.path.name, evaluate_scenario(folder, one, dirs, engine))
            except (UserError, OSError) as error:
                refused.append(error)
                left_out.append(f"{folder.path.name}  {one.name}: {first_line(error)}")
        if len(refused) == len(folders):
            raise refused[0]
    if ensemble:
        results, refusals = evaluate_ensemble(folders, dirs, Engine(device))  # type: ignore[arg-type]
        left_out += [f"{name}  ensemble: {reason}" for name, reason in refusals.items()]
        for name, result in results.items():
            show(name, result)
    for line in left_out:
        console.print(terminal(f"Left out: {line}"), highlight=False, soft_wrap=True)
    if left_out:
        raise typer.Exit(EXIT_NOT_ALL)


def _rescore(run: Path, device: str, data_dir: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from stbench.data.benchmarks.folders import data_dirs
    from stbench.report.encode import terminal
    from stbench.schema.folder import finished_run
    from stbench.sweep.weights import rescore
    from stbench.train.engine import Engine

    engine = Engine.of_run(finished_run(run).spec(), device)  # type: ignore[arg-type]
    result = rescore(run, data_dirs(data_dir), engine)
    table = Table("metric", "recorded", "scored again", "", title=terminal(run.name), box=None, header_style="bold")
    for line in result.lines:
        verdict = "identical" if line.recorded == line.now else "equal" if line.equal else "DIFFERENT"
        table.add_row(terminal(line.metric), f"{line.recorded:.9g}", f"{line.now:.9g}", verdict)
    console = Console()
    console.print(table)
    if not result.same_data:
        console.print("The data files differ from those on which the run was scored (different fingerprint).")
    if not result.equal:
        raise typer.Exit(EXIT_DIFFERENT)
