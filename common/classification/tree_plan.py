"""How the trees of a plan grow, at the coordinator and at sites that grow their own."""

import numpy as np

from common.boosting.grower import Boosting
from common.boosting.splits import Rules
from common.classification.class_weights import class_weights
from common.classification.plan import ClassifierPlan


def boosting_of(plan: ClassifierPlan, rounds: int, seed: int) -> Boosting:
    """Rules and draws of so many rounds."""
    shape = plan.shape
    rules = Rules(
        eta=plan.training.learning_rate,
        max_depth=shape.max_depth,
        reg_lambda=shape.reg_lambda,
        gamma=shape.gamma,
        min_child_weight=shape.min_child_weight,
    )
    return Boosting(rules, rounds, shape.gene_share, seed)


def weights_of(plan: ClassifierPlan, counts: np.ndarray) -> np.ndarray | None:
    """Of a cell of each class, by training cells of each over all sites; None weighs all alike."""
    kind = plan.training.class_weights
    return None if kind == "none" else class_weights(counts, kind)
