"""A site's preprocessed counts on its disk: CSR, written and read without holding the matrix."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import scipy.sparse as sp


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
