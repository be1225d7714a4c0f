"""The loss of a linear classifier's plan, for its one optimum."""

import numpy as np

from common.classification.class_weights import class_weights
from common.classification.linear_optimum import LinearLoss
from common.classification.plan import ClassifierPlan


def linear_loss(plan: ClassifierPlan, n_genes: int, counts: np.ndarray) -> LinearLoss:
    """The loss that ``logistic`` or ``svm`` minimises.

    Parameters
    ----------
    counts
        Training cells of each class over all sites, (n_classes,).
    """
    kind = plan.training.class_weights
    hinge = "squared_hinge" if getattr(plan.shape, "squared", False) else "hinge"
    return LinearLoss(
        kind="softmax" if plan.name == "logistic" else hinge,
        n_genes=n_genes,
        n_classes=len(counts),
        alpha=plan.shape.alpha,
        class_weights=None if kind == "none" else class_weights(counts, kind),
        scaled=plan.training.scaled,
    )
