"""Gene x class tables over bins: a graphical model that is a star, class -> gene, in closed form.

Given its class a record's genes are drawn independently: no co-expression beyond the class. Bins
are public, or quantiles of a Gaussian with each gene's mean and variance found by releases of their
own. Releases, in order (``docs/synthesize.md`` has the sensitivities): totals; for found bins
coarse, norms, location and spread; table.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from common.errors import ConfigError
from common.synthesis.bins import (
    counts_within,
    gaussian_within,
    grid_edges,
    quantile_edges,
    uniform_within,
)
from common.synthesis.class_table import ClassTable
from common.synthesis.contributions import Pairs, pairs_of
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.location import Location
from common.synthesis.options import LEAST_PART, OptionalScale, Options, Scale, options_of
from common.synthesis.records import Records
from common.synthesis.registry import register_generator
from common.synthesis.schema import Schema
from common.synthesis.spread import Spread
from common.synthesis.totals import Totals

Edge = Annotated[int, Field(ge=1, le=10**9)]


class StarOptions(Options):
    """Public settings; ``count-edges`` are the first counts of each bin but that of zero.

    ``shrink``: how far a class's table goes to all classes' where noise explains that they differ;
    none by default, as class differences are lost before the noise is.
    """

    bins: int = Field(4, ge=2, le=32)
    edges: Literal["found", "public"] = "found"
    count_edges: tuple[Edge, ...] = Field((1, 2), min_length=1, max_length=31)
    shrink: float = Field(0.0, ge=0, le=1)
    table_clip: float = Field(0.25, ge=LEAST_PART, le=1)
    clip: OptionalScale = 0.0
    usual: Scale = 1.0
    coarse_clip: float = Field(0.3, ge=LEAST_PART, le=100)


@register_generator("star")
class Star(Generator):
    """See the module."""

    name = "star"

    def __init__(
        self,
        schema: Schema,
        epsilon: float,
        delta: float,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__(schema, epsilon, delta, options)
        own = options_of(StarOptions, self.name, options)
        self._count_edges = np.array(own.count_edges, dtype=np.float64)
        rising = (np.diff(self._count_edges) > 0).all() and self._count_edges[-1] <= schema.high
        if schema.counts and not rising:
            raise ConfigError(
                f"count-edges = {own.count_edges} must rise and stay below {schema.high:g}"
            )
        private = math.isfinite(epsilon)
        self._found = own.edges == "found" and not schema.counts
        n_bins = len(own.count_edges) + 1 if schema.counts else own.bins
        self._n_bins = n_bins
        self._totals = Totals(schema, 0.04)
        shares = (0.07, 0.01, 0.15)
        self._location = Location(schema, shares, own.coarse_clip, own.clip, own.usual)
        self._spread = Spread(schema, 0.08, own.usual, private)
        share = 0.65 if self._found else 0.96
        clip = own.table_clip if private else 1.0
        self._table = ClassTable(schema, share, n_bins, clip, own.shrink)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Totals, what finds the bins, table."""
        found = (*self._location.stages, self._spread.stage) if self._found else ()
        return (self._totals.stage, *found, self._table.stage)

    def statistics(self, stage: Stage, records: Records, state: State) -> np.ndarray:
        """See :class:`Generator`."""
        pairs = pairs_of(records, self.schema)
        match stage.name:
            case "totals":
                return self._totals.statistics(pairs)
            case "spread":
                return self._spread.statistics(pairs, self._center(pairs, state), state)
            case "table":
                return self._table.statistics(pairs, self._edges(state))
            case _:
                return self._location.statistics(stage, pairs, state)

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """See :class:`Generator`."""
        match stage.name:
            case "totals":
                return self._totals.take(total, noise_sd, state)
            case "spread":
                return self._spread.take(total, noise_sd, state)
            case "table":
                return self._table.take(total, noise_sd, state)
            case _:
                return self._location.take(stage, total, noise_sd, state)

    def sample(
        self, state: State, counts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Generator`; raw counts are whole."""
        values = [self._drawn(state, c, int(n), rng) for c, n in enumerate(counts)]
        return np.concatenate(values), np.repeat(np.arange(self.schema.n_classes), counts)

    def _drawn(self, state: State, c: int, n: int, rng: np.random.Generator) -> np.ndarray:
        """Values of one class, (n, n_genes)."""
        upper, edges = np.cumsum(state["table"][c], axis=1), self._edges(state)
        level = rng.random((n, self.schema.n_genes))
        bins = sum((level >= upper[:, b]).astype(np.int64) for b in range(self._n_bins - 1))
        if self.schema.counts:
            return counts_within(bins, edges, self.schema, rng)
        if not self._found:
            return uniform_within(bins, edges, self.schema, rng)
        values = gaussian_within(bins, edges, state["center"], self._sds(state), rng)
        return np.clip(values, self.schema.low, self.schema.high)

    def _center(self, pairs: Pairs, state: State) -> np.ndarray:
        return np.broadcast_to(state["center"], pairs.values.shape)

    def _sds(self, state: State) -> np.ndarray:
        return np.sqrt(np.maximum(state["variance"], 1e-12))

    def _edges(self, state: State) -> np.ndarray:
        """Inner edges of the bins, (n_genes, n_bins - 1)."""
        if self.schema.counts:
            return np.tile(self._count_edges, (self.schema.n_genes, 1))
        if self._found:
            return quantile_edges(state["center"], self._sds(state), self._n_bins)
        return grid_edges(self.schema, self._n_bins)
