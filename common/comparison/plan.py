"""What is compared, checked as a whole before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from common.comparison.methods import Method
from common.comparison.work import Work, require_equal_work, settings_of, told, work_of
from common.config import RunConfig
from common.errors import ConfigError

LEAST_REPEATS = 3
# Below the reference's quality: what a method may lose and still be of use.
ALLOWED_LOSS = 0.02


@dataclass(frozen=True)
class ComparisonPlan:
    """Methods and how they are compared.

    Parameters
    ----------
    task
        Of the runs.
    base
        The settings that methods change.
    settings, works
        Of each method: all settings of its runs, and what they do.
    reference
        The method to which others are compared.
    repeats, seed
        Blocks of runs; the order's seed, and the first repeat's own.
    floor
        Least quality of a method on the front; None: the reference's mean less ``ALLOWED_LOSS``.
    target
        Macro-F1 on validation cells at which a run is done; 0: work is equal.
    """

    task: str
    base: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    works: dict[str, Work]
    reference: str
    repeats: int
    seed: int
    floor: float | None
    target: float

    @property
    def values(self) -> dict[str, Any]:
        """All of it as JSON values; of a method's settings those that are its own."""
        return {
            "task": self.task,
            "base": self.base,
            "methods": {
                name: {
                    "settings": self.own(name),
                    "work": asdict(work),
                    "told": told(work),
                }
                for name, work in self.works.items()
            },
            "reference": self.reference,
            "repeats": self.repeats,
            "seed": self.seed,
            "floor": self.floor,
            "target_f1": self.target,
        }

    def own(self, name: str) -> dict[str, Any]:
        """What a method has that the compared settings have not."""
        settings = self.settings[name]
        return {
            key: value
            for key, value in settings.items()
            if key != "target-f1" and self.base.get(key) != value
        }


def comparison_plan(
    base: Mapping[str, Any],
    methods: Sequence[Method],
    *,
    repeats: int = LEAST_REPEATS,
    seed: int | None = None,
    floor: float | None = None,
    target: float = 0.0,
    where: str = "settings",
) -> ComparisonPlan:
    """The plan of a comparison.

    Parameters
    ----------
    base
        Settings of a run, which methods change.
    seed
        None: that of ``base``.
    where
        What ``base`` is from, for error messages.

    Raises
    ------
    ConfigError
        A setting of a method, or a choice of the comparison, is wrong; nothing was run.
    """
    if repeats < LEAST_REPEATS:
        raise ConfigError(
            f"--repeats {repeats}: at least {LEAST_REPEATS}, for fewer say nothing of the spread"
        )
    for option, value in (("--floor", floor), ("--target-f1", target)):
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(f"{option} {value:g}: from 0 to 1")
    config = RunConfig.parse(dict(base), where=where)
    work_of(config)
    _require_scored(config, target, where)
    _require_one_grid(config, where)
    named = [method.name for method in methods]
    reference = "baseline" if "baseline" in named else named[0]
    found = {method.name: settings_of(method, base, target) for method in methods}
    works = {name: work for name, (_, work) in found.items()}
    if not target:
        require_equal_work(works, reference)
    return ComparisonPlan(
        task=config.task,
        base=dict(base),
        settings={name: settings for name, (settings, _) in found.items()},
        works=works,
        reference=reference,
        repeats=repeats,
        seed=config.seed if seed is None else seed,
        floor=floor,
        target=target,
    )


def _require_one_grid(config: RunConfig, where: str) -> None:
    """Refuse runs whose emissions, and work, are as the hour is in which each of them falls."""
    if config.carbon_file:
        raise ConfigError(
            f"{where}: carbon-file = {config.carbon_file!r} makes a run's emissions those of its "
            "hours, and methods run in others: leave it out, and set country or grid-factor"
        )


def _require_scored(config: RunConfig, target: float, where: str) -> None:
    """Refuse runs of which nothing would tell how good they are."""
    if config.task == "classify" and not config.test_share:
        raise ConfigError(
            f"{where}: test-share = 0 leaves no cell to compare methods on; set it, as "
            "test-share = 0.2"
        )
    if config.task == "correct" and not config.evaluate:
        raise ConfigError(
            f"{where}: evaluate = false leaves no score to compare methods by; leave it out"
        )
    if target and config.task != "classify":
        raise ConfigError(f"--target-f1 is of task = classify, and {where} is of {config.task}")
    if target and not config.validation_share:
        raise ConfigError(
            f"{where}: validation-share = 0 leaves no cell to tell whether --target-f1 is reached; "
            "set it, as validation-share = 0.1"
        )
