"""``--log mlflow``: curves, settings, scores and sample pictures in MLflow: on a server, or in OUT/mlflow/mlflow.db."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stbench.loggers.mirror import MirrorLogger, Sink
from stbench.settings import leaves

if TYPE_CHECKING:
    from stbench.events import Outcome
    from stbench.loggers.pictures import Picture
    from stbench.schema import RunSpec

RUN = "stbench.run"
CURVE = "stbench.curve"
LEFT_OUT = ("origins",)
LONGEST = 500
"""Characters of a parameter's value, as some stores of MLflow allow."""
STATES = {"finished": "FINISHED", "failed": "FAILED"}


class MLflowLogger(MirrorLogger):
    """Curves in MLflow: an experiment per benchmark and protocol; the place is MLFLOW_TRACKING_URI, else OUT/mlflow."""

    name = "mlflow"
    package = "mlflow"

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self._folder = (out / "mlflow").absolute()
        self._client: Any = None

    def open(self, spec: RunSpec, curve: str) -> Sink:
        """Continue the MLflow run of this curve, or begin one; that of a training that started anew is ended."""
        client = self._connected()
        experiment = self._experiment(f"{spec.benchmark}/{spec.protocol}")
        found = client.search_runs([experiment], f"tags.`{RUN}` = '{spec.folder}'")
        for run in found:
            if run.data.tags.get(CURVE) == curve:
                client.update_run(run.info.run_id, status="RUNNING")
                return _Run(client, run.info.run_id, _known(client, run))
        for run in found:
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")
        made = client.create_run(experiment, tags={RUN: spec.folder, CURVE: curve}, run_name=spec.folder)
        settings = leaves(spec.model_dump(mode="json", exclude=set(LEFT_OUT)))
        for path, value in settings:
            client.log_param(made.info.run_id, ".".join(path), str(value)[:LONGEST])
        return _Run(client, made.info.run_id, {})

    def _connected(self) -> Any:
        if self._client is None:
            from mlflow import MlflowClient

            logging.getLogger("mlflow").setLevel(logging.WARNING)  # a new store tells of its tables
            server = os.environ.get("MLFLOW_TRACKING_URI")
            if not server:  # MLflow refuses new stores of plain files
                self._folder.mkdir(parents=True, exist_ok=True)
            self._client = MlflowClient(server or f"sqlite:///{self._folder / 'mlflow.db'}")
        return self._client

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        own = None if os.environ.get("MLFLOW_TRACKING_URI") else (self._folder / "artifacts").as_uri()
        return str(self._client.create_experiment(name, artifact_location=own))


def _known(client: Any, run: Any) -> dict[str, int]:
    """The last step that MLflow has of each value."""
    return {
        key: max(metric.step for metric in client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics
    }


class _Run(Sink):
    def __init__(self, client: Any, run_id: str, known: dict[str, int]) -> None:
        super().__init__(known)
        self._client = client
        self._run_id = run_id

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Log all values of a step in one request."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(self._run_id, [Metric(name, value, now, step) for name, value in values.items()])

    def picture(self, step: int, name: str, picture: Picture) -> None:  # noqa: ARG002 - an artifact has no step
        """Store a picture among the artifacts."""
        self._client.log_image(self._run_id, picture, f"samples/{name.replace(' ', '-')}.png")

    def close(self, outcome: Outcome | None) -> None:
        """Set how the run ended; one that can be resumed is KILLED."""
        self._client.set_terminated(self._run_id, STATES.get(str(outcome), "KILLED"))
