"""Records of a site as generators see them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Records:
    """Whole units: all records of each of them.

    Parameters
    ----------
    values
        float64 (n, n_genes), within the schema's bounds.
    classes
        Index of each record's class, int64 (n,).
    units
        Which unit a record is of, int64 (n,): 0 ... n_units - 1. With ``unit = "record"`` each its
        own.
    """

    values: np.ndarray
    classes: np.ndarray
    units: np.ndarray

    @property
    def n_units(self) -> int:
        """How many units."""
        return int(self.units.max()) + 1 if len(self.units) else 0
