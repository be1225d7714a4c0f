"""A run's schema and generator, by its public settings: the same at the coordinator and a site."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.errors import ConfigError
from common.synthesis.generator import Generator
from common.synthesis.registry import GENERATORS
from common.synthesis.release import require_possible
from common.synthesis.rule import generator_for
from common.synthesis.schema import Schema

if TYPE_CHECKING:
    from common.config import RunConfig

AUTO = "auto"
# Units that the rule reckons with where a run does not say.
UNITS = 1000


def schema_of(config: "RunConfig", genes: Sequence[str], classes: Sequence[str]) -> Schema:
    """The cohort that a run is about."""
    return Schema(
        genes=tuple(genes),
        classes=tuple(classes),
        low=config.value_low,
        high=config.value_high,
        unit=config.privacy_unit,
        most_records=config.records_of_donor,
        counts=config.expression == "counts",
    )


def generator_of(config: "RunConfig", schema: Schema) -> Generator:
    """The generator that a run names, or that of the rule, with its own settings.

    Raises
    ------
    ConfigError
        There is none of that name, a setting is not its own, or its stages spend more than the
        whole run's privacy.
    """
    epsilon, delta = config.stated_epsilon, config.delta
    name, options = config.generator, config.options
    if name == AUTO:
        n, size = config.expected_units or UNITS, (schema.n_genes, schema.n_classes)
        name, chosen = generator_for(n, *size, epsilon, delta, counts=schema.counts)
        options = chosen | options
    made = GENERATORS.get(name)(schema, epsilon, delta, options)
    require_stages(made)
    return made


def require_stages(generator: Generator) -> None:
    """Refuse a generator whose stages are not what a run can account for.

    Raises
    ------
    ConfigError
        There is none, two have one name, or their shares of the privacy exceed the whole.
    """
    stages = generator.stages
    names = [stage.name for stage in stages]
    spent = sum(stage.share for stage in stages)
    if not stages or len(set(names)) < len(names):
        raise ConfigError(f"generator {generator.name} has stages {names}: each must have a name")
    if not all(stage.share > 0 for stage in stages) or spent > 1 + 1e-9:
        raise ConfigError(
            f"generator {generator.name} spends {spent:.6g} of the run's privacy, at most 1: lower "
            "the shares among generator-options"
        )


def require_generator(config: "RunConfig") -> None:
    """Refuse a generator, or its settings, before any site is asked.

    Raises
    ------
    ConfigError
        As of :func:`generator_of`, or a stage could not be made of whatever genes and classes.
    """
    # Genes are the sites' to tell: until then those that an option names are taken to be there.
    named = config.options.get("class-genes", [])
    genes = ["a", "b", *(named if isinstance(named, list) else [])]
    made = generator_of(config, schema_of(config, genes, config.public_classes or ("a", "b")))
    least = config.noise_lost + config.noise_colluding + 1
    require_possible(config, made, config.n_sites or least)
