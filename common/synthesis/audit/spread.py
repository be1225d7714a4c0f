"""Mean and covariance of what units of a population add to a sum, of few units in many values."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# Units whose directions are told apart; of more only the variances.
MOST_DIRECTIONS = 100
# Of the covariance, what is taken to be of single values: so few units do not tell the rest.
DIAGONAL = 0.5


@dataclass(frozen=True)
class Spread:
    """Of k units.

    Parameters
    ----------
    mean, variance
        (n_values,); the variance is drawn to its mean over values by one unit's worth: a value that
        no unit of a small reference has would otherwise decide alone.
    directions
        Units less their mean, (at most 100, n_values).
    """

    mean: np.ndarray
    variance: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, added: Iterable[np.ndarray]) -> "Spread":
        """Of what units add, one after the other (Welford 1962)."""
        mean, squares, kept, n = 0.0, 0.0, [], 0
        for one in added:
            n += 1
            step = one - mean
            mean = mean + step / n
            squares = squares + step * (one - mean)
            if n <= MOST_DIRECTIONS:
                kept.append(one.astype(np.float32))
        variance = squares / max(n - 1, 1)
        directions = np.stack(kept) - mean.astype(np.float32)
        return cls(mean, (n * variance + variance.mean()) / (n + 1), directions)

    def n_in(self, total: np.ndarray, noise_variance: float) -> float:
        """How many units a sum holds, by least squares on n mean."""
        weight = self.mean / (noise_variance + self.variance + 1)
        most = float((weight * self.mean).sum())
        return max(1.0, float((weight * total).sum()) / most) if most else 1.0

    def inverse(self, noise_variance: float, times: float) -> "Inverse":
        """Of the covariance of noise and so many times a unit's."""
        # A grid step's worth more: values may have neither noise nor spread.
        diagonal = noise_variance + times * DIAGONAL * self.variance + 1
        scale = times * (1 - DIAGONAL) / max(len(self.directions) - 1, 1)
        across = (self.directions * np.sqrt(scale / diagonal)).astype(np.float32)
        inner = np.eye(len(across)) + (across @ across.T).astype(np.float64)
        return Inverse(1 / np.sqrt(diagonal), across, np.linalg.cholesky(inner))


@dataclass(frozen=True)
class Inverse:
    """Of D + U U', by Woodbury's identity.

    Parameters
    ----------
    root
        D^-1/2, (n_values,).
    across
        U' D^-1/2, (k, n_values).
    factor
        Cholesky factor of 1 + U' D^-1 U, (k, k).
    """

    root: np.ndarray
    across: np.ndarray
    factor: np.ndarray

    def times(self, x: np.ndarray) -> np.ndarray:
        """The inverse times each of ``x`` (n, n_values)."""
        z = x * self.root
        inner = np.linalg.solve(self.factor.T, self._inner(z)).T
        return (z - inner @ self.across) * self.root

    def squares(self, x: np.ndarray) -> np.ndarray:
        """x' inverse x of each of ``x`` (n, n_values): (n,)."""
        z = x * self.root
        return np.square(z).sum(axis=1) - np.square(self._inner(z)).sum(axis=0)

    def _inner(self, z: np.ndarray) -> np.ndarray:
        return np.linalg.solve(self.factor, (z.astype(np.float32) @ self.across.T).T)
