"""Small simulated .h5ad files for the tests of common/data."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse


def simulate(n_cells: int = 60, n_genes: int = 40, seed: int = 0) -> np.ndarray:
    """Counts ``(n_cells, n_genes)`` with library sizes that differ, every cell with some ones."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 3.0, size=(n_cells, 1))
    counts = rng.poisson(depth * rng.gamma(0.8, 3.0, size=n_genes))
    counts[:, :3] = 1
    counts[:, 3] = rng.integers(20, 90, size=n_cells)
    return counts.astype(np.float64)


def annotated(x, **parts) -> anndata.AnnData:
    """An AnnData around ``x``: batches "a" and "b", types "B" and "T", genes G0, G1, ..."""
    n_cells, n_genes = x.shape
    obs = pd.DataFrame(
        {
            "batch": pd.Categorical(np.where(np.arange(n_cells) % 2, "b", "a")),
            "cell_type": pd.Categorical(np.where(np.arange(n_cells) % 3, "T", "B")),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    for key, values in parts.pop("obs", {}).items():
        obs[key] = values
    var = pd.DataFrame(index=[f"G{i}" for i in range(n_genes)])
    return anndata.AnnData(x.astype(np.float32), obs=obs, var=var, **parts)


def write(folder: Path, data: anndata.AnnData, name: str = "site.h5ad") -> Path:
    """Write to ``folder / name``."""
    data.write_h5ad(folder / name)
    return folder / name


def scaled(counts: np.ndarray, target: float) -> np.ndarray:
    """Counts per ``target``, as scanpy.pp.normalize_total gives."""
    return counts * (target / counts.sum(axis=1, keepdims=True))


def old_format(path: Path, counts: np.ndarray) -> None:
    """A file as anndata 0.6 wrote it: compound tables, no encoding attributes, ``raw.X``."""
    import h5py

    n_cells, n_genes = counts.shape
    stored = sparse.csr_matrix(counts.astype(np.float32))
    obs = np.array(
        [(b"cell%d" % i, b"ab"[i % 2 : i % 2 + 1]) for i in range(n_cells)],
        dtype=[("index", "S9"), ("batch", "S1")],
    )
    var = np.array([(b"G%d" % i,) for i in range(n_genes)], dtype=[("index", "S9")])
    with h5py.File(path, "w") as file:
        file["X"] = (counts - counts.mean(axis=0)).astype(np.float32)
        file["obs"], file["var"], file["raw.var"] = obs, var, var
        group = file.create_group("raw.X")
        group.attrs["h5sparse_format"] = b"csr"
        group.attrs["h5sparse_shape"] = counts.shape
        group["data"], group["indices"] = stored.data, stored.indices
        group["indptr"] = stored.indptr
