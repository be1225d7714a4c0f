"""The 700 real PBMCs that scanpy's package carries, and the profiles of their cell types."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from scipy import sparse

from common.data.profiles import Profiles, fit_profiles
from common.errors import InputError

_FILE = "datasets/10x_pbmc68k_reduced.h5ad"
# 68, 19 and 8 cells: too few, and too alike, to fit apart.
MERGED = {
    "CD4+/CD25 T Reg": "CD4+ T",
    "CD4+/CD45RO+ Memory": "CD4+ T",
    "CD4+/CD45RA+/CD25- Naive T": "CD4+ T",
}
LINEAGES = {
    "CD4+ T": "T and NK",
    "CD8+/CD45RA+ Naive Cytotoxic": "T and NK",
    "CD8+ Cytotoxic T": "T and NK",
    "CD56+ NK": "T and NK",
    "CD14+ Monocyte": "myeloid",
    "Dendritic": "myeloid",
}


class PBMC(NamedTuple):
    """The real cells.

    Parameters
    ----------
    counts
        ``(n_cells, n_genes)`` whole counts, float64.
    genes
        ``(n_genes,)`` symbols.
    cell_types
        ``(n_cells,)`` names after merging, str.
    library_size
        ``(n_cells,)`` counts of a cell over ALL genes of the original data.
    """

    counts: np.ndarray
    genes: tuple[str, ...]
    cell_types: np.ndarray
    library_size: np.ndarray


def read_pbmc() -> PBMC:
    """The cells of ``scanpy.datasets.pbmc68k_reduced``, as counts, without importing scanpy.

    Raises
    ------
    InputError
        scanpy is not installed, or came without the file.

    References
    ----------
    Zheng et al. 2017, doi:10.1038/ncomms14049.
    """
    package = find_spec("scanpy")
    folder = Path((package.submodule_search_locations or [""])[0]) if package else Path()
    path = folder / _FILE
    if package is None or not path.is_file():
        where = f"{path} is missing" if package else "scanpy is not installed"
        raise InputError(
            f"the demo data comes from scanpy's package, but {where}: install it again "
            "(pip install --force-reinstall scanpy), or give data of your own."
        )
    # By h5py: the file is of a format before anndata 0.7, at whose reading anndata warns.
    with h5py.File(path, "r") as file:
        raw = file["raw.X"]
        parts = (raw["data"][:], raw["indices"][:], raw["indptr"][:])
        log1p = sparse.csr_matrix(parts, shape=tuple(raw.attrs["h5sparse_shape"]))
        obs = file["obs"][:]
        names = [name.decode() for name in file["uns/bulk_labels_categories"][:]]
        genes = tuple(name.decode() for name in file["raw.var"][:]["index"])
    library_size = obs["n_counts"].astype(np.float64)
    cp10k = np.expm1(log1p.toarray().astype(np.float64))
    counts = np.rint(cp10k * library_size[:, None] / 1e4)
    cell_types = np.array([MERGED.get(names[code], names[code]) for code in obs["bulk_labels"]])
    return PBMC(counts, genes, cell_types, library_size)


@cache
def pbmc_profiles() -> Profiles:
    """:func:`fit_profiles` on :func:`read_pbmc`: 765 genes, 8 types; fitted once per process."""
    return fit_profiles(*read_pbmc(), lineages=LINEAGES)
