"""A linear support vector machine, one against the rest for each class.

For class k with t = +1 for its cells and -1 for others: mean over cells of c h(t s) +
alpha / 2 ||w_k||^2, s the margin and h the hinge max(0, 1 - m) or its square. As in scikit-learn, a
class's weight c counts for its own cells and the rest weigh 1. The bias is free.

scFed's constants (alpha 0.5, learning rate 1e-6, one pass a round) hold the weights at almost zero.
With scikit-learn's default alpha, 1e-4, cells of 2,000 genes are told apart without an error and
the optimum takes hundreds of sums more: 1e-2 is taken. scFed averages sites alike; here by cells.

References
----------
Wang et al. 2024 (scFed), doi:10.1093/bib/bbad507.
"""

from dataclasses import dataclass

import torch
from torch import nn

from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.recipe import ClassifierTraining
from common.models.classifiers.registry import register_classifier
from common.precision import in_float32


@dataclass(frozen=True)
class SVMShape:
    """What fixes the machine.

    Parameters
    ----------
    alpha
        Strength of the penalty, against a loss that is a mean over cells.
    squared
        The squared hinge, that of scikit-learn's ``LinearSVC``.
    """

    alpha: float = 1e-2
    squared: bool = False


@register_classifier(
    "svm",
    forms={"published": SVMShape(), "squared": SVMShape(squared=True)},
    training=ClassifierTraining(
        rounds=50, local_epochs=1, batch_size=128, learning_rate=1e-3, class_weights="balanced"
    ),
)
class SVM(Classifier):
    """One linear layer, started at zero; its logits are margins, not log probabilities."""

    fitted = "linear"

    def __init__(self, n_genes: int, n_classes: int, shape: SVMShape):
        super().__init__(n_classes, l2=shape.alpha)
        self.squared = shape.squared
        self.linear = nn.Linear(n_genes, n_classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x_BG: torch.Tensor) -> torch.Tensor:
        """Margins (n_cells, n_classes)."""
        return self.linear(x_BG)

    @in_float32
    def label_losses(
        self, logits_BT: torch.Tensor, y_B: torch.Tensor, balance: ClassBalance
    ) -> dict[str, torch.Tensor]:
        """The hinge, summed over classes and averaged over cells, and the penalty.

        Logit offsets have no meaning for margins. A class that a site lacks (an offset of minus
        infinity) is left out of its loss, as it is out of the softmax of other classifiers.
        """
        own_BT = nn.functional.one_hot(y_B, logits_BT.shape[1]).bool()
        lacking_BT = torch.where(own_BT, 1 - logits_BT, 1 + logits_BT).clamp_min(0)
        if self.squared:
            lacking_BT = lacking_BT.square()
        if balance.weights is not None:
            lacking_BT = torch.where(own_BT, balance.weights * lacking_BT, lacking_BT)
        if balance.offsets is not None:
            lacking_BT = lacking_BT * balance.offsets.isfinite()
        return {"hinge": lacking_BT.sum(dim=1).mean(), "penalty": self.penalty()}
