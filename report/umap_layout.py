"""UMAP of cells from their principal components, the same for the same seed."""

import warnings

import numpy as np

from common.metrics.neighbors import K

# Half of UMAP's own number for so few cells: no difference to be seen, in half the time.
N_EPOCHS = 250
MIN_DIST = 0.3
SETTINGS = (
    f"UMAP, {K} neighbours (exact, Euclidean), min_dist {MIN_DIST}, {N_EPOCHS} epochs, begun at "
    "the first two principal components"
)


def umap_layout(components: np.ndarray, seed: int) -> np.ndarray:
    """Two coordinates of each cell.

    Exact neighbours are found by scikit-learn: UMAP's own search is approximate, and compiles for
    half a minute.

    Parameters
    ----------
    components
        (n_cells, n_pcs) principal components.
    seed
        Of the layout.

    Returns
    -------
    (n_cells, 2) coordinates; the first two components where cells are too few or all alike.

    References
    ----------
    McInnes, Healy, Melville 2018 (UMAP), arXiv:1802.03426.
    """
    from sklearn.neighbors import NearestNeighbors

    components = np.ascontiguousarray(components, dtype=np.float32)
    start = np.zeros((len(components), 2), dtype=np.float32)
    start[:, : components.shape[1]] = components[:, :2]
    spread = np.abs(start).max(initial=0.0)
    if len(components) <= K or not spread:
        return start
    start *= 10 / spread
    noise = np.random.default_rng(seed).normal(0, 1e-4, start.shape)
    distances, indices = NearestNeighbors(n_neighbors=K).fit(components).kneighbors(components)
    with warnings.catch_warnings():
        # Of parts that are not used: TensorFlow, and new cells on an old layout.
        warnings.simplefilter("ignore")
        from umap import UMAP

        layout = UMAP(
            n_neighbors=K,
            min_dist=MIN_DIST,
            n_epochs=N_EPOCHS,
            init=start + noise.astype(np.float32),
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(indices, distances, None),
        )
        return layout.fit_transform(components)
