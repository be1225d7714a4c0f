"""scSMD as a classifier: a wide encoder, with self-supervision and an attention gate as options.

G -> 1024 (ReLU) -> 64, dropout 0.3, 64 -> classes: what scFL-Green measured under this name. scSMD
itself clusters, by a convolutional autoencoder over the 784 most variable genes laid out as a
picture of 28 x 28, with a gate of dilated convolutions, a denoising negative binomial loss, fuzzy
k-means and a network of pairwise similarities ("CellNet", after DCSS).

What the form "full" takes of it, and how: the gate runs over the 1024 hidden units, which can
learn their neighbours, where the order of genes in a file has none. Values are hidden at random and
reconstructed by their squared error, since the input is log expression and not the counts that a
negative binomial needs. Pairs of cells whose class probabilities agree are drawn together and
others apart, as in DCSS; the labels take the place of k-means. The threshold ``similar`` is the
published one, the weights of the terms are ours.

References
----------
Cui et al. 2025, doi:10.1186/s12859-025-06047-x; Sadeghi & Armanfard 2024 (DCSS), arXiv:2405.03590.
"""

from dataclasses import dataclass

import torch
from torch import nn

from common.models.classifiers.class_balance import ClassBalance
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.dilated_gate import DilatedGate
from common.models.classifiers.recipe import FROM_BUNDLE, ClassifierTraining
from common.models.classifiers.registry import register_classifier
from common.precision import in_float32

softmax = in_float32(torch.softmax)


@dataclass(frozen=True)
class ScSMDShape:
    """What fixes the network and the terms of its loss.

    Parameters
    ----------
    hidden, latent
        Widths of the encoder.
    dropout
        Rate before the head.
    dilations
        Of the attention gate over the hidden units; none, no gate.
    reconstruction
        Weight of the denoising error, mean over cells and genes. At 0 there is no decoder.
    hidden_share
        Share of the input's values set to zero before they are reconstructed.
    pairs, similar, dissimilar
        Weight of the pairwise term; two cells are alike from ``similar`` on, the inner product of
        their class probabilities, and unlike up to ``dissimilar``.
    """

    hidden: int = 1024
    latent: int = 64
    dropout: float = 0.3
    dilations: tuple[int, ...] = ()
    reconstruction: float = 0.0
    hidden_share: float = 0.2
    pairs: float = 0.0
    similar: float = 0.8
    dissimilar: float = 0.2


@register_classifier(
    "scsmd",
    forms={
        "published": ScSMDShape(),
        # scFL-Green's, which leaves the widest layer as it is and saves almost nothing.
        "reduced": ScSMDShape(latent=48),
        "halved": ScSMDShape(hidden=512, latent=32),
        "full": ScSMDShape(dilations=(2, 4, 6, 8), reconstruction=1.0, pairs=0.1),
    },
    training=ClassifierTraining(rounds=20, local_epochs=1, batch_size=32, learning_rate=1e-3),
)
class ScSMD(Classifier):
    """The network of :class:`ScSMDShape`."""

    # Their own rate: wide layers have it in few epochs.
    from_bundle = FROM_BUNDLE | {"learning_rate": 1e-3}

    def __init__(self, n_genes: int, n_classes: int, shape: ScSMDShape):
        super().__init__(n_classes)
        self.shape = shape
        gate = [DilatedGate(shape.dilations)] if shape.dilations else []
        self.encoder = nn.Sequential(
            nn.Linear(n_genes, shape.hidden),
            nn.ReLU(),
            *gate,
            nn.Linear(shape.hidden, shape.latent),
        )
        self.decoder = None
        if shape.reconstruction:
            self.decoder = nn.Sequential(
                nn.Linear(shape.latent, shape.hidden),
                nn.ReLU(),
                nn.Linear(shape.hidden, n_genes),
            )
        self.head = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(shape.latent, n_classes))

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
        """Cross-entropy of the whole input, and the denoising and pairwise terms if any."""
        shape = self.shape
        logits_BT = self(x_BG)
        terms = self.label_losses(logits_BT, y_B, balance)
        if self.decoder is not None:
            seen_BG = x_BG
            if noise is not None:
                kept_BG = torch.rand(x_BG.shape, generator=noise) >= shape.hidden_share
                seen_BG = x_BG * kept_BG.to(x_BG.device)
            error = nn.functional.mse_loss(self.decoder(self.encoder(seen_BG)), x_BG)
            terms["reconstruction"] = shape.reconstruction * error
        if shape.pairs:
            alike = pairwise_loss(softmax(logits_BT, 1), shape.similar, shape.dissimilar)
            terms["pairs"] = shape.pairs * alike
        return terms


@in_float32
def pairwise_loss(p_BT: torch.Tensor, similar: float, dissimilar: float) -> torch.Tensor:
    """What is left between the pairs of a mini-batch and full agreement or none.

    The sum of 1 - s over pairs with s >= ``similar`` and of s over pairs with s <= ``dissimilar``,
    s = p_i . p_j, divided by the number of all pairs; 0 for one cell.

    Parameters
    ----------
    p_BT
        Class probabilities (n_cells, n_classes).
    """
    n_cells = len(p_BT)
    first, second = torch.triu_indices(n_cells, n_cells, offset=1, device=p_BT.device)
    agreement_P = (p_BT @ p_BT.T)[first, second]
    alike_P = torch.where(agreement_P >= similar, 1 - agreement_P, 0.0)
    unlike_P = torch.where(agreement_P <= dissimilar, agreement_P, 0.0)
    return (alike_P + unlike_P).sum() / max(len(agreement_P), 1)
