"""ACTINN: a multilayer perceptron of three narrow layers.

G -> 100 -> 50 -> 25 -> classes, ReLU between, softmax. Adam at 1e-4, batches of 128, 50 epochs,
Glorot's uniform start, penalty 0.005 / 2 ||W||^2 on the weights, all as published.

What differs from the published code: genes are chosen from pooled moments, not on training and
test cells together; expression is log1p, not log2(x + 1); the rate is one round's, where the code
takes 5 % off per 1,000 steps. scFL-Green's variant has dropout of 0.3 after each layer, which is
``dropout``, and halves the layers in its reduced form.

References
----------
Ma & Pellegrini 2020, doi:10.1093/bioinformatics/btz592.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from common.models.classifiers.classifier import Classifier
from common.models.classifiers.recipe import ClassifierTraining
from common.models.classifiers.registry import register_classifier


@dataclass(frozen=True)
class ACTINNShape:
    """What fixes the network.

    Parameters
    ----------
    hidden
        Widths of the hidden layers.
    dropout
        Rate after each hidden layer.
    l2
        Strength of the penalty on the weights.
    """

    hidden: tuple[int, ...] = (100, 50, 25)
    dropout: float = 0.0
    l2: float = 0.005


@register_classifier(
    "actinn",
    forms={
        "published": ACTINNShape(),
        "reduced": ACTINNShape(hidden=(50, 25, 12)),
    },
    training=ClassifierTraining(rounds=50, local_epochs=1, batch_size=128, learning_rate=1e-4),
)
class ACTINN(Classifier):
    """The perceptron of :class:`ACTINNShape`."""

    def __init__(self, n_genes: int, n_classes: int, shape: ACTINNShape):
        super().__init__(n_classes, l2=shape.l2)
        widths = (n_genes, *shape.hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.head = nn.Linear(widths[-1], n_classes)
        self.dropout = nn.Dropout(shape.dropout)
        for layer in (*self.layers, self.head):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BG: torch.Tensor) -> torch.Tensor:
        """Logits (n_cells, n_classes)."""
        h_BH = x_BG
        for layer in self.layers:
            h_BH = self.dropout(torch.relu(layer(h_BH)))
        return self.head(h_BH)
