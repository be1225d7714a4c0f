"""How the share of zeros differs, gene by gene."""

import numpy as np


def zero_rate_difference(real: np.ndarray, other: np.ndarray) -> float:
    """Mean over genes of the absolute difference in the share of exact zeros, 0 to 1.

    Parameters
    ----------
    real, other
        (n, n_genes) and (m, n_genes).
    """
    return float(np.abs((real == 0).mean(axis=0) - (other == 0).mean(axis=0)).mean())
