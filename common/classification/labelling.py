"""The cells of a file under a published classifier."""

import numpy as np
import torch
from scipy import sparse

from common.classification.published import PublishedClassifier
from common.data.genes import columns_of
from common.data.matrix import ExpressionMatrix
from common.data.normalise import library_sizes, log1p_cp10k
from common.data.padding import allowed_padding
from common.data.reader import SiteFile


def probabilities_of(
    file: SiteFile, published: PublishedClassifier, device: torch.device, max_padded: float
) -> np.ndarray:
    """Probability of every class for every cell, float64 (n_cells, n_classes).

    Parameters
    ----------
    file
        Its genes that the classifier does not know are left out; those that it lacks are zeros.
    max_padded
        Share of the classifier's genes that it may lack.

    Raises
    ------
    GeneError
        It lacks more.
    CountsError
        A value is not a count.
    """
    panel = published.panel
    allowed_padding(panel, {file.path.stem: file.genes}, max_padded)
    columns = columns_of(panel.vocabulary, file.genes)
    chosen = columns_of(panel.genes, panel.vocabulary)
    found = []
    for _, counts in file.iter_counts(columns):
        log = log1p_cp10k(sparse.csr_matrix(counts[:, chosen]), library_sizes(counts))
        matrix = ExpressionMatrix(log, panel.scaling())
        found.append(
            published.trained.probabilities(matrix, np.arange(len(log.indptr) - 1), device)
        )
    return np.concatenate(found)
