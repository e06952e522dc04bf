"""``--log wandb``: curves, settings, scores and sample pictures in Weights & Biases; its files are in OUT/wandb."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stbench.loggers.mirror import MirrorLogger, Sink

if TYPE_CHECKING:
    from stbench.events import Outcome
    from stbench.loggers.pictures import Picture
    from stbench.schema import RunSpec

PROJECT = "stbench"
FAILED = 1


class WandbLogger(MirrorLogger):
    """Curves in Weights & Biases, as WANDB_MODE, WANDB_PROJECT and WANDB_ENTITY say; offline copies in OUT/wandb."""

    name = "wandb"
    package = "wandb"

    def open(self, spec: RunSpec, curve: str) -> Sink:
        """Continue the run of this curve after the last step that the server has.

        Offline there is nobody to ask: each command writes the whole curve into a folder of its own, under one run id.
        """
        import wandb

        self.out.mkdir(parents=True, exist_ok=True)
        online = os.environ.get("WANDB_MODE", "online") in ("online", "run", "shared")
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id="-".join(filter(None, (spec.run_id, curve))),
            name=spec.folder,
            group=f"{spec.benchmark}/{spec.protocol}",
            config=spec.model_dump(mode="json", exclude={"origins"}),
            dir=str(self.out.absolute()),  # wandb makes a folder of its own name in it
            resume="allow" if online else None,
            reinit="create_new",  # runs of one sweep may be trained at the same time
            settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
        )
        return _Run(run, run.starting_step - 1 if online else -1)


class _Run(Sink):
    def __init__(self, run: Any, floor: int) -> None:
        super().__init__(floor=floor)
        self._run = run

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values; those of one step form one row."""
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, picture: Picture) -> None:
        """Log a picture in the row of the scores."""
        import wandb

        self._run.log({f"samples/{name}": wandb.Image(picture)}, step=step)

    def close(self, outcome: Outcome | None) -> None:
        """Upload what is left and end the run; the id of one that can be resumed stays usable."""
        self._run.finish(exit_code=FAILED if outcome == "failed" else 0)
