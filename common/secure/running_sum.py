"""Uploads of one ring vector each, added as they arrive."""

import numpy as np

from common.errors import SecureSumError
from common.secure.backend import Parcel

VECTOR = "vector"


class RunningSum:
    """The sum modulo 2^64 of the uploads so far."""

    def __init__(self) -> None:
        self._total: np.ndarray | None = None

    def add(self, site: str, upload: Parcel, n_words: int) -> None:
        """Add a site's vector.

        Raises
        ------
        SecureSumError
            It is not a vector of so many ring words.
        """
        vector = upload.arrays.get(VECTOR)
        if vector is None:
            raise SecureSumError(f"site {site} answered without an upload")
        if vector.dtype != np.uint64 or vector.shape != (n_words,):
            raise SecureSumError(
                f"site {site} sent {vector.dtype} {vector.shape}, not {n_words} ring words"
            )
        if self._total is None:
            self._total = vector.copy()
        else:
            np.add(self._total, vector, out=self._total)

    @property
    def total(self) -> np.ndarray:
        """The sum, uint64, (n,).

        Raises
        ------
        SecureSumError
            There are no uploads.
        """
        if self._total is None:
            raise SecureSumError("no site uploaded: nothing is opened")
        return self._total
