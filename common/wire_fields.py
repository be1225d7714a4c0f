"""What a field that leaves a site may be: public, masked or a share; and what a phase is."""

from dataclasses import dataclass

from common.errors import WireError
from common.secure.narrow import NarrowPoint
from common.secure.ring import FixedPoint

MAX_CELLS = 2.0**24

NumberFormat = FixedPoint | NarrowPoint


@dataclass(frozen=True)
class Public:
    """A field every participant may see; JSON-serialisable."""

    meaning: str


@dataclass(frozen=True)
class Masked:
    """A field that is only ever seen summed over sites.

    Parameters
    ----------
    meaning
        What one site contributes.
    shape
        In words: ``"genes"``, ``"types x latent"``, ``""`` for one number.
    bound
        Largest magnitude of any one value.
    integer, wide
        See :class:`common.secure.ring.FixedPoint`.
    ring
        The values are ring elements already (uint64) and are summed as they are.
    narrow_bound
        If not 0, the field travels in 32 bits a value where the run says ``ring-bits = 32``, and
        this is its bound there; see :class:`common.secure.narrow.NarrowPoint`.
    """

    meaning: str
    shape: str
    bound: float = MAX_CELLS
    integer: bool = False
    wide: bool = False
    ring: bool = False
    narrow_bound: float = 0.0

    def fixed_point(self, n_sites: int, ring_bits: int = 64) -> NumberFormat:
        """The number format for a sum over at most ``n_sites`` sites.

        Raises
        ------
        WireError
            ``ring_bits`` is neither 64 nor 32.
        """
        if ring_bits not in (64, 32):
            raise WireError(f"ring-bits = {ring_bits!r}: a sum has 64 or 32; use the same version")
        if ring_bits == 32 and self.narrow_bound:
            return NarrowPoint(self.narrow_bound, n_sites)
        return FixedPoint(self.bound, n_sites, self.integer, self.wide)


@dataclass(frozen=True)
class Shares:
    """Ring words that are uniformly random until those of all sites are added."""

    meaning: str


@dataclass(frozen=True)
class Phase:
    """One exchange between the coordinator and the sites.

    Parameters
    ----------
    meaning
        What happens.
    fields
        What each site sends.
    train
        Flower's kind of message: train, not query.
    times
        How often a run sums it; a site refuses more, which could ask for what the method does not.
        0: once in every round.
    may_lose
        Whether it may be summed over fewer sites than the run's first sum: not what, with an
        earlier sum of the run, would show more of a lost site than its number of cells.
    noised
        Each site's part holds its share of noise: the sum is not opened if too many are missing.
    """

    meaning: str
    fields: dict[str, Public | Masked | Shares]
    train: bool = False
    times: int = 1
    may_lose: bool = True
    noised: bool = False

    def masked(self) -> dict[str, Masked]:
        """The masked fields, in their order."""
        return {name: field for name, field in self.fields.items() if isinstance(field, Masked)}
