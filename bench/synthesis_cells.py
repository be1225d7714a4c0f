"""Cells of 40 donors as they are scored, with the donor as the unit.

Genes and settings are public: all 1,000 genes that the file's source chose, or with ``n_genes``
those of them that vary most from cell to cell in another data set (Kang 2018), in log1p CP10k; raw
counts up to 1,000; 200 synthetic cells of each class, as a donor's share of classes is not
released. Classifiers and distances take log1p CP10k of these genes. What synthetic cells are
compared with has 200 real cells of each class, too: else what classes make up would count.
"""

from collections.abc import Iterator
from pathlib import Path

import anndata
import numpy as np
import scipy.sparse as sp

from bench.synthesis_data import N_FOLDS, Fold, ranked
from common.data.normalise import library_sizes, log1p_cp10k
from common.synthesis.records import Records
from common.synthesis.schema import Schema

ONEK1K, KANG = "pbmc_onek1k_40donor", "pbmc_kang_8donor"
HIGH, SAMPLES = 1000.0, 200
# What is scored: all genes, or so many of a public ranking.
CELLS = {ONEK1K: None, f"{ONEK1K}_100_genes": 100}
MOST_RECORDS = 50  # as a run has it by itself


def donor_folds(folder: Path, n_genes: int | None = None) -> Iterator[Fold]:
    """Five folds of eight held-out donors each, drawn with a fixed seed."""
    data = anndata.read_h5ad(folder / f"{ONEK1K}.h5ad")
    if n_genes:
        data = data[:, ranked_by_kang(folder, list(data.var_names), n_genes)]
    values = data.X.toarray().astype(np.float64)
    classes, codes = np.unique(data.obs["cell_type"].astype(str), return_inverse=True)
    donors, donor = np.unique(data.obs["batch"].astype(str), return_inverse=True)
    schema = Schema(
        genes=tuple(data.var_names),
        classes=tuple(classes),
        low=0.0,
        high=HIGH,
        unit="donor",
        most_records=MOST_RECORDS,
        counts=True,
    )
    sites = data.obs["site8"].astype(str).to_numpy()
    order = np.random.default_rng(0).permutation(len(donors))
    for held_out in np.array_split(order, N_FOLDS):
        train = ~np.isin(donor, held_out)
        parts = [_cells(values[rows], codes[rows], donor[rows]) for rows in (train, ~train)]
        like = [scored(_equally(part)) for part in parts]
        yield Fold(schema, *parts, sites[train], *like, scored=scored, samples=SAMPLES)


def ranked_by_kang(folder: Path, genes: list[str], most: int) -> list[str]:
    """The genes of a list that vary most from cell to cell there: no record of ours is used."""
    data = anndata.read_h5ad(folder / f"{KANG}.h5ad")
    values = log1p_cp10k(data.X.tocsr(), library_sizes(data.X))
    shared = np.isin(data.var_names, genes)
    return ranked(values[:, shared].toarray(), data.var_names[shared].tolist(), most)


def scored(counts: np.ndarray) -> np.ndarray:
    """log1p CP10k of the genes that there are, float64."""
    sparse = sp.csr_matrix(counts)
    return log1p_cp10k(sparse, library_sizes(sparse)).toarray().astype(np.float64)


def _cells(values: np.ndarray, classes: np.ndarray, donor: np.ndarray) -> Records:
    return Records(values, classes, np.unique(donor, return_inverse=True)[1])


def _equally(records: Records) -> np.ndarray:
    """Counts of as many cells of each class, drawn with a fixed seed: SAMPLES, or all there are."""
    rng, rows = np.random.default_rng(0), []
    for c in np.unique(records.classes):
        mine = np.flatnonzero(records.classes == c)
        rows.append(rng.permutation(mine)[:SAMPLES])
    return records.values[np.concatenate(rows)]
