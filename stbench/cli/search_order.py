"""What ``stbench tune`` is asked for: its options and the space, read and checked before any work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stbench.cli.launch import DOING, Order, read_order
from stbench.cli.names import check_installed, seed_numbers
from stbench.errors import UserError
from stbench.settings import Override, put

if TYPE_CHECKING:
    from stbench.schema import RunSpec
    from stbench.schema.trial import Trial, Tuned
    from stbench.sweep.launch import Part
    from stbench.sweep.tune.search import Limit
    from stbench.sweep.tune.space import Space
    from stbench.sweep.tune.study import Searcher

FOLDER = "tune"
"""Below the output folder: the journal, the trials' run folders and what is written about them."""
NOT_OF_A_RUN = {"budget", "seeds"}
"""Options that mean something else than those of ``stbench run``."""


@dataclass(frozen=True)
class SearchOrder:
    """What a command asks for.

    Attributes:
        order: methods, dataset, machine, as of ``stbench run``.
        spaces: by method.
        file: of the spaces.
        limit: what every method gets.
        searcher: how settings are proposed and trials given up.
        seeds: of the final runs; empty for none.
        at_once: trials proposed at once, if given.
    """

    order: Order
    spaces: Mapping[str, Space]
    file: Path
    limit: Limit
    searcher: Searcher
    seeds: tuple[int, ...]
    at_once: int | None

    @property
    def folder(self) -> Path:
        """Folder of the search."""
        return self.order.experiment.out / FOLDER

    def tuned(self, trials: Sequence[Trial]) -> Tuned:
        """Return the record of the search."""
        from stbench.schema.trial import Tuned

        base = self.trial(next(iter(self.spaces)), {})
        return Tuned(
            benchmark=base.benchmark,
            protocol=base.protocol,
            methods=tuple(self.spaces),
            limit=str(self.limit),
            sampler=self.searcher.sampler,
            pruner=self.searcher.pruner,
            trial_seed=self.searcher.seed,
            trials=tuple(trials),
        )

    def parts(self, method: str, settings: Mapping[str, str], seeds: Sequence[int]) -> tuple[Part, ...]:
        """Return the runs of a method with searched settings, and of the baselines.

        Raises:
            UserError: the settings do not go together.
        """
        from stbench.sweep.launch import Flags, plan_parts

        chosen = {"methods": (method,), "seeds": tuple(seeds), "settings": nested({method: settings})}
        flags = Flags(self.order.training, self._sets_for(method))
        return plan_parts(self.order.experiment.model_copy(update=chosen), self.order.opened, flags, str(self.file))

    def _sets_for(self, method: str) -> list[Override]:
        """Return the ``--set`` pairs without those of other methods, which a plan of this one does not know."""
        own = {method, method.partition(":")[0]}
        others = {target for name in self.spaces for target in (name, name.partition(":")[0])} - own
        return [
            override
            for override in self.order.sets
            if not any(override.key.startswith(f"{other}.") for other in others)
        ]

    def trial(self, method: str, settings: Mapping[str, str]) -> RunSpec:
        """Return the run of one trial.

        Raises:
            UserError: the settings do not go together, or the method cannot be searched.
        """
        (part,) = self.parts(method, settings, (self.searcher.seed,))
        if method in part.skipped:
            raise UserError(f"{method} cannot run here: {part.skipped[method]}. Leave it out of --methods.")
        spec = next(spec for spec in part.specs if spec.method == method)
        if spec.training is None:
            raise UserError(f"{method} is not trained, so it has no validation curve to search by. Leave it out.")
        if spec.selection == "test":
            raise UserError(
                f"--protocol {spec.protocol} selects on the test split, which a search leaves alone. Use paper."
            )
        return spec


def nested(settings: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the settings of methods as an experiment file has them.

    >>> nested({"m": {"training.lr": "0.1", "config.width": "[8, 16]"}})
    {'m': {'training': {'lr': 0.1}, 'config': {'width': [8, 16]}}}
    """
    values: dict[str, Any] = {}
    for method, texts in settings.items():
        for key, text in texts.items():
            put(values, [method, *key.split(".")], Override(key, text).value)
    return values


def read_limit(trials: int | None, budget: str | None) -> Limit:
    """Return what every method gets.

    Raises:
        UserError: neither or both are given, or the budget cannot be read.
    """
    from stbench.schema import Budget
    from stbench.sweep.tune.search import Limit

    if (trials is None) == (budget is None):
        raise UserError("Give every method the same: either --trials 20, or --budget 2h (1e16MACs, 200epochs).")
    return Limit(trials) if budget is None else Limit(budget=Budget.parse(budget, f"--budget {budget}"))


def read_search(options: Mapping[str, Any], given: Collection[str], limit: Limit) -> SearchOrder:
    """Read all options.

    Raises:
        UserError: a name, key or value is wrong, in the options or in the space.
    """
    from stbench.sweep.tune.space import read_space
    from stbench.sweep.tune.study import Searcher

    seeds = () if options["no_final"] else seed_numbers(options["seeds"])
    if options["trial_seed"] in seeds:
        raise UserError(
            f"--seeds {options['seeds']}: seed {options['trial_seed']} chose the settings, so its run flatters them. "
            "Give the final runs other seeds, or the trials another --trial-seed."
        )
    run = {**dict.fromkeys(DOING, False), "config": None, **options}
    order = read_order(run, set(given) - NOT_OF_A_RUN)
    check_installed(order.experiment.methods)
    spaces = read_space(options["space"], order.experiment.methods)
    searcher = Searcher(options["sampler"].value, options["pruner"].value, options["trial_seed"])
    asked = SearchOrder(order, spaces, options["space"], limit, searcher, seeds, options["at_once"])
    check_free(asked)
    for method, space in spaces.items():
        check_values(asked, method, space)
    return asked


def check_free(asked: SearchOrder) -> None:
    """Check that the command fixes no setting that the space varies.

    Raises:
        UserError: it does.
    """
    from stbench.nn import METHODS
    from stbench.settings import leaves
    from stbench.sweep.overrides import for_method

    for method, space in asked.spaces.items():
        fields = METHODS.get(method.partition(":")[0]).Config.model_fields
        fixed = for_method(asked.order.sets, method, fields)
        keys = {f"{part}.{'.'.join(path)}" for part, values in fixed._asdict().items() for path, _ in leaves(values)}
        keys |= {f"training.{key}" for key in asked.order.training}
        if both := sorted(keys & set(space)):
            raise UserError(f"{both[0]} of {method} is fixed by an option and varied in {asked.file}. Leave one out.")


def check_values(asked: SearchOrder, method: str, space: Space) -> None:
    """Check both ends or every choice of each setting, the others at their first value.

    Raises:
        UserError: a value is none of its setting, or no run can have it.
    """
    first = {key: domain.texts[0] for key, domain in space.items()}
    asked.trial(method, first)
    for key, domain in space.items():
        for text in domain.texts[1:]:
            asked.trial(method, {**first, key: text})
