"""How a site's ring vector travels to a sum: what every backend offers at both ends.

First trip, *upload*: each site decides whether it takes part (:meth:`SiteSum.begin`), computes its
vector, and sends what :meth:`SiteSum.upload` makes of it. Then the
backend's further ``trips``, each a phase of :data:`common.wire.PHASES`: the coordinator sends every
site that is left what :meth:`SumBackend.ask` gives, and takes what it answers. At last
:meth:`SumBackend.open` yields the sum over exactly the sites that uploaded, or fails.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class SumContext:
    """What identifies one sum; a context is never used twice.

    Parameters
    ----------
    run, phase, round, attempt
        Together the sum's identity.
    n_sites
        Sites asked to take part: fixes the fixed-point format.
    ring_bits
        Of the fields that may be narrow: 64 or 32.
    content
        Hash of everything that the sites are asked: sites that are asked different things have
        masks that do not cancel. Each side computes it; it is not sent.
    """

    run: str
    phase: str
    round: int
    attempt: int
    n_sites: int
    ring_bits: int = 64
    content: str = ""


Values = dict[str, Any]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Parcel:
    """What a message carries for a sum: JSON-serialisable public values, and arrays."""

    public: Values = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


class SiteSum(Protocol):
    """A site's half, for one message; ``masks`` tells whether uploads hide their vectors."""

    masks: bool

    def begin(self, context: SumContext, keys: Values) -> None:
        """Take part in a sum, before anything is computed for it; never twice in the same.

        ``keys`` is what the coordinator's :meth:`SumBackend.request` gave.
        """

    def upload(self, vector: np.ndarray) -> Parcel:
        """What to send for ``vector`` (uint64, (n,)) in the sum that has begun."""

    def answer(self, trip: str, asked: Parcel) -> Parcel:
        """What to send in a further trip, so that the sum opens."""


class SumBackend(Protocol):
    """The coordinator's half, for one run."""

    masks: bool
    trips: tuple[str, ...]

    def request(self, context: SumContext, sites: list[str]) -> Values:
        """What the sites are told with the request for uploads; starts a sum."""

    def receive(self, site: str, upload: Parcel, n_words: int) -> None:
        """Take a site's upload of a vector of ``n_words`` words."""

    def ask(self, trip: str, survivors: list[str], left: list[str]) -> dict[str, Parcel]:
        """What each site that is ``left`` of the ``survivors``, who uploaded, is told in a trip."""

    def take(self, trip: str, site: str, answer: Parcel) -> None:
        """Take what a site answered in a trip."""

    def open(self, survivors: list[str]) -> np.ndarray:
        """The sum (uint64, (n,)) over ``survivors``."""
