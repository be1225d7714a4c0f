"""How a site's ring vector travels to a sum: the interface, and the plain ``off`` backend.

A sum takes up to two trips. *Upload*: each site sends what :meth:`SiteSum.upload` makes of its
vector; the coordinator adds the vectors in the ring as they arrive. *Reveal*, where ``reveals`` is
true: the coordinator names the sites whose uploads arrived, and each of them sends what
:meth:`SiteSum.reveal` gives. :meth:`SumBackend.open` then yields the sum over exactly those sites,
or fails.
"""

from dataclasses import dataclass
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
    """

    run: str
    phase: str
    round: int
    attempt: int
    n_sites: int


Values = dict[str, Any]
VECTOR = "vector"


class SiteSum(Protocol):
    """A site's half, for one message; ``masks`` tells whether uploads hide their vectors."""

    masks: bool

    def upload(
        self, vector: np.ndarray, context: SumContext, keys: Values
    ) -> tuple[np.ndarray, Values]:
        """What to send for ``vector`` (uint64, (n,)): a vector like it, and public fields.

        ``keys`` is what the coordinator's :meth:`SumBackend.request` gave.
        """

    def reveal(self, request: Values) -> Values:
        """What to send, as public fields, so that the sum over the survivors opens."""


class SumBackend(Protocol):
    """The coordinator's half, for one run."""

    reveals: bool

    def request(self, context: SumContext, sites: list[str]) -> Values:
        """What the sites are told with the request for uploads; JSON-serialisable."""

    def receive(self, site: str, fields: Values) -> None:
        """Take the public fields of a site's upload."""

    def reveal_request(self, survivors: list[str]) -> Values:
        """What the survivors are told, so that they help to open their sum."""

    def open(
        self,
        total: np.ndarray,
        survivors: list[str],
        reveals: dict[str, Values],
        context: SumContext,
    ) -> np.ndarray:
        """The sum (uint64, (n,)) over ``survivors``, of whose uploads ``total`` is the sum."""


class Off:
    """Plain sums, both halves: the coordinator sees every site's vector. For comparison only."""

    reveals = False
    masks = False

    def upload(
        self, vector: np.ndarray, context: SumContext, keys: Values
    ) -> tuple[np.ndarray, Values]:
        """The vector itself."""
        return vector, {}

    def reveal(self, request: Values) -> Values:
        """Nothing is left to reveal."""
        return {}

    def request(self, context: SumContext, sites: list[str]) -> Values:
        """Nothing is agreed on."""
        return {}

    def receive(self, site: str, fields: Values) -> None:
        """Nothing comes with an upload."""

    def reveal_request(self, survivors: list[str]) -> Values:
        """Nothing is left to reveal."""
        return {}

    def open(
        self,
        total: np.ndarray,
        survivors: list[str],
        reveals: dict[str, Values],
        context: SumContext,
    ) -> np.ndarray:
        """The total itself."""
        return total
