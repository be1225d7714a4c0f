"""What every classifier has: logits over the agreed classes, and the terms of its loss."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.recipe import FROM_BUNDLE, JOINT


class Classifier(nn.Module):
    """A network from expression to logits, one per class of the agreed vocabulary.

    A subclass has ``forward`` and, where it is trained with more than cross-entropy, ``losses``.
    It takes ``(n_genes, n_classes, shape)``.

    Parameters
    ----------
    n_classes
        Classes of the agreed vocabulary.
    l2
        Strength of the penalty l2 / 2 ||W||^2 on the weights of ``penalised``; biases are free.

    Attributes
    ----------
    fixed
        Buffers that no training changes.
    fitted
        How a run without a strategy fits it: as a ``"network"``, in rounds of training; as a
        ``"linear"`` model, to its one optimum; or as ``"trees"``, which are none of these.
    joint
        What of its recipe is another where a round is one step of all sites.
    from_bundle
        What is another where it goes on from a bundle.
    """

    fixed: ClassVar[frozenset[str]] = frozenset()
    fitted: ClassVar[str] = "network"
    joint: ClassVar[Mapping[str, Any]] = JOINT
    from_bundle: ClassVar[Mapping[str, Any]] = FROM_BUNDLE

    def __init__(self, n_classes: int, l2: float = 0.0):
        super().__init__()
        self.n_classes = n_classes
        self.l2 = l2

    def take_moments(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Before the first round, what a classifier needs of the genes' pooled moments: nothing.

        Parameters
        ----------
        mean, sd
            Of log1p CP10k, (n_genes,), as in :class:`common.panel.Panel`.
        """

    def exchanged_names(self) -> list[str]:
        """The entries of the state that training changes, in its order: what a round sends."""
        frozen = {name for name, p in self.named_parameters() if not p.requires_grad} | self.fixed
        state = self.state_dict()
        return [n for n, value in state.items() if value.is_floating_point() and n not in frozen]

    def forward(self, x_BG: torch.Tensor) -> torch.Tensor:
        """Logits (n_cells, n_classes), of each cell by itself, of expression (n_cells, n_genes)."""
        raise NotImplementedError

    def losses(
        self,
        x_BG: torch.Tensor,
        y_B: torch.Tensor,
        balance: ClassBalance,
        noise: torch.Generator | None,
    ) -> dict[str, torch.Tensor]:
        """The terms of a mini-batch's loss, by name; the loss is their sum.

        Parameters
        ----------
        x_BG
            Expression (n_cells, n_genes).
        y_B
            Class of each cell, int64 (n_cells,).
        balance
            Weights and logit offsets of the classes.
        noise
            Source of what a term draws; ``None`` draws nothing.
        """
        return self.label_losses(self(x_BG), y_B, balance)

    def label_losses(
        self, logits_BT: torch.Tensor, y_B: torch.Tensor, balance: ClassBalance
    ) -> dict[str, torch.Tensor]:
        """Weighted cross-entropy, in nats and averaged over cells, and the penalty if there is one.

        Parameters
        ----------
        logits_BT
            What ``forward`` gives, (n_cells, n_classes).
        """
        terms = {"cross_entropy": balance.cross_entropy(logits_BT, y_B)}
        if self.l2:
            terms["penalty"] = self.penalty()
        return terms

    def penalised(self) -> list[torch.Tensor]:
        """The weights under the penalty: those of every linear layer."""
        return [layer.weight for layer in self.modules() if isinstance(layer, nn.Linear)]

    def penalty(self) -> torch.Tensor:
        """l2 / 2 times the sum of squares of the penalised weights."""
        return 0.5 * self.l2 * sum(weight.square().sum() for weight in self.penalised())
