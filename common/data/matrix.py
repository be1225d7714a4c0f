"""A site's preprocessed expression: CSR on disk, dense only one mini-batch at a time."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

CLIP = 10.0
PARTS = ("data", "indices", "indptr")


@dataclass(frozen=True)
class Scaling:
    """Pooled mean and standard deviation of log1p CP10k, each (n_genes,), float32."""

    mean: np.ndarray
    sd: np.ndarray


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


def write_csr(chunks: Iterable[sp.csr_matrix], n_genes: int, folder: Path) -> None:
    """Write consecutive chunks of cells as one CSR matrix under ``folder``, which appears whole.

    Memory stays at one chunk; ``folder`` must not exist.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        indptr = [np.zeros(1, dtype=np.int64)]
        with (partial / "data.raw").open("wb") as data, (partial / "indices.raw").open("wb") as ind:
            for chunk in chunks:
                chunk.data.astype(np.float32, copy=False).tofile(data)
                chunk.indices.astype(np.int32, copy=False).tofile(ind)
                indptr.append(indptr[-1][-1] + chunk.indptr[1:].astype(np.int64))
        np.save(partial / "indptr.npy", np.concatenate(indptr))
        (partial / "n_genes").write_text(str(n_genes))
        try:
            partial.replace(folder)
        except OSError:
            # Another process of this site wrote the same matrix first.
            if not (folder / "n_genes").exists():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def row_chunks(matrix: sp.csr_matrix, size: int = 4096) -> Iterator[sp.csr_matrix]:
    """Consecutive cells, at most ``size`` at a time, copied from the memory maps."""
    for start in range(0, matrix.shape[0], size):
        yield matrix[start : start + size]


def open_csr(folder: Path) -> sp.csr_matrix:
    """The matrix that :func:`write_csr` wrote, on memory maps: (n_cells, n_genes), float32."""
    indptr = np.load(folder / "indptr.npy")
    n_genes = int((folder / "n_genes").read_text())
    if indptr[-1] == 0:
        return sp.csr_matrix((len(indptr) - 1, n_genes), dtype=np.float32)
    if indptr[-1] < np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    data = np.memmap(folder / "data.raw", dtype=np.float32, mode="r")
    indices = np.memmap(folder / "indices.raw", dtype=np.int32, mode="r")
    matrix = sp.csr_matrix((len(indptr) - 1, n_genes), dtype=np.float32)
    # Assigned, not passed: the constructor would copy the maps into memory to check them.
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    return matrix
