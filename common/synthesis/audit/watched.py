"""What a run of a generator released: every noisy sum, with what was known before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.synthesis.generator import Generator, Stage, State
from common.synthesis.records import Records


@dataclass(frozen=True)
class Release:
    """A stage's noisy sum.

    Parameters
    ----------
    stage
        Which.
    before
        The state when units were asked for it: it fixes what each adds.
    total
        float64 (n_values,), in grid steps.
    noise_sd
        Standard deviation of its noise; 0 without any.
    """

    stage: Stage
    before: State
    total: np.ndarray
    noise_sd: float


def replayed(
    generator: Generator, totals: Sequence[np.ndarray], noise_sds: Sequence[float]
) -> list[Release]:
    """The releases of a run of which the noisy sums alone were kept, one of each stage in order."""
    state: State = {}
    found = []
    for stage, total, sd in zip(generator.stages, totals, noise_sds, strict=True):
        found.append(Release(stage, state, total, sd))
        state = generator.take(stage, total.copy(), sd, dict(state))
    return found


class Watched(Generator):
    """A generator that keeps what it is given; else it is the one within.

    Parameters
    ----------
    generator
        That does the work.
    """

    def __init__(self, generator: Generator):
        self._inner = generator
        self.name = generator.name
        self.releases: list[Release] = []
        super().__init__(generator.schema, generator.epsilon, generator.delta, generator.options)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those of the generator within."""
        return self._inner.stages

    def statistics(self, stage: Stage, records: Records, state: State) -> np.ndarray:
        """Those of the generator within."""
        return self._inner.statistics(stage, records, state)

    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """Keep the sum, and hand it on."""
        self.releases.append(Release(stage, dict(state), total.copy(), noise_sd))
        return self._inner.take(stage, total, noise_sd, state)

    def sample(
        self, state: State, counts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """That of the generator within."""
        return self._inner.sample(state, counts, rng)
