"""How the classes count in the loss of a classifier: their weights and their logits' offsets.

Where the numbers are from: ``common/classification/class_weights.py``.
"""

from dataclasses import dataclass

import torch
from torch import nn

from common.precision import in_float32


@dataclass(frozen=True)
class ClassBalance:
    """How the classes count in a site's loss; without either, each cell alike.

    Parameters
    ----------
    weights
        Of a cell by its class, float32 (n_classes,); the same at every site.
    offsets
        Added to the logits in the loss alone, float32 (n_classes,); minus infinity leaves a class
        out of the softmax.
    """

    weights: torch.Tensor | None = None
    offsets: torch.Tensor | None = None

    def to(self, device: torch.device) -> "ClassBalance":
        """The same on another device."""
        move = [v if v is None else v.to(device) for v in (self.weights, self.offsets)]
        return ClassBalance(*move)

    @in_float32
    def cross_entropy(self, logits_BT: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Weighted cross-entropy of the adjusted logits, in nats.

        The weighted sum is divided by the number of cells, not by the sum of their weights as
        torch does: otherwise a rare type's weight would depend on its mini-batch, and the mean
        over sites would not be the pooled loss.
        """
        if self.offsets is not None:
            logits_BT = logits_BT + self.offsets
        losses_B = nn.functional.cross_entropy(
            logits_BT, y_B, weight=self.weights, reduction="none"
        )
        return losses_B.mean()
