"""Fixed-point numbers in the ring Z_2^64, in which sums over sites are exact and order-free.

A value x becomes round(x * 2^f) modulo 2^64 (two's complement). f is chosen from the agreed bound
on |x| so that the sum over all sites cannot wrap. A field whose bound is too wide for one word is
split into two words of the same ring (``wide``), low 32 bits apart.
"""

import math
from dataclasses import dataclass

import numpy as np

from common.errors import RingError

MAX_FRACTION_BITS = 40


@dataclass(frozen=True)
class FixedPoint:
    """How one field is written in the ring.

    Parameters
    ----------
    bound
        Largest magnitude one site may send.
    n_sites
        Largest number of sites in a sum.
    integer
        Whole numbers: no fractional bits.
    wide
        Two ring words per value, for bounds such as sums of squared CP10k.
    """

    bound: float
    n_sites: int
    integer: bool = False
    wide: bool = False

    def __post_init__(self) -> None:
        if self._spare_bits < 0:
            raise RingError(
                f"a bound of {self.bound:g} for {self.n_sites} sites does not fit the ring; "
                "declare the field wide"
            )

    @property
    def _spare_bits(self) -> int:
        """Bits that the largest possible sum leaves free."""
        headroom = 62 + 32 * self.wide
        used = math.ceil(math.log2(self.bound)) + math.ceil(math.log2(max(self.n_sites, 1)))
        return headroom - used

    @property
    def fraction_bits(self) -> int:
        """The number f of fractional bits."""
        return 0 if self.integer else min(MAX_FRACTION_BITS, self._spare_bits)

    def encode(self, values: np.ndarray, field: str = "value") -> np.ndarray:
        """Ring words of ``values``.

        Parameters
        ----------
        values
            Any shape; converted to float64.
        field
            Its name, for the error.

        Returns
        -------
        words
            uint64, (n,) or for ``wide`` (2 n,): low words, then high words.

        Raises
        ------
        RingError
            A value is not finite, or beyond the bound, or not whole where it must be.
        """
        flat = np.asarray(values, dtype=np.float64).ravel()
        if not np.isfinite(flat).all():
            raise RingError(f"{field}: {np.count_nonzero(~np.isfinite(flat))} values not finite")
        if flat.size and np.abs(flat).max() > self.bound:
            worst = flat[np.abs(flat).argmax()]
            raise RingError(f"{field}: |{worst:g}| exceeds the agreed bound {self.bound:g}")
        scaled = np.ldexp(flat, self.fraction_bits)
        words = np.rint(scaled)
        if self.integer and (words != scaled).any():
            raise RingError(f"{field}: {flat[(words != scaled).argmax()]!r} is not a whole number")
        if not self.wide:
            return words.astype(np.int64).view(np.uint64)
        # Scaling and splitting by powers of two are exact in float64.
        high = np.floor(np.ldexp(words, -32))
        low = words - np.ldexp(high, 32)
        return np.concatenate([low.astype(np.int64), high.astype(np.int64)]).view(np.uint64)

    def decode(self, words: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The float64 values of a sum of :meth:`encode`'d words, in ``shape``."""
        signed = words.view(np.int64)
        if self.wide:
            low, high = np.split(signed, 2)
            values = np.ldexp(high.astype(np.float64), 32) + low
        else:
            values = signed.astype(np.float64)
        return np.ldexp(values, -self.fraction_bits).reshape(shape)


def add(vectors: list[np.ndarray]) -> np.ndarray:
    """The sum modulo 2^64 of uint64 vectors of one length."""
    total = vectors[0].copy()
    for vector in vectors[1:]:
        np.add(total, vector, out=total)
    return total
