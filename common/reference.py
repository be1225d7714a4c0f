"""Where the batches of each cell type are brought, and how that travels as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.alignment import symmetric, upper


@dataclass(frozen=True)
class Remainder:
    """Mean and variance of x - decode(z) in log1p CP10k, (n_genes,) each."""

    mean: np.ndarray
    variance: np.ndarray


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
    remainder
        Of what the network does not encode, the averages over these batches; ``None`` where no
        output has it.
    """

    mean: np.ndarray
    covariance: np.ndarray | None = None
    remainder: Remainder | None = None


def packed(references: Mapping[str, Reference]) -> dict[str, np.ndarray]:
    """Arrays with a row for each type.

    Returns
    -------
    ``mean`` (n_types, latent_dim) and, if they have one, ``covariance`` (n_types,
    latent_dim (latent_dim + 1) / 2), the upper triangles by rows, and ``remainder_mean`` and
    ``remainder_variance`` (n_types, n_genes); nothing without a type.
    """
    if not references:
        return {}
    arrays = {"mean": np.stack([r.mean for r in references.values()])}
    spreads = [upper(r.covariance) for r in references.values() if r.covariance is not None]
    if spreads:
        arrays["covariance"] = np.stack(spreads)
    remainders = [r.remainder for r in references.values() if r.remainder is not None]
    if remainders:
        arrays["remainder_mean"] = np.stack([r.mean for r in remainders])
        arrays["remainder_variance"] = np.stack([r.variance for r in remainders])
    return arrays


def unpacked(names: Sequence[str], arrays: Mapping[str, np.ndarray]) -> dict[str, Reference]:
    """The opposite of :func:`packed`."""
    means = arrays.get("mean", ())
    spreads = (
        map(symmetric, arrays["covariance"]) if "covariance" in arrays else [None] * len(names)
    )
    remainders = [None] * len(names)
    if "remainder_mean" in arrays:
        both = zip(arrays["remainder_mean"], arrays["remainder_variance"], strict=True)
        remainders = [Remainder(*moments) for moments in both]
    return {
        name: Reference(mean, spread, remainder)
        for name, mean, spread, remainder in zip(names, means, spreads, remainders, strict=True)
    }
