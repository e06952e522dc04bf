"""``transfer:target=BENCHMARK``: zero-shot scores on another dataset's test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from torch import Tensor

from stbench.data import Indices, Splits, get_protocol, load_benchmark, open_dataset
from stbench.data.loader import evenly_spaced
from stbench.errors import UserError
from stbench.evaluate.scenarios.scenario import Case, Finished, Scenario, with_test
from stbench.evaluate.scenarios.views import Change, View


class Transfer(Scenario):
    """Another dataset: its test frames pass the scaling of the run's training data, no statistic of theirs is used."""

    kind: Literal["transfer"] = "transfer"
    example: ClassVar[str] = "transfer:target=BENCHMARK"
    target: str

    def cases(self, run: Finished) -> Sequence[Case]:
        """Return cases for the run's test clips and for the target's.

        Raises:
            UserError: the target is unknown, or its clip sizes or units differ.
        """
        spec = run.spec
        target = load_benchmark(self.target)
        protocol = get_protocol(target, spec.protocol)
        shape = protocol.shape or target.shape
        if shape != spec.shape:
            raise UserError(f"transfer: clips of {self.target} are {shape}, the run was trained on {spec.shape}.")
        source = load_benchmark(spec.benchmark)
        if target.units != source.units:
            raise UserError(
                f"transfer: {self.target} is in {target.units}, the run was trained on {source.units}: not comparable."
            )
        own = Case("source", None, with_test(run.dataset, View(run.dataset.test, run.scored)), shape.t_out)
        if self.target == spec.benchmark:
            return [own, Case("target", None, own.dataset, shape.t_out)]
        options = target.dataset.model_copy(update={"options": {**target.dataset.options, **protocol.dataset}})
        other = open_dataset(self.target, options, shape, run.data_dirs, spec.selection == "validation")
        chosen = evenly_spaced(len(other.test), spec.evaluation.test_clips)
        moved = View(other.test, chosen, change=_rescaled(other, run.dataset))
        data = replace(with_test(run.dataset, moved), incomplete=run.dataset.incomplete or other.incomplete)
        return [own, Case("target", None, data, shape.t_out)]


def _rescaled(target: Splits, source: Splits) -> Change | None:
    """Return the map from the target's model space to the source's, through physical units; None if equal."""
    if target.scaling == source.scaling:
        return None

    def change(clips: Tensor, _numbers: Indices) -> Tensor:
        return source.scaling.to_model(target.to_physical(clips))

    return change
