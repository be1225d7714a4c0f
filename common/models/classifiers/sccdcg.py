"""scCDCG as a classifier: an autoencoder whose latents cut the cells' graph, and a head.

Encoder G -> 256 -> 64, decoder 64 -> 256 -> G, LeakyReLU between; head: dropout 0.3, then 64 ->
classes. The loss adds to cross-entropy the squared error of the reconstruction, the normalised cut
tr(Z' L Z) / d of two graphs among the cells, and the latents' distance from orthonormal ones.

scCDCG itself clusters; scFL-Green made it a classifier and left out the graphs, which leaves its
decoder without a gradient, though averaged and sent: that is the form "simplified", here without a
decoder. What differs from the published code: the graphs are those of a mini-batch, the covariance
and the cosine of its cells, not one matrix over all cells of a study and its square, which no site
has; the labels take the place of the optimal-transport target and its divergence; the epoch is not
chosen by the test labels. Mini-batches are 128 cells, not 32, for graphs with more than a few
cells of a type. The published weights of the terms differ by data set; those here are a start.

References
----------
Xu et al. 2024, arXiv:2404.06167.
"""

from dataclasses import dataclass

import torch
from torch import nn

from common.models.classifiers.cell_graph import (
    cosine_graph,
    covariance_graph,
    cut,
    laplacian,
    orthogonality,
)
from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.recipe import FROM_BUNDLE, ClassifierTraining
from common.models.classifiers.registry import register_classifier


@dataclass(frozen=True)
class ScCDCGShape:
    """What fixes the network and the terms of its loss.

    Parameters
    ----------
    hidden, latent
        Widths of the encoder; the decoder mirrors them.
    dropout
        Rate before the head.
    slope
        Negative slope of LeakyReLU.
    reconstruction
        Weight of the squared error, mean over cells and genes. At 0 there is no decoder.
    cut, cosine_share, orthogonality
        Weight of the cut, the cosine graph's share of it, and weight of orthogonality.
    """

    hidden: int = 256
    latent: int = 64
    dropout: float = 0.3
    slope: float = 0.2
    reconstruction: float = 1.0
    cut: float = 0.1
    cosine_share: float = 0.5
    orthogonality: float = 0.1


@register_classifier(
    "sccdcg",
    forms={
        "published": ScCDCGShape(),
        "reduced": ScCDCGShape(hidden=128, latent=48),
        "simplified": ScCDCGShape(reconstruction=0.0, cut=0.0, orthogonality=0.0),
        "simplified-reduced": ScCDCGShape(
            hidden=128, latent=48, reconstruction=0.0, cut=0.0, orthogonality=0.0
        ),
    },
    training=ClassifierTraining(rounds=20, local_epochs=1, batch_size=128, learning_rate=1e-3),
)
class ScCDCG(Classifier):
    """The autoencoder and head of :class:`ScCDCGShape`; the graphs enter the loss alone."""

    # Their own rate: wide layers have it in few epochs.
    from_bundle = FROM_BUNDLE | {"learning_rate": 1e-3}

    def __init__(self, n_genes: int, n_classes: int, shape: ScCDCGShape):
        super().__init__(n_classes)
        self.shape = shape
        self.encoder = self._perceptron(n_genes, shape.latent)
        self.decoder = self._perceptron(shape.latent, n_genes) if shape.reconstruction else None
        self.head = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(shape.latent, n_classes))

    def _perceptron(self, n_in: int, n_out: int) -> nn.Module:
        hidden = self.shape.hidden
        return nn.Sequential(
            nn.Linear(n_in, hidden), nn.LeakyReLU(self.shape.slope), nn.Linear(hidden, n_out)
        )

    def forward(self, x_BG: torch.Tensor) -> torch.Tensor:
        """Logits (n_cells, n_classes)."""
        return self.head(self.encoder(x_BG))

    def losses(
        self,
        x_BG: torch.Tensor,
        y_B: torch.Tensor,
        balance: ClassBalance,
        noise: torch.Generator | None,
    ) -> dict[str, torch.Tensor]:
        """Cross-entropy, and reconstruction, cut and orthogonality times their weights."""
        shape = self.shape
        z_BD = self.encoder(x_BG)
        terms = self.label_losses(self.head(z_BD), y_B, balance)
        if self.decoder is not None:
            error = nn.functional.mse_loss(self.decoder(z_BD), x_BG)
            terms["reconstruction"] = shape.reconstruction * error
        if shape.cut:
            graph_BB = shape.cosine_share * laplacian(cosine_graph(x_BG))
            graph_BB += (1 - shape.cosine_share) * laplacian(covariance_graph(x_BG))
            terms["cut"] = shape.cut * cut(z_BD, graph_BB)
        if shape.orthogonality:
            terms["orthogonality"] = shape.orthogonality * orthogonality(z_BD)
        return terms
