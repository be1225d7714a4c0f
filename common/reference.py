"""Where the batches of each cell type are brought, and how that travels as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.alignment import symmetric, upper


@dataclass(frozen=True)
class Reference:
    """Where the batches of a cell type are brought.

    Parameters
    ----------
    mean
        Latent mean of the dominant batch, or of the tied ones; (latent_dim,).
    covariance
        Mean of the latent covariances of all batches that are large enough, (latent_dim,
        latent_dim); ``None`` where means alone are made equal.
    """

    mean: np.ndarray
    covariance: np.ndarray | None = None


def packed(references: Mapping[str, Reference]) -> dict[str, np.ndarray]:
    """Arrays with a row for each type.

    Returns
    -------
    ``mean`` (n_types, latent_dim) and, if they have one, ``covariance`` (n_types,
    latent_dim (latent_dim + 1) / 2), the upper triangles by rows; nothing without a type.
    """
    if not references:
        return {}
    arrays = {"mean": np.stack([r.mean for r in references.values()])}
    spreads = [upper(r.covariance) for r in references.values() if r.covariance is not None]
    return arrays | ({"covariance": np.stack(spreads)} if spreads else {})


def unpacked(names: Sequence[str], arrays: Mapping[str, np.ndarray]) -> dict[str, Reference]:
    """The opposite of :func:`packed`."""
    means = arrays.get("mean", ())
    spreads = (
        map(symmetric, arrays["covariance"]) if "covariance" in arrays else [None] * len(names)
    )
    return {
        name: Reference(mean, spread)
        for name, mean, spread in zip(names, means, spreads, strict=True)
    }
