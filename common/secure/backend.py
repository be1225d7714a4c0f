"""How a site's ring vector travels to a sum: the interface, and the plain ``off`` backend.

A sum takes up to two trips. *Upload*: each site sends what :meth:`SumBackend.upload` makes of its
vector; what it calls :data:`VECTOR` is added up in the ring as it arrives. *Reveal*, where
``reveals`` is true: the coordinator names the sites whose uploads arrived, and each of them sends
what :meth:`SumBackend.reveal` gives. :meth:`SumBackend.open` then yields the sum over exactly those
sites, or fails.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.errors import SecureSumError
from common.registry import did_you_mean


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


Arrays = dict[str, np.ndarray]
VECTOR = "vector"


class SumBackend(Protocol):
    """The site's and the coordinator's half of one way to sum."""

    reveals: bool

    def upload(self, vector: np.ndarray, context: SumContext) -> Arrays:
        """At a site: what to send for ``vector`` (uint64, (n,)); ``VECTOR`` is uint64 as well."""

    def reveal(self, survivors: list[str], context: SumContext) -> Arrays:
        """At a site: what to send so that the sum over ``survivors`` opens."""

    def open(
        self,
        total: np.ndarray,
        uploads: dict[str, Arrays],
        reveals: dict[str, Arrays],
        context: SumContext,
    ) -> np.ndarray:
        """At the coordinator: the sum (uint64, (n,)) over the sites in ``uploads``.

        ``total`` is the sum of their ``VECTOR``; ``uploads`` has what else they sent.
        """


class Off:
    """Plain sums: the coordinator sees every site's vector. For comparison only."""

    reveals = False

    def upload(self, vector: np.ndarray, context: SumContext) -> Arrays:
        """The vector itself."""
        return {VECTOR: vector}

    def reveal(self, survivors: list[str], context: SumContext) -> Arrays:
        """Nothing is left to reveal."""
        return {}

    def open(
        self,
        total: np.ndarray,
        uploads: dict[str, Arrays],
        reveals: dict[str, Arrays],
        context: SumContext,
    ) -> np.ndarray:
        """The total itself."""
        return total


BACKENDS: dict[str, type] = {"off": Off}


def backend(name: str) -> SumBackend:
    """The backend called ``name``.

    Raises
    ------
    SecureSumError
        The name is unknown.
    """
    if name not in BACKENDS:
        raise SecureSumError(f"unknown secure-sum {name!r}: {did_you_mean(name, BACKENDS)}")
    return BACKENDS[name]()
