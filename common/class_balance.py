"""Weights and logit offsets of the classes: what a skewed site needs in its loss.

References
----------
Menon et al. 2021 (logit adjustment), arXiv:2007.07314, eq. 10.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn


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


def class_weights(counts: np.ndarray, power: float = 1.0) -> np.ndarray:
    """Weights of the classes, in proportion to count ** -power, with mean 1 over cells.

    Parameters
    ----------
    counts
        Pooled training cells of each class, (n_classes,). A class without cells weighs 1.
    power
        0 gives 1 everywhere; 1 gives each class the same sum, scikit-learn's ``"balanced"``.
    """
    counts = np.asarray(counts, dtype=np.float64)
    held = counts > 0
    weights = np.ones_like(counts)
    weights[held] = counts[held] ** -power
    if held.any():
        weights[held] *= counts.sum() / (weights[held] @ counts[held])
    return weights


def logit_offsets(
    site_counts: np.ndarray,
    strength: float = 1.0,
    pooled_counts: np.ndarray | None = None,
    *,
    pseudo_count: float = 0.0,
) -> np.ndarray:
    """What a site adds to its logits in training, so that their average fits all sites.

    A classifier trained with the offset tau log p(class at the site) is left with logits that no
    longer hold the site's class frequencies (Menon et al. 2021, eq. 10). A class that the site
    lacks is left out of its softmax, so that its logit is not pushed down by cells of other
    classes at all, or with a pseudo-count less than others.

    Parameters
    ----------
    site_counts
        The site's training cells of each class, (n_classes,).
    strength
        Menon's tau.
    pooled_counts
        With them the logits keep the frequencies over all sites, which accuracy asks for (Bayes'
        rule with the prior exchanged); without, all classes are alike, which macro-F1 asks for.
    pseudo_count
        Cells that are added to each class at the site.

    Raises
    ------
    ValueError
        The site has more cells of a class than all sites together.
    """
    site = np.asarray(site_counts, dtype=np.float64) + pseudo_count
    ratio = site / site.sum()
    if pooled_counts is not None:
        pooled = np.asarray(pooled_counts, dtype=np.float64)
        if (np.asarray(site_counts) > pooled).any():
            raise ValueError("a site has more cells of a class than all sites together")
        ratio = ratio * pooled.sum() / np.maximum(pooled, 1)
    offsets = np.full(site.shape, -np.inf)
    offsets[site > 0] = strength * np.log(ratio[site > 0])
    return offsets
