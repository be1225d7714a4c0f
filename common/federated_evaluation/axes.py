"""Principal components of the corrected expression, from one sum over sites.

With x the corrected, scaled expression of a cell and a public random matrix W (n_genes, 60), sites
add their sums of x and of x (x W). That is Y = C W with C the pooled covariance, of which
Y (W^T Y)^-1 Y^T approximates the leading part (Nystroem). The full C would be n_genes^2 numbers.
What the network's encoder does not see, as a batch effect that was never encoded and that
``residual`` therefore keeps, is seen here.

References
----------
Halko, Martinsson & Tropp 2011, doi:10.1137/090771806 (section 5.5); Tropp et al. 2017,
arXiv:1706.05736 (the fixed-rank Nystroem approximation).
"""

import numpy as np

N_AXES = 20
SKETCH = 60
SEED = 20_110_217
# Of the largest eigenvalue of the sketch: below is rounding.
FLOOR = 1e-9
# Of the largest variance: an axis with less is left out, rounding decides where it points.
LEAST_VARIANCE = 1e-6


def test_matrix(n_genes: int) -> np.ndarray:
    """W, (n_genes, 60), the same for everyone."""
    return np.random.default_rng(SEED).standard_normal((n_genes, SKETCH))


def sketch_sums(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over cells of x (n_genes,), and of x (x W), (n_genes, 60); float64."""
    x = x.astype(np.float64)
    return x.sum(axis=0), x.T @ (x @ w)


def axes_of(total: np.ndarray, sketch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pooled mean and leading principal axes.

    Parameters
    ----------
    total, sketch
        Sums over all sites of :func:`sketch_sums`, divided by the number of cells.

    Returns
    -------
    mean
        (n_genes,).
    axes
        (n_genes, 20), orthonormal, the largest entry of each positive; zeros for those along which
        expression hardly varies.
    """
    w = test_matrix(len(total))
    projected = total @ w
    y = sketch - np.outer(total, projected)
    core = w.T @ y
    values, vectors = np.linalg.eigh((core + core.T) / 2)
    axes = np.zeros((len(total), N_AXES))
    # Beside a mean, a variance of less than 1e-12 of it is rounding too.
    kept = values > FLOOR * max(values.max(), 1e-3 * float(projected @ projected))
    if kept.any():
        root = y @ (vectors[:, kept] / np.sqrt(values[kept]))
        found, sizes, _ = np.linalg.svd(root, full_matrices=False)
        found = found[:, sizes**2 >= LEAST_VARIANCE * sizes[0] ** 2][:, :N_AXES]
        found *= np.sign(found[np.abs(found).argmax(axis=0), range(found.shape[1])])
        axes[:, : found.shape[1]] = found
    return total, axes
