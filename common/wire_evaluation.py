"""Every field of an evaluation that may leave a site: a part of the table in common/wire.py."""

from common.wire_fields import Masked, Phase

# Of a site's part of a mean, and of sums over batches of standardised features.
MEAN = 2.0**24


def _of_batches(name: str, shape: str) -> dict[str, Masked]:
    return {
        f"{name}_squares": Masked("batches' means of squared norms", shape, MEAN, wide=True),
        f"{name}_within": Masked("batches' variances", shape, MEAN, wide=True),
        f"{name}_chance": Masked("batches' variances over their cells", shape, MEAN, wide=True),
    }


# With the sums of earlier phases, sums over other sites would show a lost site's moments. Sums
# by type are over batches that count alike, whatever their cells: see docs/secure-sum.md.
EVALUATION = {
    "evaluation_axes": Phase(
        "evaluation: what the model reconstructs, and principal axes of corrected expression",
        {
            "n_cells": Masked("cells", "", integer=True),
            "n_holders": Masked("1 if a batch of the site has cells enough", "types", integer=True),
            "error": Masked("squared error of the reconstruction", "", MEAN, wide=True),
            "validation_error": Masked("the same of held-out cells", "", MEAN, wide=True),
            "squares": Masked("squared expression", "", MEAN, wide=True),
            "validation_squares": Masked("the same of held-out cells", "", MEAN, wide=True),
            "means_error": Masked("squared error of means by batch and type", "", MEAN, wide=True),
            "expression": Masked("expression", "versions x genes", MEAN),
            "sketch": Masked(
                "products of expression and its random projections", "versions x genes x 60", MEAN
            ),
            "latent": Masked("latents", "versions x latent", MEAN),
        },
        may_lose=False,
    ),
    "evaluation_moments": Phase(
        "evaluation: moments of each cell type in principal components and latents",
        {
            "n_batches": Masked("batches with cells enough", "types", integer=True),
            "total": Masked("means of these", "types x dimensions of all views", MEAN, wide=True),
            "squares": Masked("their mean squared norms", "types x views", MEAN, wide=True),
            "type_between": Masked("variance between types, in batches", "views", MEAN, wide=True),
            "type_total": Masked("variance within batches", "views", MEAN, wide=True),
        },
        may_lose=False,
    ),
    "evaluation_features": Phase(
        "evaluation: moments of features that tell whole distributions apart",
        {
            "fourier": Masked(
                "batches' means of random Fourier features", "types x views x 512", MEAN, wide=True
            ),
            **_of_batches("fourier", "types x views"),
            "products": Masked(
                "batches' means of products of coordinates",
                "types x pairs of all views",
                MEAN,
                wide=True,
            ),
            **_of_batches("products", "types x views"),
            "probe_products": Masked(
                "batches' means of products of coordinates and squares, over all types",
                "pairs of all views",
                MEAN,
                wide=True,
            ),
        },
        may_lose=False,
    ),
    "evaluation_probe": Phase(
        "evaluation: what the probe leaves unexplained",
        {
            "probe_within": Masked(
                "batches' variances of its features", "types x views", MEAN, wide=True
            ),
            "probe_chance": Masked("the same over cells", "types x views", MEAN, wide=True),
        },
        may_lose=False,
    ),
}
