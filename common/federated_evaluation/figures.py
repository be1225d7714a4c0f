"""The figures of every view and cell type, from the sums over sites."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.federated_evaluation.between import between_share
from common.federated_evaluation.centres import Centres
from common.federated_evaluation.fourier import N_FEATURES
from common.federated_evaluation.probe import explained, scatter_of, whitening
from common.federated_evaluation.views import View, split

Sums = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Counts:
    """What was summed.

    Parameters
    ----------
    n_cells
        Cells of all sites, by which sums are divided.
    by_type, batches
        Scored cells and batches of each type, (n_types,).
    """

    n_cells: int
    by_type: np.ndarray
    batches: np.ndarray


def centres_of(
    moments: Sums, views: list[View], counts: Counts, latent_mean: np.ndarray
) -> dict[View, Centres]:
    """Centres of each view; latents were summed about ``latent_mean``, (n_versions, latent_dim)."""
    totals = split(moments["total"], views, lambda n_dims: n_dims)
    centres = {}
    for number, (view, total) in enumerate(totals.items()):
        about = Centres.of(total, moments["squares"][:, number], counts.by_type, counts.n_cells)
        # A version's two views follow each other.
        offset = latent_mean[number // 2] if view.space == "latent" else 0.0
        centres[view] = Centres(about.mean + offset, about.spread)
    return centres


def type_figures(moments: Sums, views: list[View], counts: Counts) -> dict[View, dict[str, Any]]:
    """``type_share`` over scored cells and ``type_separation`` over all labelled ones."""
    totals = split(moments["total"], views, lambda n_dims: n_dims)
    figures: dict[View, dict[str, Any]] = {}
    for number, (view, total) in enumerate(totals.items()):
        separated = moments["type_total"][number]
        figures[view] = {
            "type_share": _type_share(total, moments["squares"][:, number], counts),
            "type_separation": float(moments["type_between"][number] / separated)
            if separated > 0
            else None,
        }
    return figures


def _type_share(total: np.ndarray, squares: np.ndarray, counts: Counts) -> float | None:
    n_scored = counts.by_type.sum()
    if not n_scored:
        return None
    about_zero = ((total**2).sum(axis=1) * counts.n_cells / counts.by_type).sum()
    everything = float((total.sum(axis=0) ** 2).sum()) * counts.n_cells / n_scored
    scatter = float(squares.sum()) - everything
    return float(about_zero - everything) / scatter if scatter > 0 else None


def batch_figures(
    features: Sums, views: list[View], counts: Counts
) -> dict[View, dict[str, list[float | None]]]:
    """Of each view the two shares of variance between batches, a value for each type."""
    pairs = split(features["products"], views, lambda d: d * (d + 1) // 2)
    fourier = split(features["fourier"], views, lambda d: N_FEATURES)
    figures = {}
    for number, view in enumerate(views):
        families = {
            "batch_share": ("fourier", fourier[view]),
            "batch_share_of_products": ("products", pairs[view]),
        }
        figures[view] = {
            figure: [
                between_share(
                    totals[row],
                    float(features[f"{name}_squares"][row, number]),
                    float(features[f"{name}_within"][row, number]),
                    int(n_type),
                    counts.n_cells,
                )
                if counts.batches[row] > 1
                else None
                for row, n_type in enumerate(counts.by_type)
            ]
            for figure, (name, totals) in families.items()
        }
    return figures


def mean_over_cells(values: list[float | None], counts: Counts) -> float | None:
    """The mean of a figure of types over the scored cells of those that have one."""
    known = [row for row, value in enumerate(values) if value is not None]
    if not known:
        return None
    return float(np.average([values[row] for row in known], weights=counts.by_type[known]))


@dataclass(frozen=True)
class Probe:
    """The probe in one view: scatter of its features, (n_features, n_features), and whitening."""

    scatter: np.ndarray
    whitener: np.ndarray

    def explained(self, within: np.ndarray, counts: Counts) -> float | None:
        """As :func:`common.federated_evaluation.probe.explained`, from the last sum's column."""
        return explained(self.scatter, self.whitener, within, counts.by_type, counts.batches)


def probes_of(features: Sums, views: list[View], counts: Counts) -> dict[View, Probe]:
    """The probe of each view."""
    products = split(features["probe_products"], views, lambda d: d * (2 * d + 1))
    pairs = split(features["products"], views, lambda d: d * (d + 1) // 2)
    probes = {}
    for view in views:
        first, second = np.triu_indices(view.n_dims)
        squares = pairs[view][:, first == second]
        # About their mean coordinates sum to 0.
        totals = np.hstack([np.zeros_like(squares), squares])
        scatter = scatter_of(products[view], totals, counts.by_type, counts.n_cells)
        probes[view] = Probe(scatter, whitening(scatter))
    return probes
