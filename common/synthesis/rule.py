"""The one rule that picks a generator and its settings, from public numbers alone: it is free.

Which settings are best depends on how much noise there is: n mu / sqrt(k), the strength of
:mod:`common.synthesis.usefulness`. Weak budgets go to the common mean first, since its error moves
all classes at once, and to no covariance, whose noise would hide it; strong ones to class means and
the covariance. The limits were set on one bulk cohort; docs/synthesize.md has its scores and
another's. They are the same with public ``class-genes``, whose use depends on the records
(:mod:`common.synthesis.usefulness`): no other settings were tried with them.
"""

from typing import Any

from common.synthesis.scatter import MOST_GENES
from common.synthesis.usefulness import strength_of

# From a strength on: shares of mu^2 of coarse, center, classes, contrast, scatter; weights of the
# counts of classes and of absolute deviations, and radii.
NAMES = (
    "coarse-share",
    "center-share",
    "classes-share",
    "contrast-share",
    "scatter-share",
    "count-weight",
    "absolute-weight",
    "clip",
    "coarse-clip",
)
SETTINGS = (
    (0.0, (0.15, 0.30, 0.45, 0.1, 0.0, 1.2, 0.5, 0.4, 0.08)),
    (150.0, (0.08, 0.20, 0.72, 0.0, 0.0, 0.3, 0.3, 0.6, 0.3)),
    (250.0, (0.05, 0.10, 0.55, 0.0, 0.3, 0.3, 0.5, 0.6, 0.3)),
)


def generator_for(
    n: float,
    n_genes: int,
    n_classes: int,
    epsilon: float,
    delta: float,
    *,
    counts: bool = False,
) -> tuple[str, dict[str, Any]]:
    """The generator's name and its options.

    Parameters
    ----------
    n
        Units, roughly: a public guess, or a noisy count.
    n_genes, n_classes
        Of the schema.
    epsilon, delta
        Of the whole run; infinity: no noise.
    counts
        Of single cells: those are no normal records.
    """
    if counts:
        return "copula", {}
    strength = strength_of(n, n_classes, epsilon, delta)
    values = [chosen for least, chosen in SETTINGS if strength >= least][-1]
    options = dict(zip(NAMES, values, strict=True))
    if n_genes > MOST_GENES:
        options["classes-share"] += options["scatter-share"]
        options["scatter-share"] = 0.0
    return "gaussian", options
