"""How a site's ring vector travels to a sum: the interface, and the plain ``off`` backend.

A sum takes up to two trips. *Upload*: each site sends what :meth:`SumBackend.upload` makes of its
vector. *Reveal*, where ``reveals`` is true: the coordinator names the sites whose uploads arrived,
and each of them sends what :meth:`SumBackend.reveal` gives. :meth:`SumBackend.open` then yields the
sum over exactly those sites, or fails.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.errors import SecureSumError
from common.registry import did_you_mean
from common.secure.ring import add


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


class SumBackend(Protocol):
    """The site's and the coordinator's half of one way to sum."""

    reveals: bool

    def upload(self, vector: np.ndarray, context: SumContext) -> Arrays:
        """At a site: what to send for ``vector`` (uint64, (n,))."""

    def reveal(self, survivors: list[str], context: SumContext) -> Arrays:
        """At a site: what to send so that the sum over ``survivors`` opens."""

    def open(
        self, uploads: dict[str, Arrays], reveals: dict[str, Arrays], context: SumContext
    ) -> np.ndarray:
        """At the coordinator: the sum (uint64, (n,)) over the sites in ``uploads``."""


class Off:
    """Plain sums: the coordinator sees every site's vector. For comparison only."""

    reveals = False

    def upload(self, vector: np.ndarray, context: SumContext) -> Arrays:
        """The vector itself."""
        return {"vector": vector}

    def reveal(self, survivors: list[str], context: SumContext) -> Arrays:
        """Nothing is left to reveal."""
        return {}

    def open(
        self, uploads: dict[str, Arrays], reveals: dict[str, Arrays], context: SumContext
    ) -> np.ndarray:
        """The sum of the vectors.

        Raises
        ------
        SecureSumError
            No upload, or uploads of different lengths.
        """
        vectors = [upload["vector"] for upload in uploads.values()]
        if len({vector.shape for vector in vectors}) != 1:
            lengths = {site: len(upload["vector"]) for site, upload in uploads.items()}
            raise SecureSumError(
                f"{context.phase}: sites sent vectors of different lengths: {lengths}"
            )
        return add(vectors)


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
