"""The typer application and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

import stbench
from stbench.cli.check import check_command
from stbench.cli.data import app as data_app
from stbench.cli.describe_method import describe_command
from stbench.cli.evaluate import evaluate_command
from stbench.cli.export import export_command
from stbench.cli.list import list_command
from stbench.cli.new_method import new_method_command
from stbench.cli.predict import predict_command
from stbench.cli.profile import profile_command
from stbench.cli.report import report_command
from stbench.cli.run import run_command
from stbench.cli.runs import app as runs_app
from stbench.cli.tune import tune_command
from stbench.cli.verify import verify_command
from stbench.cli.weights import app as weights_app

app = typer.Typer(
    name="stbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="All commands accept --debug, which shows the traceback of an error.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"stbench {stbench.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Benchmark suite for spatiotemporal prediction: same models, honest numbers, one file per plugin."""


app.command("run")(run_command)
app.command("tune")(tune_command)
app.command("profile")(profile_command)
app.command("report")(report_command)
app.command("verify")(verify_command)
app.command("list")(list_command)
app.command("describe")(describe_command)
app.command("check")(check_command)
app.command("evaluate")(evaluate_command)
app.command("predict")(predict_command)
app.command("export")(export_command)
app.command("new-method")(new_method_command)
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")
app.add_typer(runs_app, name="runs")
