"""Random Fourier features: sums of them compare whole distributions, not means alone.

phi(u) = sqrt(2 / D) cos(u W / h + b) with W standard normal and b uniform, both from a public seed:
phi(u) . phi(v) approximates exp(-|u - v|^2 / (2 h^2)). The share of their variance between batches
(``between.py``) is a squared maximum mean discrepancy over the kernel's own variance: 0 if and, up
to the number of features, only if the batches' cells of a type are distributed alike.

References
----------
Rahimi & Recht 2007, Advances in Neural Information Processing Systems 20; Gretton et al. 2012,
Journal of Machine Learning Research 13:723 (maximum mean discrepancy).
"""

import numpy as np

N_FEATURES = 512
SEED = 20_070_512
# Squared bandwidth, of the mean squared distance of a type's cells to their mean, which is 1 here.
SQUARED_BANDWIDTH = 0.5


def fourier_features(standard: np.ndarray) -> np.ndarray:
    """(n_cells, 512) of cells ``standard`` (n_cells, n_dims) whose mean squared norm is 1."""
    rng = np.random.default_rng(SEED)
    phases = rng.uniform(0, 2 * np.pi, N_FEATURES)
    directions = rng.standard_normal((standard.shape[1], N_FEATURES))
    angles = standard @ directions / np.sqrt(SQUARED_BANDWIDTH) + phases
    return np.sqrt(2 / N_FEATURES) * np.cos(angles)
