"""What a site says of a forest on its validation cells: their number, loss, and counts by class."""

import numpy as np
import scipy.sparse as sp

from client.outbox import Outbox
from common.boosting.forest import Forest
from common.classification.probabilities import exact, log_softmax
from common.classification.validation import validation_counts


def validate(outbox: Outbox, forest: Forest, expression: sp.csr_matrix, codes: np.ndarray) -> None:
    """Enter it into the outbox.

    Parameters
    ----------
    expression
        log1p CP10k of the cells, (n_cells, n_genes); none gives zeros.
    codes
        Their classes, (n_cells,).
    """
    margins = forest.margins(expression).T
    outbox.masked("n_validation", len(codes))
    losses = -log_softmax(margins)[np.arange(len(codes)), codes] if len(codes) else np.zeros(1)
    outbox.masked("validation_loss", exact(losses).sum())
    for name, count in validation_counts(margins, codes).items():
        outbox.masked(name, count)
