"""``--log tensorboard``: curves, scores and sample pictures in OUT/tensorboard, for ``tensorboard --logdir``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import yaml

from stbench.loggers.mirror import MirrorLogger, Sink

if TYPE_CHECKING:
    from stbench.events import Outcome
    from stbench.loggers.pictures import Picture
    from stbench.schema import RunSpec


class TensorBoardLogger(MirrorLogger):
    """Curves in OUT/tensorboard: a folder per run, one more event file per command that works on it."""

    name = "tensorboard"
    package = "tensorboard"

    def open(self, spec: RunSpec, curve: str) -> Sink:  # noqa: ARG002 - the whole curve is written again
        """Write the curve from its beginning: TensorBoard then drops the steps of earlier event files."""
        from torch.utils.tensorboard import SummaryWriter

        writer = cast("Any", SummaryWriter)(str(self.out / "tensorboard" / spec.folder), purge_step=0)
        writer.add_text("spec", f"```yaml\n{yaml.safe_dump(spec.model_dump(mode='json'), sort_keys=False)}```", 0)
        return _Events(writer)


class _Events(Sink):
    def __init__(self, writer: Any) -> None:
        super().__init__()
        self._writer = writer

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Write a scalar each and flush, so that a kill loses none that the viewer has not seen."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, step: int, name: str, picture: Picture) -> None:
        """Write a picture."""
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self, outcome: Outcome | None) -> None:  # noqa: ARG002 - an event file has no state
        """Close the event file."""
        self._writer.close()
