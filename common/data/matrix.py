"""A site's preprocessed expression: sparse, and dense only one mini-batch at a time."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch

from common.panel import Scaling

CLIP = 10.0


class ExpressionMatrix:
    """log1p CP10k of the model's genes, with dense scaled mini-batches on demand.

    Parameters
    ----------
    sparse
        (n_cells, n_genes), float32; its arrays may be memory maps.
    scaling
        Applied to every mini-batch, then clipped to +-10 as in ``scanpy.pp.scale``.
    """

    def __init__(self, sparse: sp.csr_matrix, scaling: Scaling):
        self.sparse = sparse
        self.scaling = scaling
        self._mean = torch.from_numpy(scaling.mean.astype(np.float32))
        self._inverse_sd = torch.from_numpy((1.0 / scaling.sd).astype(np.float32))

    @property
    def shape(self) -> tuple[int, int]:
        """(n_cells, n_genes)."""
        return self.sparse.shape

    def log(self, rows: np.ndarray | slice) -> np.ndarray:
        """log1p CP10k of some cells, dense (n_rows, n_genes)."""
        return self.sparse[rows].toarray()

    def scaled(self, rows: np.ndarray | slice) -> torch.Tensor:
        """Scaled and clipped expression of some cells, dense float32 (n_rows, n_genes)."""
        dense = torch.from_numpy(self.log(rows))
        return dense.sub_(self._mean).mul_(self._inverse_sd).clamp_(-CLIP, CLIP)

    def chunks(self, size: int = 1024) -> Iterator[slice]:
        """Consecutive row ranges that cover every cell."""
        for start in range(0, self.shape[0], size):
            yield slice(start, min(start + size, self.shape[0]))
