"""What a generator is: stages of sums with noise, and what is made of them.

The same code makes a cohort of pooled records and of sites': :meth:`Generator.statistics` of some
units are whole numbers that add up, so the sum over sites is that of all units together, bit for
bit, and only the noise is drawn apart.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.synthesis.records import Records
from common.synthesis.schema import Schema

State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Stage:
    """One release.

    Parameters
    ----------
    name
        Of the statistic.
    n_values
        Whole numbers in it.
    l2
        Its L2 sensitivity to one unit more or less, in grid steps.
    share
        Of mu^2, the squared sensitivity over noise of the whole run; those of all stages add up to
        at most 1.
    bound
        Largest magnitude of any of its numbers over so many units as a site may have.
    """

    name: str
    n_values: int
    l2: float
    share: float
    bound: float


class Generator(ABC):
    """Base of the generators.

    Parameters
    ----------
    schema
        Genes, classes, bounds and unit.
    epsilon, delta
        Of the whole run, which settings may depend on; infinity: no noise, an upper bound.
    options
        The generator's own public settings.

    Raises
    ------
    ConfigError
        An option, or the unit, is not for this generator.
    """

    name: str

    def __init__(
        self,
        schema: Schema,
        epsilon: float,
        delta: float,
        options: Mapping[str, Any] | None = None,
    ):
        self.schema, self.epsilon, self.delta = schema, epsilon, delta
        self.options = dict(options or {})

    @property
    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The releases in their order: fixed before anything is released."""

    @abstractmethod
    def statistics(self, stage: Stage, records: Records, state: State) -> np.ndarray:
        """A stage of some whole units, clipped to its sensitivity: int64 (n_values,).

        Those of two sets of units add up to those of both. ``state`` is what earlier stages gave.
        """

    @abstractmethod
    def take(self, stage: Stage, total: np.ndarray, noise_sd: float, state: State) -> State:
        """The state with what a noisy sum tells.

        After the last stage it holds ``class_units``, noisy units of each class, or
        :meth:`class_counts` says otherwise.

        Parameters
        ----------
        total
            float64 (n_values,).
        noise_sd
            Standard deviation of the noise in it, in grid steps; 0 without any.
        """

    def class_counts(self, state: State) -> np.ndarray:
        """Records of each class as the noisy state tells: float64 (n_classes,)."""
        return np.asarray(state["class_units"], dtype=np.float64)

    @abstractmethod
    def sample(
        self, state: State, counts: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Synthetic records: values float64 (n, n_genes), and index of class int64 (n,).

        Parameters
        ----------
        state
            After the last stage: arrays that a bundle keeps.
        counts
            Records of each class, (n_classes,).
        """
