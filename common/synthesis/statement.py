"""What a run's cohort may be told to protect, and what not: goes with every file made of it."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common.synthesis.generator import Generator, Stage
from common.synthesis.release import epsilon_against, spend_of

if TYPE_CHECKING:
    from common.config import RunConfig
    from common.privacy.distributed_noise import SharedNoise

ADJACENCY = "add or remove one unit"
PUBLIC = (
    "genes' names in the sites' files",
    "the sites' names and their number",
    "the run's settings",
)
RAW, LOG = "raw counts", "as in the sites' files, taken as log expression"
MOST_COLLUDING = 3


def privacy_statement(
    config: "RunConfig",
    generator: Generator,
    releases: Sequence[tuple[Stage, "SharedNoise | None", int, int]],
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """The statement; an epsilon is infinite where nothing is promised.

    Parameters
    ----------
    releases
        Each stage with its noise, the sites that began it and those whose parts its sum holds.
    """
    schema, private = generator.schema, config.private
    fewest = min(survivors for *_, survivors in releases)
    against = {
        str(t): _epsilon(config, releases, t) for t in range(1, min(MOST_COLLUDING, fewest - 1) + 1)
    }
    return {
        "private": private,
        "epsilon": config.stated_epsilon,
        "delta": config.delta if private else 0.0,
        "unit": schema.unit,
        "adjacency": ADJACENCY,
        "most_records": schema.most_records,
        "values": RAW if schema.counts else LOG,
        "bounds": [schema.low, schema.high],
        "generator": generator.name,
        "options": dict(generator.options),
        "noise": "discrete Gaussian, a share of it drawn by each site" if private else "none",
        "secure_sum": config.secure_sum,
        "n_sites": releases[0][2],
        "lost": config.noise_lost,
        "colluding": config.noise_colluding,
        "epsilon_outsiders": _epsilon(config, releases, 0),
        "epsilon_colluding": against,
        "stages": {stage.name: _stage(stage, *rest) for stage, *rest in releases},
        "public": list(PUBLIC),
        "not_covered": _not_covered(config),
        "versions": dict(versions),
    }


def as_json(statement: dict[str, Any]) -> dict[str, Any]:
    """A statement without what JSON has no word for: null where nothing is promised."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        return None if isinstance(value, float) and math.isinf(value) else value

    return plain(statement)


def from_json(statement: dict[str, Any]) -> dict[str, Any]:
    """What :func:`as_json` was made of."""
    return {
        key: from_json(value) if isinstance(value, dict) else math.inf if value is None else value
        for key, value in statement.items()
    }


def _epsilon(config: "RunConfig", releases: Sequence[tuple], colluding: int) -> float:
    if not config.private:
        return math.inf
    shared = [(noise, survivors) for _, noise, _, survivors in releases]
    return epsilon_against(shared, config.delta, colluding)


def _stage(
    stage: Stage, noise: "SharedNoise | None", n_sites: int, survivors: int
) -> dict[str, Any]:
    about = {
        "n_values": stage.n_values,
        "l2": stage.l2,
        "share": stage.share,
        "n_sites": n_sites,
        "survivors": survivors,
        "sigma": math.sqrt(noise.seen_variance(survivors)) if noise else 0.0,
    }
    return about | ({"mu": spend_of(noise, survivors).mu} if noise else {})


def _not_covered(config: "RunConfig") -> list[str]:
    found = []
    if not config.private:
        found.append("anything: there is no noise")
    if not config.classes:
        found.append("which labels each site has, by which the classes were agreed on")
    if config.private and config.secure_sum == "off":
        found.append("the coordinator, who saw each site's vector with one share of the noise")
    if config.privacy_unit == "donor":
        found.append("a donor with records at several sites, who counts once at each of them")
    return found
