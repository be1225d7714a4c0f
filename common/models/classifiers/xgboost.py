"""XGBoost: gradient-boosted trees, grown level by level from sums over sites.

The trees are those of the pooled cells; see ``common/boosting``. scFed's constants (depth 2,
learning rate 1, 30 rounds) are the form "shallow" with ``rounds = 30`` and ``learning-rate = 1``.

References
----------
Chen & Guestrin 2016, doi:10.1145/2939672.2939785; Wang et al. 2024 (scFed),
doi:10.1093/bib/bbad507.
"""

from dataclasses import dataclass

from common.models.classifiers.recipe import ClassifierTraining
from common.models.classifiers.registry import register_classifier


@dataclass(frozen=True)
class TreesShape:
    """What fixes a forest beside its rounds and learning rate.

    Parameters
    ----------
    max_depth
        Levels of splits.
    gene_share
        Share of the genes that a round may split on: traffic falls alike.
    n_edges
        Bins above zero of a gene, at most.
    reg_lambda, gamma, min_child_weight
        See :class:`common.boosting.splits.Rules`.
    """

    max_depth: int = 3
    gene_share: float = 0.25
    n_edges: int = 16
    reg_lambda: float = 1.0
    gamma: float = 0.0
    min_child_weight: float = 1.0


@register_classifier(
    "xgboost",
    forms={"published": TreesShape(), "shallow": TreesShape(max_depth=2)},
    # Cells of studies that did not train are so answered best (PBMC .891 / .738, with weights of
    # the square root .888 / .725, without .885 / .708; the same order on pancreas); of those that
    # did, PBMC, .960 / .886, .965 / .892 and .963 / .854.
    training=ClassifierTraining(
        rounds=50, local_epochs=0, batch_size=0, learning_rate=0.3, class_weights="balanced"
    ),
)
class GradientBoosting:
    """An entry of the registry: it has no network to build."""

    fitted = "trees"
