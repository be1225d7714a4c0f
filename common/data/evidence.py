"""Signs, cell by cell, that values are whole counts, log-transformed, or scaled to one depth."""

import numpy as np
from scipy import sparse

# A value this near to a whole number is one: formats and float32 leave such dust.
DUST = 1e-3
# log1p of a million is 13.8, log2 of it 19.9; counts of some depth reach beyond.
LOG_LIMIT = 25.0

# Logged or scaled values are whole by chance only; of expected counts (RSEM) half and more are.
_WHOLE_BY_CHANCE = 0.2


class Evidence:
    """What a sample of cells shows.

    Parameters
    ----------
    sample
        Float64 ``(n_cells, n_genes)``, without explicit zeros or empty cells.

    Attributes
    ----------
    whole
        Cells with whole numbers only, bool ``(n_cells,)``; the others are "broken" below.
    """

    def __init__(self, sample: sparse.csr_matrix):
        self.values = sample.data
        self.density = sample.nnz / (sample.shape[0] * sample.shape[1])
        self._starts = sample.indptr[:-1]
        self._lengths = np.diff(sample.indptr)
        is_whole = np.abs(self.values - np.rint(self.values)) <= DUST
        self._whole_share = np.add.reduceat(is_whole.astype(float), self._starts) / self._lengths
        self.whole = self._whole_share == 1
        of_broken = np.repeat(~self.whole, self._lengths)
        self._few_whole = of_broken.any() and is_whole[of_broken].mean() < _WHOLE_BY_CHANCE
        self._broken_max = self.values[of_broken].max(initial=0.0)
        self._unlogged = np.expm1(np.minimum(self.values, LOG_LIMIT))

    def is_logged(self) -> bool:
        """Hardly a whole number, and none beyond what a logarithm gives."""
        return bool(self._few_whole and self._broken_max <= LOG_LIMIT)

    def is_scaled(self) -> bool:
        """All cells add up to the same, or most are multiples of a unit of their own."""
        sums = np.add.reduceat(self.values, self._starts)
        if len(sums) >= 3 and np.ptp(sums) < 0.01 * np.median(sums):
            return True
        return bool(self._few_whole and self._in_units(self.values)[~self.whole].mean() >= 0.5)

    def is_log_of_scaled(self) -> bool:
        """Some cells are the log1p of multiples of a unit of their own."""
        return bool(self._in_units(self._unlogged).any())

    def odd_cells(self) -> np.ndarray:
        """Cells unlike the rest where counts and transformed values are mixed, bool (n_cells,)."""
        none = np.zeros_like(self.whole)
        if self.is_logged():
            counts = self.whole & (self._lengths >= 10)
            return ~self.whole if counts.any() else none
        if self.is_scaled():
            return none
        low = np.maximum.reduceat(self.values, self._starts) <= LOG_LIMIT
        return (low & self._in_units(self._unlogged)) | self._in_units(self.values)

    def _in_units(self, values: np.ndarray) -> np.ndarray:
        # A count of one per N becomes N / library size: the unit of all the cell's values.
        unit = np.minimum.reduceat(values, self._starts)
        ratio = values / np.repeat(unit, self._lengths)
        tested = (ratio > 1.5) & (ratio < 20)
        off = np.where(tested, np.abs(ratio - np.rint(ratio)), 0.0)
        multiples = np.add.reduceat(tested.astype(int), self._starts) >= 8
        multiples &= np.maximum.reduceat(off, self._starts) < 0.05
        # One unit for all cells is a precision (halves, hundredths), not a depth.
        units = unit[multiples & ~self.whole]
        if len(units) > 1 and np.ptp(units) <= DUST * np.median(units):
            return np.zeros_like(multiples)
        return multiples & (self._whole_share < _WHOLE_BY_CHANCE)
