"""How much a run trains, and the same amount of it for every method."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from common.classification.plan import classifier_plan
from common.comparison.methods import LEAST_BATCH, Method
from common.config import RunConfig
from common.errors import ConfigError
from common.gradient import LEAST_CELLS
from common.presets import resolve

Kind = Literal["steps", "passes", "trees", "optimum"]
# Rounds are whole: what a method may have less or more for it.
TOLERANCE = 0.01
# What ends a run elsewhere than at the target.
ENDS = ("rounds", "local-epochs", "patience")
KINDS = {
    "steps": "takes one step of all sites in a round (fedsgd)",
    "passes": "passes over the sites' cells in a round",
    "trees": "grows trees",
    "optimum": "is brought to its optimum",
}


@dataclass(frozen=True)
class Work:
    """What a run is to do.

    Parameters
    ----------
    kind
        How it trains.
    rounds, local_epochs, batch_size
        As :class:`common.models.classifiers.recipe.ClassifierTraining` has them.
    patience
        Rounds without a lower validation loss after which it stops; 0: never.
    """

    kind: Kind
    rounds: int
    local_epochs: int
    batch_size: int
    patience: int

    @property
    def amount(self) -> int:
        """What is equal where work is: cells in steps, passes over the cells, or rounds of trees.

        0 where the end is an optimum, the same whatever leads there.
        """
        per_round = {"steps": self.batch_size, "passes": self.local_epochs, "trees": 1}
        return self.rounds * per_round.get(self.kind, 0)

    def passes(self, rounds: int, n_train: int) -> float:
        """Over the training cells, in so many rounds: of all kinds in one unit."""
        step = min(self.batch_size, n_train) / n_train if n_train else 0.0
        return rounds * {"steps": step, "passes": self.local_epochs}.get(self.kind, 1)


def work_of(config: RunConfig) -> Work:
    """The work of a run with these settings.

    Raises
    ------
    ConfigError
        They do not fit each other, or name a model that is not trained.
    """
    if config.task == "classify":
        plan = classifier_plan(config)
        training, strategy = plan.training, config.strategy_name
        fitted = {"linear": "optimum", "trees": "trees"}.get(plan.fitted, "")
    elif config.task == "synthesize":
        raise ConfigError("task = synthesize trains no model, and methods of training are compared")
    elif config.model:
        raise ConfigError(
            f"model = {config.model!r} is not trained, and methods of training are compared: leave "
            "it out"
        )
    else:
        training = resolve(config).training
        strategy, fitted = training.strategy, ""
    kind = fitted or ("steps" if strategy == "fedsgd" else "passes")
    names = ("rounds", "local_epochs", "batch_size", "patience")
    return Work(kind, *(getattr(training, name) for name in names))


def settings_of(
    method: Method, base: Mapping[str, Any], target: float = 0.0
) -> tuple[dict[str, Any], Work]:
    """All settings of a method's runs, and their work.

    A smaller step of all sites is a round: it gets more rounds, as many more as its cells are
    fewer, and the patience of ``base`` with them. Sites that train their own models pass over the
    same cells whatever their batches are.

    Parameters
    ----------
    base
        The settings that the method changes.
    target
        Macro-F1 at which a run is done; 0: at the end of its rounds.

    Raises
    ------
    ConfigError
        A setting is unknown or does not fit; it names the method.
    """
    where, own = f"method {method.name}", method.own(base)
    if target and (ends := [key for key in ENDS if key in own]):
        raise ConfigError(
            f"{where}: {', '.join(ends)} would end it elsewhere than at --target-f1; leave the "
            "method out, or compare at equal work"
        )
    base = {**base, **({"target-f1": target} if target else {})}
    try:
        without = work_of(RunConfig.parse(dict(base), where="settings"))
        values = {**base, **own}
        if method.batch_share != 1:
            smaller = round(without.batch_size * method.batch_share)
            values["batch-size"] = max(LEAST_BATCH, smaller)
        work = work_of(RunConfig.parse(values, where="settings"))
        both_step = work.kind == without.kind == "steps"
        if both_step and work.batch_size != without.batch_size and "rounds" not in own:
            values |= _scaled(without, work, keep_patience="patience" in own)
            work = work_of(RunConfig.parse(values, where="settings"))
    except ConfigError as error:
        text = str(error).removeprefix("settings: ")
        raise ConfigError(f"{where}: {text}") from None
    return values, work


def _scaled(without: Work, work: Work, *, keep_patience: bool) -> dict[str, int]:
    rounds = max(1, round(without.amount / work.batch_size))
    scaled = {"rounds": rounds}
    if without.patience and not keep_patience:
        scaled["patience"] = max(1, round(without.patience * rounds / without.rounds))
    return scaled


def require_equal_work(works: Mapping[str, Work], reference: str) -> None:
    """Refuse methods of which one trains more than another.

    Raises
    ------
    ConfigError
        It names the first, with both amounts.
    """
    of_all = works[reference]
    for name, work in works.items():
        if work.kind != of_all.kind:
            raise ConfigError(
                f"method {name} {KINDS[work.kind]}, and {reference} {KINDS[of_all.kind]}: their "
                "work is not to be made equal; compare them by --target-f1"
            )
        if abs(work.amount - of_all.amount) > TOLERANCE * of_all.amount:
            raise ConfigError(
                f"method {name} would do {told(work)}, and {reference} {told(of_all)}: that is no "
                f"equal work; {_mend(work, of_all)}, or compare them by --target-f1"
            )


def told(work: Work) -> str:
    """In words."""
    if work.kind == "optimum":
        return "what its optimum takes"
    rounds = f"{work.rounds:,} rounds"
    if work.kind == "steps":
        return f"{rounds} of {work.batch_size:,} cells"
    if work.kind == "passes":
        return f"{rounds} of {work.local_epochs} passes"
    return rounds


def _mend(work: Work, of_all: Work) -> str:
    if work.kind == "steps":
        return f"take a batch-size that divides {of_all.amount:,}"
    wanted = dataclasses.replace(of_all, local_epochs=work.local_epochs)
    if work.kind == "passes" and of_all.amount % work.local_epochs == 0:
        wanted = dataclasses.replace(wanted, rounds=of_all.amount // work.local_epochs)
        return f"give it rounds={wanted.rounds}"
    return "give it as many rounds"


def require_whole_steps(works: Mapping[str, Work], n_train: int, n_sites: int) -> None:
    """Refuse steps whose cells are not those that the settings say, once the cells are counted.

    Sites give all their cells where a step would have more, and never fewer than ``LEAST_CELLS``.

    Raises
    ------
    ConfigError
        Steps of two methods differ and one of them is out of these bounds.
    """
    sizes = {work.batch_size for work in works.values() if work.kind == "steps"}
    least = LEAST_CELLS * n_sites
    if len(sizes) < 2 or (least <= min(sizes) and max(sizes) <= n_train):
        return
    name = min(works, key=lambda n: works[n].batch_size)
    if max(sizes) > n_train:
        name = max(works, key=lambda n: works[n].batch_size)
    raise ConfigError(
        f"method {name}: a step of {works[name].batch_size:,} cells, where {n_sites} sites have "
        f"{n_train:,} to train and each gives at least {LEAST_CELLS}, would be of other cells than "
        f"it says, and the work not equal: keep batch-size between {least:,} and {n_train:,} for "
        "all methods, or set a strategy that trains at the sites"
    )
