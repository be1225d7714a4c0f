"""A benchmark's cells, preprocessed once for every method, pooled, as a run does it by sums."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.data.genes import columns_of
from common.data.hvg import highly_variable
from common.data.matrix import ExpressionMatrix
from common.data.moments import GeneMoments, site_sums
from common.data.normalise import library_sizes, log1p_cp10k
from common.data.reader import SiteFile
from common.nearest_labels import nearest_labels
from common.panel import Scaling

N_TOP_GENES = 2000
HELD_OUT = 0.2


@dataclass(frozen=True)
class Cells:
    """The cells of one file.

    Parameters
    ----------
    name, path
        Of the dataset.
    site_key
        Column of obs by which its cells are split into sites.
    cell
        (n_cells,) names.
    batch, cell_type
        (n_cells,) names; every cell has both.
    site
        (n_cells,) the site that holds the cell.
    x
        (n_cells, n_genes) scaled and clipped log1p CP10k of the highly variable genes, float32.
    digest
        A hash of the file.
    """

    name: str
    path: Path
    site_key: str
    cell: np.ndarray
    batch: np.ndarray
    cell_type: np.ndarray
    site: np.ndarray
    x: np.ndarray
    digest: str

    @classmethod
    def read(cls, path: Path, site_key: str = "batch") -> "Cells":
        """Read and preprocess: the same genes and values as those of a federated run."""
        file = SiteFile.open(path)
        site = SiteFile.open(path, batch_key=site_key).batches
        vocabulary = sorted(file.genes)
        columns = columns_of(vocabulary, file.genes)
        sums = site_sums((counts for _, counts in file.iter_counts(columns)), len(vocabulary))
        moments = GeneMoments(**{**sums, "n_cells": int(sums["n_cells"])})
        chosen = highly_variable(moments, N_TOP_GENES)
        mean, sd = (values[chosen].astype(np.float32) for values in moments.log_mean_sd())
        scaling = Scaling(mean, sd)
        logs = (
            log1p_cp10k(counts[:, chosen], library_sizes(counts))
            for _, counts in file.iter_counts(columns)
        )
        scaled = [ExpressionMatrix(log, scaling).scaled(slice(None)).numpy() for log in logs]
        return cls(
            path.stem,
            path,
            site_key,
            np.array(file.obs_names, dtype=object),
            file.batches.astype(object),
            file.cell_types,
            site.astype(object),
            np.concatenate(scaled),
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )


def held_out(site: np.ndarray, seed: int, share: float = HELD_OUT) -> np.ndarray:
    """(n_cells,) bool: a share of every site's cells, at random, the same for every method."""
    rng = np.random.default_rng([seed, 20])
    chosen = np.zeros(len(site), dtype=bool)
    for name in np.unique(site.astype(str)):
        rows = np.flatnonzero(site == name)
        chosen[rng.choice(rows, round(share * len(rows)), replace=False)] = True
    return chosen


def given_labels(
    embedding: np.ndarray, batch: np.ndarray, cell_type: np.ndarray, hidden: np.ndarray
) -> np.ndarray:
    """Labels for a method that cannot leave a cell without one: hidden cells get their neighbours'.

    Parameters
    ----------
    embedding
        (n_cells, n_dims), uncorrected.
    batch, cell_type
        (n_cells,) names; the types of hidden cells are not read.
    hidden
        (n_cells,) bool.
    """
    known = np.where(hidden, None, cell_type)
    nearest = nearest_labels(embedding, batch, known, torch.device("cpu")).cell_types
    return np.where(hidden, nearest, known)
