"""Highly variable genes from summed moments: the dispersion method of Seurat, as scanpy has it.

References
----------
Satija et al. 2015, doi:10.1038/nbt.3192; scanpy ``pp.highly_variable_genes(flavor="seurat")``.
"""

import numpy as np
import pandas as pd

from common.data.moments import GeneMoments

N_BINS = 20


def normalised_dispersion(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Log dispersion, standardised among genes of similar mean expression.

    Parameters
    ----------
    mean, variance
        Of CP10k, (n_genes,).

    Returns
    -------
    dispersion
        (n_genes,); NaN for a gene without variance.
    """
    mean = np.where(mean == 0, 1e-12, mean)
    dispersion = variance / mean
    with np.errstate(divide="ignore"):
        log_dispersion = np.log(np.where(dispersion == 0, np.nan, dispersion))
    bins = pd.cut(np.log1p(mean), bins=N_BINS, labels=False)
    groups = pd.Series(log_dispersion).groupby(bins)
    average = groups.transform("mean").to_numpy()
    deviation = groups.transform("std").to_numpy()
    # A bin of one gene has no deviation: its normalised dispersion is 1 by convention.
    alone = np.isnan(deviation)
    deviation = np.where(alone, average, deviation)
    average = np.where(alone, 0.0, average)
    return (log_dispersion - average) / deviation


def highly_variable(moments: GeneMoments, n_top_genes: int) -> np.ndarray:
    """Indices of the ``n_top_genes`` genes of largest normalised dispersion, ascending.

    Genes that tie with the last one are kept too, as in scanpy; genes without variance never.
    """
    dispersion = normalised_dispersion(*moments.cp10k_mean_variance())
    ranked = np.sort(dispersion[~np.isnan(dispersion)])[::-1]
    threshold = ranked[min(n_top_genes, len(ranked)) - 1]
    return np.flatnonzero(np.nan_to_num(dispersion, nan=-np.inf) >= threshold)
