"""The ``off`` backend: plain sums. For comparison, and for a single site."""

import numpy as np

from common.errors import SecureSumError
from common.secure.backend import Parcel, SumContext, Values
from common.secure.running_sum import VECTOR, RunningSum


class OffSite:
    """A site's half: the vector as it is."""

    masks = False

    def begin(self, context: SumContext, keys: Values) -> None:
        """Nothing is agreed on."""

    def upload(self, vector: np.ndarray) -> Parcel:
        """The vector itself."""
        return Parcel(arrays={VECTOR: vector})

    def answer(self, trip: str, asked: Parcel) -> Parcel:
        """Nothing is left to open.

        Raises
        ------
        SecureSumError
            Always.
        """
        raise SecureSumError(f"secure-sum = off has no {trip}")


class OffBackend:
    """The coordinator's half: it sees every site's vector."""

    masks = False
    trips = ()

    def request(self, context: SumContext, sites: list[str]) -> Values:
        """Nothing is agreed on."""
        self._sum = RunningSum()
        return {}

    def receive(self, site: str, upload: Parcel, n_words: int) -> None:
        """Add it."""
        self._sum.add(site, upload, n_words)

    def ask(self, trip: str, survivors: list[str], left: list[str]) -> dict[str, Parcel]:
        """Never: there are no further trips."""
        return {}

    def take(self, trip: str, site: str, answer: Parcel) -> None:
        """Never: there are no further trips."""

    def open(self, survivors: list[str]) -> np.ndarray:
        """The sum as it is."""
        return self._sum.total
