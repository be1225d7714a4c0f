"""The k-nearest-neighbour graph that metrics share, exact, and scanpy's weights on it."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

K = 15
# As many as any metric asks for: LISI. Searching for them takes no longer than for 15.
MOST = 90


class Neighbours(NamedTuple):
    """The k nearest cells of every cell, nearest first, the cell itself excluded.

    Parameters
    ----------
    indices
        (n_cells, k) row numbers.
    distances
        (n_cells, k) Euclidean distances.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_neighbours(x: np.ndarray, k: int = K) -> Neighbours:
    """Exact Euclidean neighbours of ``x`` (n_cells, n_dims) among its own rows, self excluded."""
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=k).fit(x).kneighbors()
    return Neighbours(indices, distances)


class _Known:
    """A scikit-learn style transformer that hands neighbours found before to scanpy."""

    def __init__(self, neighbours: Neighbours):
        self._neighbours = neighbours

    def get_params(self, deep: bool = True) -> dict:
        # scanpy counts the cell itself: its 15 neighbours are the cell and 14 others.
        return {"n_neighbors": self._neighbours.indices.shape[1]}

    def fit_transform(self, x: np.ndarray) -> csr_matrix:
        indices, distances = (a[:, :-1] for a in self._neighbours)
        n_cells, n_others = indices.shape
        pointers = np.arange(0, n_cells * n_others + 1, n_others)
        return csr_matrix((distances.ravel(), indices.ravel(), pointers), shape=(n_cells, n_cells))


def connectivities(x: np.ndarray, neighbours: Neighbours) -> csr_matrix:
    """UMAP's symmetric edge weights on known neighbours, as ``scanpy.pp.neighbors`` gives them.

    Parameters
    ----------
    x
        (n_cells, n_dims) embedding.
    neighbours
        Its neighbours; the graph has scanpy's ``n_neighbors`` = K (the cell itself and K - 1
        others).

    Returns
    -------
    (n_cells, n_cells) weights in (0, 1].

    References
    ----------
    McInnes, Healy, Melville 2018 (UMAP), arXiv:1802.03426, section 3.1.
    """
    import anndata
    import scanpy as sc

    cells = anndata.AnnData(x)
    # Known neighbours also spare pynndescent, which is approximate and compiles for half a minute.
    sc.pp.neighbors(cells, transformer=_Known(neighbours), use_rep="X")
    return cells.obsp["connectivities"]
