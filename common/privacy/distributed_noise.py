"""Noise that the sites add together: each its share, before masking, so that no one knows the sum.

Of n sites up to ``lost`` may never answer, and ``colluding`` may tell each other their shares and
take them off the sum. What is left of the noise must still be enough, so each share has variance
sigma^2 / (n - lost - colluding). Whoever sees only the sum meets more than sigma^2.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from common.errors import ConfigError, SecureSumError
from common.privacy import integer_gaussian
from common.privacy.discrete_gaussian import discrete_gaussian


@dataclass(frozen=True)
class SharedNoise:
    """How one vector's noise is shared, with what it protects against.

    Parameters
    ----------
    variance
        sigma^2 that the sum must keep against whoever it is to protect from, in grid steps squared.
    n_sites
        That begin the sum.
    lost
        That may be lost between then and the sum's opening.
    colluding
        That may know each other's shares.
    n_values
        Of the vector.
    l2
        Its L2 sensitivity in grid steps.

    Raises
    ------
    ConfigError
        No honest site is left, or the noise is too small for the grid.
    """

    variance: Fraction
    n_sites: int
    lost: int
    colluding: int
    n_values: int
    l2: float

    def __post_init__(self):
        for name in ("n_sites", "n_values", "lost", "colluding"):
            value, least = getattr(self, name), 1 if name.startswith("n_") else 0
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"{name} = {value!r} must be a whole number from {least}")
        if not 0 < self.l2 < math.inf:
            raise ConfigError(f"an L2 sensitivity of {self.l2} must be a positive number")
        if self.honest < 1:
            raise ConfigError(
                f"lost = {self.lost} and colluding = {self.colluding} of {self.n_sites} sites "
                "leave no honest one to add noise; lower them"
            )
        # Too little noise for the grid is refused here, before any site begins.
        integer_gaussian.mu_of(self.share, self.honest, self.n_values, self.l2)

    @classmethod
    def calibrated(
        cls,
        epsilon: float,
        delta: float,
        *,
        n_sites: int,
        lost: int,
        colluding: int,
        n_values: int,
        l2: float,
    ) -> "SharedNoise":
        """The least noise for an epsilon that holds whatever sites are lost or collude.

        Raises
        ------
        ConfigError
            As of the class, or epsilon or delta is absurd.
        """
        variance = integer_gaussian.variance_for(epsilon, delta, l2)
        return cls(variance, n_sites, lost, colluding, n_values, l2)

    @property
    def honest(self) -> int:
        """Sites whose noise is counted on."""
        return self.n_sites - self.lost - self.colluding

    @property
    def share(self) -> Fraction:
        """Variance of one site's noise."""
        return self.variance / self.honest

    def draw(self) -> np.ndarray:
        """One site's noise, new at every call: int64 (n_values,)."""
        return discrete_gaussian(self.share, self.n_values)

    def n_shares(self, survivors: int, colluding: int = 0) -> int:
        """How many shares those who pool ``colluding`` sites' knowledge cannot take off the sum.

        Raises
        ------
        SecureSumError
            More sites were lost than the noise was shared for: the sum must not be opened.
        ConfigError
            No share is left.
        """
        if not self.n_sites - self.lost <= survivors <= self.n_sites:
            raise SecureSumError(
                f"{survivors} of {self.n_sites} sites are left and the noise covers at most "
                f"{self.lost} lost: the sum is not opened; run again with a larger tolerance"
            )
        if not 0 <= colluding < survivors:
            raise ConfigError(f"colluding = {colluding} must be of 0 ... {survivors - 1}")
        return survivors - colluding

    def seen_variance(self, survivors: int, colluding: int = 0) -> Fraction:
        """Variance of the noise that they cannot take off."""
        return self.share * self.n_shares(survivors, colluding)

    def mu(self, survivors: int, colluding: int = 0) -> float:
        """Sensitivity over that noise's standard deviation, see ``integer_gaussian``."""
        left = self.n_shares(survivors, colluding)
        return integer_gaussian.mu_of(self.share, left, self.n_values, self.l2)

    def ratio(self, survivors: int, colluding: int = 0) -> float:
        """What integers cost beyond ``mu``, see ``integer_gaussian``."""
        left = self.n_shares(survivors, colluding)
        return integer_gaussian.ratio(self.share, left, self.n_values)

    def epsilon(self, delta: float, survivors: int, colluding: int = 0) -> float:
        """Epsilon at ``delta`` for outsiders (0) or against so many colluding sites.

        Raises
        ------
        SecureSumError, ConfigError
            As of :meth:`n_shares`; or their own noise apart, too little is left for the grid.
        """
        left = self.n_shares(survivors, colluding)
        return integer_gaussian.epsilon_of(self.share, left, self.n_values, self.l2, delta)
