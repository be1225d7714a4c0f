"""Fixed-point numbers of 32 bits, two to a word of the ring: half the traffic for a bounded field.

Two signed values travel as low + 2^32 high modulo 2^64. Words add like any others; as long as
neither lane's sum leaves [-2^31, 2^31), the low 32 bits of the total, read as signed, are the low
lane's sum, and what is left is the high lane's. Steps are coarser than in 64 bits, so values are
rounded up or down at random, right on average: sites' errors do not add up over the rounds.

References
----------
Gupta et al. 2015, arXiv:1502.02551, section 3 (stochastic rounding).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from common.errors import RingError
from common.secure.ring import BLOCK, check_range

MEND = "set ring-bits = 64"
HEADROOM = 30


@dataclass(frozen=True)
class NarrowPoint:
    """How one field is written in 32 bits; stands in for :class:`~common.secure.ring.FixedPoint`.

    Parameters
    ----------
    bound
        Largest magnitude one site may send.
    n_sites
        Largest number of sites in a sum.
    """

    bound: float
    n_sites: int

    dtype: ClassVar[str] = "int32"

    def __post_init__(self) -> None:
        if self.fraction_bits < 0:
            message = (
                f"a bound of {self.bound:g} for {self.n_sites} sites does not fit 32 bits; {MEND}"
            )
            raise RingError(message, public=message)

    @property
    def fraction_bits(self) -> int:
        """The number of fractional bits: all that the largest possible sum leaves free."""
        used = math.ceil(math.log2(self.bound)) + math.ceil(math.log2(max(self.n_sites, 1)))
        return HEADROOM - used

    def n_words(self, n_values: int) -> int:
        """Ring words of so many values."""
        return (n_values + 1) // 2

    def encode(
        self,
        values: np.ndarray,
        field: str = "value",
        out: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> np.ndarray:
        """Ring words of ``values * scale``, each rounded up with the probability of its fraction.

        Parameters
        ----------
        values, field, out, scale
            As :meth:`common.secure.ring.FixedPoint.encode` takes them.

        Returns
        -------
        words
            uint64, (ceil(n / 2),): the first half of the values in the low lanes, the others in
            the high ones, with a zero beside an odd one.

        Raises
        ------
        RingError
            A value is not finite, or beyond the bound.
        """
        flat = np.asarray(values).ravel()
        half = self.n_words(flat.size)
        if out is None:
            out = np.empty(half, dtype=np.uint64)
        words, rng = out.view(np.int64), np.random.default_rng()
        # In blocks that stay in the processor's cache: a model is millions of values.
        for start in range(0, half, BLOCK):
            end = min(start + BLOCK, half)
            words[start:end] = self._lane(flat[start:end], field, scale, rng)
            high = self._lane(flat[half + start : half + end], field, scale, rng)
            high <<= 32
            words[start : start + len(high)] += high
        return out

    def _lane(
        self, part: np.ndarray, field: str, scale: float, rng: np.random.Generator
    ) -> np.ndarray:
        part = np.multiply(part, scale, dtype=np.float64)
        check_range(part, self.bound, field, MEND)
        part *= 2.0**self.fraction_bits
        # The fraction is exact, so a whole number of steps, as the bound is, is never rounded up.
        down = np.floor(part)
        part -= down
        down += rng.random(part.size) < part
        return down.astype(np.int64)

    def decode(self, words: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The float64 values of a sum of :meth:`encode`'d words, in ``shape``."""
        total = words.view(np.int64)
        values = np.empty(2 * len(words))
        low, high = np.split(values, 2)
        low[:] = (total << 32) >> 32
        high[:] = (total - low.astype(np.int64)) >> 32
        values *= 2.0**-self.fraction_bits
        return values[: math.prod(shape)].reshape(shape)
