"""An .h5ad on disk: its obs and var tables, and the rows of its matrices without loading them."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np
from scipy import sparse

from common.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_DENSE_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Matrix:
    """One matrix of an .h5ad, read by rows.

    Parameters
    ----------
    path
        The file.
    source
        ``"X"``, ``"raw/X"`` or ``"layers/NAME"``.
    shape
        ``(n_cells, n_genes)``.
    loaded
        The whole matrix, for formats that cannot be read by rows (CSC, files older than
        anndata 0.7); None where rows come from disk.
    """

    path: Path
    source: str
    shape: tuple[int, int]
    loaded: sparse.csr_matrix | None = field(default=None, repr=False)

    def blocks(self, chunk_size: int) -> Iterator[tuple[int, sparse.csr_matrix]]:
        """Consecutive rows: the first row's index and the block, ``(<= chunk_size, n_genes)``.

        Raises
        ------
        InputError
            The file is damaged.
        """
        starts = range(0, self.shape[0], chunk_size)
        yield from zip(starts, self._read([(s, s + chunk_size) for s in starts]), strict=True)

    def take(self, rows: np.ndarray) -> sparse.csr_matrix:
        """The given rows, which must ascend, as one block, ``(len(rows), n_genes)``."""
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        return sparse.vstack(list(self._read([(r[0], r[-1] + 1) for r in runs])), format="csr")

    def _read(self, spans: list[tuple[int, int]]) -> Iterator[sparse.csr_matrix]:
        if self.loaded is not None:
            yield from (_tidy(self.loaded[start:stop]) for start, stop in spans)
            return
        from anndata.io import sparse_dataset

        with h5py.File(self.path, "r") as file:
            stored = file[self.source]
            is_dense = isinstance(stored, h5py.Dataset)
            rows = stored if is_dense else sparse_dataset(stored)
            for start, stop in spans:
                stop = min(stop, self.shape[0])
                try:
                    block = _dense(stored, start, stop) if is_dense else rows[start:stop]
                except OSError as error:
                    raise InputError(
                        f"{self.path}: {self.source} cannot be read at cells {start + 1:,} to "
                        f"{stop:,} ({error}): the file is damaged; copy or write it again."
                    ) from error
                yield _tidy(block)


def _tidy(block: Any) -> sparse.csr_matrix:
    block = sparse.csr_matrix(block)
    block.sum_duplicates()
    return block


def _dense(stored: h5py.Dataset, start: int, stop: int) -> sparse.csr_matrix:
    step = max(1, _DENSE_BYTES // max(1, stored.shape[1] * stored.dtype.itemsize))
    parts = [
        sparse.csr_matrix(stored[at : min(at + step, stop)]) for at in range(start, stop, step)
    ]
    return sparse.vstack(parts, format="csr")


@dataclass(frozen=True)
class H5ad:
    """What an .h5ad holds; the file itself is closed between reads.

    Parameters
    ----------
    obs
        The table of cells.
    sources
        The matrices it has, in the order in which counts are looked for: ``layers/counts``,
        ``X``, ``raw/X``, the other layers by name.
    """

    path: Path
    obs: "pd.DataFrame"
    sources: tuple[str, ...]
    _old: Any = field(default=None, repr=False)
    _matrices: dict[str, Matrix] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read obs and find the matrices, without reading any.

        Raises
        ------
        InputError
            The file is missing, is not HDF5, or is not an AnnData.
        """
        path = Path(path).expanduser()
        if not path.exists():
            raise InputError(f"{path} does not exist: correct data-path.")
        if path.is_dir():
            raise InputError(f"{path} is a folder, not an .h5ad: give the path of one file.")
        try:
            with h5py.File(path, "r") as file:
                _require_anndata(path, file)
                if isinstance(file["obs"], h5py.Dataset):
                    return cls._open_old(path)
                return cls._open(path, file)
        except OSError as error:
            raise InputError(
                f"{path} cannot be opened as .h5ad (HDF5; {error}): write it with anndata's "
                "write_h5ad; unpack it first if it is compressed; copy it again if it was cut off."
            ) from error

    @classmethod
    def _open(cls, path: Path, file: h5py.File) -> Self:
        from anndata.io import read_elem

        layers = sorted(f"layers/{name}" for name in file.get("layers", {}))
        sources = tuple(s for s in _in_order(layers) if _is_matrix(file.get(s)))
        return cls(path, read_elem(file["obs"]), sources)

    @classmethod
    def _open_old(cls, path: Path) -> Self:
        import anndata

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old = anndata.read_h5ad(path)
        have = {"X": old.X is not None, "raw/X": old.raw is not None}
        layers = sorted(f"layers/{name}" for name in old.layers)
        return cls(path, old.obs, tuple(s for s in _in_order(layers) if have.get(s, True)), old)

    def matrix(self, source: str) -> Matrix:
        """The matrix at ``source``; loaded whole only where its format leaves no other way.

        Raises
        ------
        InputError
            Its number of rows is not that of obs.
        """
        if source not in self._matrices:
            self._matrices[source] = self._matrix(source)
        matrix = self._matrices[source]
        if matrix.shape[0] != len(self.obs):
            raise InputError(
                f"{self.path}: {source} has {matrix.shape[0]:,} rows, obs {len(self.obs):,}: "
                "write the file again with anndata."
            )
        return matrix

    def _matrix(self, source: str) -> Matrix:
        if self._old is not None:
            holder = self._old.raw if source == "raw/X" else self._old
            values = holder.X if source in ("X", "raw/X") else holder.layers[source[7:]]
            loaded = sparse.csr_matrix(values)
            return Matrix(self.path, source, loaded.shape, loaded)
        from anndata.io import sparse_dataset

        with h5py.File(self.path, "r") as file:
            stored = file[source]
            if isinstance(stored, h5py.Dataset):
                return Matrix(self.path, source, stored.shape)
            rows = sparse_dataset(stored)
            loaded = rows.to_memory().tocsr() if rows.format == "csc" else None
            return Matrix(self.path, source, rows.shape, loaded)

    def var(self, source: str) -> "pd.DataFrame":
        """The table of genes that belongs to ``source``: raw has its own."""
        if self._old is not None:
            return self._old.raw.var if source == "raw/X" else self._old.var
        from anndata.io import read_elem

        with h5py.File(self.path, "r") as file:
            return read_elem(file["raw/var" if source == "raw/X" else "var"])


def _in_order(layers: list[str]) -> list[str]:
    first = ["layers/counts"] if "layers/counts" in layers else []
    return [*first, "X", "raw/X", *(name for name in layers if name not in first)]


def _is_matrix(stored: Any) -> bool:
    if isinstance(stored, h5py.Dataset):
        return stored.ndim == 2
    return isinstance(stored, h5py.Group) and {"data", "indices", "indptr"} <= set(stored)


def _require_anndata(path: Path, file: h5py.File) -> None:
    if "obs" in file and "var" in file and any(key in file for key in ("X", "layers", "raw")):
        return
    hint = "write it with anndata's write_h5ad"
    if "matrix" in file:
        hint = "as it looks like 10x's .h5, read it with scanpy.read_10x_h5 and call write_h5ad"
    elif "row_attrs" in file:
        hint = "as it looks like a .loom, read it with anndata.io.read_loom and call write_h5ad"
    raise InputError(
        f"{path} is HDF5 but not an .h5ad: it lacks X, obs or var "
        f"(it has {', '.join(sorted(file)) or 'nothing'}): {hint}."
    )
