"""The figures of every view and cell type, from the sums over sites."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.federated_evaluation.between import BatchSums
from common.federated_evaluation.centres import Centres
from common.federated_evaluation.fourier import N_FEATURES
from common.federated_evaluation.probe import explained, scatter_of, whitening
from common.federated_evaluation.views import View, split

Sums = Mapping[str, np.ndarray]


def centres_of(
    moments: Sums, views: list[View], n_batches: np.ndarray, latent_mean: np.ndarray
) -> dict[View, Centres]:
    """Centres of each view; latents were summed about ``latent_mean``, (n_versions, latent_dim)."""
    totals = split(moments["total"], views, lambda n_dims: n_dims)
    centres = {}
    for number, (view, total) in enumerate(totals.items()):
        about = Centres.of(total, moments["squares"][:, number], n_batches)
        # A version's two views follow each other.
        offset = latent_mean[number // 2] if view.space == "latent" else 0.0
        centres[view] = Centres(about.mean + offset, about.spread)
    return centres


def type_figures(
    moments: Sums, views: list[View], n_batches: np.ndarray
) -> dict[View, dict[str, Any]]:
    """``type_share`` over the compared batches and ``type_separation`` over all labelled cells."""
    totals = split(moments["total"], views, lambda n_dims: n_dims)
    figures: dict[View, dict[str, Any]] = {}
    for number, (view, total) in enumerate(totals.items()):
        separated = moments["type_total"][number]
        figures[view] = {
            "type_share": _type_share(total, moments["squares"][:, number], n_batches),
            "type_separation": float(moments["type_between"][number] / separated)
            if separated > 0
            else None,
        }
    return figures


def _type_share(total: np.ndarray, squares: np.ndarray, n_batches: np.ndarray) -> float | None:
    if not n_batches.sum():
        return None
    of_types = ((total**2).sum(axis=1) / n_batches).sum()
    of_all = float((total.sum(axis=0) ** 2).sum()) / n_batches.sum()
    scatter = float(squares.sum()) - of_all
    return float(of_types - of_all) / scatter if scatter > 0 else None


def batch_figures(
    features: Sums, views: list[View], n_batches: np.ndarray
) -> dict[View, dict[str, list[float | None]]]:
    """Of each view the two shares of variance between batches, a value for each type."""
    totals = {
        "fourier": split(features["fourier"], views, lambda d: N_FEATURES),
        "products": split(features["products"], views, lambda d: d * (d + 1) // 2),
    }
    return {
        view: {
            figure: [
                _share(features, name, totals[name][view][row], (row, number), int(n))
                for row, n in enumerate(n_batches)
            ]
            for figure, name in (
                ("batch_share", "fourier"),
                ("batch_share_of_products", "products"),
            )
        }
        for number, view in enumerate(views)
    }


def _share(
    features: Sums, name: str, total: np.ndarray, where: tuple[int, int], n_batches: int
) -> float | None:
    if n_batches < 2:
        return None
    scalars = (float(features[f"{name}_{kind}"][where]) for kind in ("squares", "within", "chance"))
    return BatchSums(total, *scalars).between_share(n_batches)


def mean_over_types(values: list[float | None]) -> float | None:
    """The mean of a figure over the types that have one."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class Probe:
    """The probe in one view: scatter of its features, (n_features, n_features), and whitening."""

    scatter: np.ndarray
    whitener: np.ndarray

    def explained(
        self, within: np.ndarray, chance: np.ndarray, n_batches: np.ndarray
    ) -> float | None:
        """As :func:`common.federated_evaluation.probe.explained`, from the last sum's columns."""
        return explained(self.scatter, self.whitener, within, chance, n_batches)


def probes_of(features: Sums, views: list[View], n_batches: np.ndarray) -> dict[View, Probe]:
    """The probe of each view."""
    products = split(features["probe_products"], views, lambda d: d * (2 * d + 1))
    pairs = split(features["products"], views, lambda d: d * (d + 1) // 2)
    probes = {}
    for view in views:
        first, second = np.triu_indices(view.n_dims)
        squares = pairs[view][:, first == second]
        # About the mean of the batches' means, these sum to 0.
        totals = np.hstack([np.zeros_like(squares), squares])
        scatter = scatter_of(products[view], totals, n_batches)
        probes[view] = Probe(scatter, whitening(scatter))
    return probes
