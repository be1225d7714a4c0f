"""Fixed-point numbers in the ring Z_2^64, in which sums over sites are exact and order-free.

A value x becomes round(x * 2^f) modulo 2^64 (two's complement). f is chosen from the agreed bound
on |x| so that the sum over all sites cannot wrap. A field whose bound is too wide for one word is
split into two words of the same ring (``wide``), low 32 bits apart.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from common.errors import RingError

MAX_FRACTION_BITS = 40
BLOCK = 2**15


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

    dtype: ClassVar[str] = "uint64"

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

    def n_words(self, n_values: int) -> int:
        """Ring words of so many values."""
        return n_values * (2 if self.wide else 1)

    def encode(
        self,
        values: np.ndarray,
        field: str = "value",
        out: np.ndarray | None = None,
        scale: float = 1.0,
    ) -> np.ndarray:
        """Ring words of ``values * scale``.

        Parameters
        ----------
        values
            Any shape; converted to float64.
        field
            Its name, for the error.
        scale
            Multiplied in float64.
        out
            Receives the words if given: uint64, as long as they are.

        Returns
        -------
        words
            uint64, (n,) or for ``wide`` (2 n,): low words, then high words.

        Raises
        ------
        RingError
            A value is not finite, or beyond the bound, or not whole where it must be.
        """
        flat = np.asarray(values).ravel()
        if out is None:
            out = np.empty(self.n_words(flat.size), dtype=np.uint64)
        words = out.view(np.int64)
        # In blocks that stay in the processor's cache: a model is millions of values.
        for start in range(0, flat.size, BLOCK):
            part = np.multiply(flat[start : start + BLOCK], scale, dtype=np.float64)
            check_range(part, self.bound, field)
            if self.integer and (broken := part[np.rint(part) != part]).size:
                raise RingError(f"{field}: {broken[0]!r} is not a whole number")
            # Scaling and splitting by powers of two are exact in float64.
            part *= 2.0**self.fraction_bits
            np.rint(part, out=part)
            end = start + part.size
            if self.wide:
                high = np.floor(part * 2.0**-32)
                words[start:end] = part - high * 2.0**32
                words[flat.size + start : flat.size + end] = high
            else:
                words[start:end] = part
        return out

    def decode(self, words: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The float64 values of a sum of :meth:`encode`'d words, in ``shape``."""
        signed = words.view(np.int64)
        if self.wide:
            low, high = np.split(signed, 2)
            values = high.astype(np.float64) * 2.0**32 + low
        else:
            values = signed.astype(np.float64)
        values *= 2.0**-self.fraction_bits
        return values.reshape(shape)


def check_range(part: np.ndarray, bound: float, field: str, mend: str = "") -> None:
    """Refuse values that are not finite or beyond the bound; ``mend`` says what else to do.

    Raises
    ------
    RingError
        It names the field and the bound.
    """
    if part.size == 0 or max(part.max(), -part.min()) <= bound:
        return
    if n_bad := np.count_nonzero(~np.isfinite(part)):
        raise RingError(f"{field}: {n_bad} values not finite")
    mend = f"; {mend}" if mend else ""
    worst = part[np.abs(part).argmax()]
    raise RingError(
        f"{field}: |{worst:g}| exceeds the agreed bound {bound:g}{mend}",
        public=f"{field}: a value exceeds the agreed bound {bound:g}{mend}",
    )


def add(vectors: list[np.ndarray]) -> np.ndarray:
    """The sum modulo 2^64 of uint64 vectors of one length."""
    total = vectors[0].copy()
    for vector in vectors[1:]:
        np.add(total, vector, out=total)
    return total
