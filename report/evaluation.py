"""Scores of expression before and after correction: what ``evaluation.json`` holds."""

import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from common.errors import ConfigError, InputError
from common.metrics import leiden
from common.metrics.embedded import Embedded
from common.metrics.neighbors import K
from common.metrics.registry import METRICS
from common.metrics.score import Score
from report.evaluation_table import evaluation_table

__all__ = ["evaluate_embeddings", "evaluation_table", "principal_components"]

BEFORE = "uncorrected"
PACKAGES = ("numpy", "scipy", "scikit-learn", "scanpy", "umap-learn", "igraph", "scib-metrics")
LABELS_NOTE = (
    "Labels steer the correction and also score it: part of any gain in the rows that use cell "
    "types comes from that."
)


def principal_components(x: np.ndarray, n_pcs: int, seed: int) -> np.ndarray:
    """Principal components of ``x`` (n_cells, n_genes) by ARPACK, started from ``seed``.

    Returns
    -------
    (n_cells, min(n_pcs, n_cells - 1)) scores; ``x`` itself, centred, where it has no more than
    ``n_pcs`` columns; one column of zeros where all cells are equal.
    """
    from sklearn.decomposition import PCA

    if len(x) < 2 or not np.ptp(x, axis=0).any():
        return np.zeros((len(x), 1))
    if x.shape[1] <= n_pcs:
        return x - x.mean(axis=0, dtype=np.float64)
    n_components = min(n_pcs, len(x) - 1)
    pca = PCA(n_components, svd_solver="arpack", random_state=seed)
    return pca.fit_transform(x)


def evaluate_embeddings(
    before: np.ndarray,
    after: Mapping[str, np.ndarray],
    batch: np.ndarray,
    cell_type: np.ndarray,
    *,
    n_pcs: int = 20,
    max_cells: int = 20_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Every registered metric on principal components of each matrix.

    Parameters
    ----------
    before
        (n_cells, n_genes) scaled log1p CP10k expression before correction.
    after
        Matrices (n_cells, any number of columns) after correction, by name ("decoded",
        "residual").
    batch, cell_type
        (n_cells,) names; a cell without a type (None, NaN, "") is left out where types count.
    n_pcs
        Principal components, computed for each matrix on its own.
    max_cells
        Above it a random subsample of this size is scored, the same cells in every matrix.
    seed
        Of the subsample and of the PCA.

    Returns
    -------
    What ``evaluation.json`` holds: plain Python values, None where a metric is not defined.

    Raises
    ------
    InputError
        A matrix does not fit the others or holds NaN, or there is no cell.
    ConfigError
        ``n_pcs`` or ``max_cells`` is below 1, or a matrix in ``after`` is called "uncorrected".
    """
    if n_pcs < 1 or max_cells < 1:
        raise ConfigError(f"n_pcs={n_pcs}, max_cells={max_cells}; both must be 1 or more")
    if BEFORE in after:
        raise ConfigError(f"an output may not be called {BEFORE!r}; give it another name")
    start = time.perf_counter()
    matrices = {BEFORE: np.asarray(before)} | {k: np.asarray(x) for k, x in after.items()}
    labels = {"batch": np.asarray(batch, object), "cell_type": np.asarray(cell_type, object)}
    n_cells = len(matrices[BEFORE])
    for name, x in matrices.items():
        _check_matrix(name, x, n_cells)
    for name, values in labels.items():
        if values.shape != (n_cells,):
            raise InputError(
                f"{name} has shape {values.shape}; give one label for each of {n_cells} cells"
            )

    rows = slice(None)
    if n_cells > max_cells:
        rows = np.sort(np.random.default_rng(seed).choice(n_cells, max_cells, replace=False))
    labels = {name: values[rows] for name, values in labels.items()}
    scores: dict[str, dict[str, Score]] = {}
    n_dims: dict[str, int] = {}
    for column, x in matrices.items():
        embedded = Embedded(principal_components(x[rows], n_pcs, seed), **labels)
        n_dims[column] = embedded.x.shape[1]
        scores[column] = {name: METRICS.get(name)(embedded) for name in METRICS.names()}

    return {
        "n_cells": n_cells,
        "n_cells_scored": embedded.n_cells,
        "n_cells_without_type": int((~embedded.typed).sum()),
        "n_batches": embedded.n_batches,
        "n_types": len(embedded.batches_per_type),
        "subsample": {"n_cells": max_cells, "how": "random, without replacement", "seed": seed}
        if n_cells > max_cells
        else None,
        "settings": _settings(n_pcs, n_dims, seed),
        "versions": {name: _version(name) for name in PACKAGES},
        "metrics": {
            name: {key: getattr(METRICS.get(name), key) for key in ("title", "better", "group")}
            for name in METRICS.names()
        },
        "overall": {
            column: {
                name: {"value": score.value, "reason": score.reason}
                for name, score in by_metric.items()
            }
            for column, by_metric in scores.items()
        },
        "per_type": _per_type(embedded, scores),
        "note": LABELS_NOTE,
        "seconds": round(time.perf_counter() - start, 2),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _check_matrix(name: str, x: np.ndarray, n_cells: int) -> None:
    if x.ndim != 2 or len(x) != n_cells or x.size == 0:
        raise InputError(
            f"matrix {name!r} has shape {x.shape}; {n_cells} cells x at least one gene expected, "
            f"as in {BEFORE!r}"
        )
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(axis=1).sum())
        raise InputError(f"matrix {name!r}: {bad} of {n_cells} cells hold NaN or infinity")


def _settings(n_pcs: int, n_dims: Mapping[str, int], seed: int) -> dict[str, Any]:
    return {
        "embedding": "principal components (ARPACK) of each matrix, computed separately",
        "n_pcs": n_pcs,
        "n_pcs_found": dict(n_dims),
        "k": K,
        "neighbours": "exact, Euclidean, the cell itself excluded (scikit-learn)",
        "clustering": (
            f"Leiden (igraph, modularity, {leiden.N_ITERATIONS} iterations) on UMAP weights of "
            f"scanpy's n_neighbors={K}"
        ),
        "resolutions": list(leiden.RESOLUTIONS),
        "default_resolution": leiden.DEFAULT_RESOLUTION,
        "nmi": "arithmetic mean of entropies",
        "seed": seed,
        "leiden_seed": leiden.SEED,
        "metrics": {
            name: METRICS.get(name).settings
            for name in METRICS.names()
            if METRICS.get(name).settings
        },
    }


def _per_type(embedded: Embedded, scores: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    return {
        name: {
            "n_cells": int((embedded.cell_type == name).sum()),
            "n_batches": n_batches,
            "scores": {
                column: {
                    metric: score.per_type[name]
                    for metric, score in by_metric.items()
                    if name in score.per_type
                }
                for column, by_metric in scores.items()
            },
        }
        for name, n_batches in embedded.batches_per_type.items()
    }
