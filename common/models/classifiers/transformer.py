"""A transformer over rank-value gene tokens: Geneformer's input and network, small for a CPU.

A cell is the sequence of its expressed genes, the most above their typical expression first
(``gene_tokens.py``). A token is the sum of what is learned of its gene, of its rank and, with
``values``, of its log expression, as in scGPT; rank alone is Geneformer's. Layers of BERT follow
(``bert_encoder.py``), then logits from the tokens' mean, or from the first token as in BERT.

Trained from scratch it is ours in size: "published" is Geneformer's input, not its 6 layers of 256
over 2,048 tokens, which a CPU does not train. Pooled on PBMCs of five studies, by passes over the
cells (one seed), 256 genes of a cell gave .956 accuracy and .853 macro-F1, 128 genes .935 and .801,
and those with values .926 and .802; by steps of ``joint``, on other test cells, .947 and .804.

A checkpoint of Geneformer is the same network with other sizes: ``geneformer_checkpoint.py`` reads
one, and ``trained`` names the parts that are then trained and exchanged. scFed trains the last two
layers, the pooler and the head.

References
----------
Theodoris et al. 2023 (Geneformer), doi:10.1038/s41586-023-06139-9; Cui et al. 2024 (scGPT),
doi:10.1038/s41592-024-02201-0; Wang et al. 2024 (scFed), doi:10.1093/bib/bbad507.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from common.errors import ConfigError
from common.models.classifiers.bert_encoder import BertLayer
from common.models.classifiers.classifier import Classifier
from common.models.classifiers.gene_tokens import rank_genes, typical_expression
from common.models.classifiers.recipe import FROM_BUNDLE, JOINT, ClassifierTraining
from common.models.classifiers.registry import register_classifier
from common.models.classifiers.trained_parts import train_only

# Values of one layer's tokens that are held at a time where no gradient is kept: 16 MiB.
VALUES_AT_ONCE = 2**22


@dataclass(frozen=True)
class TransformerShape:
    """What fixes the network.

    Parameters
    ----------
    width, n_layers, n_heads, feed_forward
        Of a token; of the encoder; heads of a layer; hidden width of its perceptron.
    max_tokens
        Genes of a cell in its sequence; those of the last ranks are left out.
    ends
        Put a token before the genes and one after them, as Geneformer does from its second
        version on; they do not count as ``max_tokens``.
    values
        Add to a token what is learned of its log expression.
    pooling
        Logits from the ``"mean"`` of the tokens, or from the ``"first"`` through BERT's pooler.
    activation, dropout, attention_dropout, epsilon
        See :class:`~common.models.classifiers.bert_encoder.BertLayer`.
    trained
        Parts that are trained and exchanged, by the beginning of their names: ``"layers.5"``,
        ``"pooler"``, ``"head"``; none, all are.
    """

    width: int = 64
    n_layers: int = 2
    n_heads: int = 4
    feed_forward: int = 128
    max_tokens: int = 256
    ends: bool = False
    values: bool = False
    pooling: str = "mean"
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    epsilon: float = 1e-12
    trained: tuple[str, ...] = ()


@register_classifier(
    "transformer",
    forms={
        "published": TransformerShape(),
        "values": TransformerShape(values=True),
        "reduced": TransformerShape(width=32, n_heads=2, feed_forward=64, max_tokens=128),
    },
    training=ClassifierTraining(
        rounds=6, local_epochs=1, batch_size=64, learning_rate=1e-3, schedule="cosine"
    ),
)
class Transformer(Classifier):
    """The network of :class:`TransformerShape`; it needs :meth:`take_moments` or a checkpoint.

    Attributes
    ----------
    fine_tuned
        What of its recipe is another where it goes on from a checkpoint, which steps as long as
        those from scratch would undo; not measured.
    """

    fixed = frozenset({"typical"})
    # Smaller steps than perceptrons take, of fewer cells: one costs a CPU more.
    joint = JOINT | {
        "rounds": 160,
        "batch_size": 256,
        "learning_rate": 2e-3,
        "class_weights": "sqrt",
    }
    # Not measured, as ``fine_tuned``.
    from_bundle = FROM_BUNDLE | {"learning_rate": 3e-4}
    fine_tuned: ClassVar[Mapping[str, Any]] = MappingProxyType({"learning_rate": 1e-4})

    def __init__(self, n_genes: int, n_classes: int, shape: TransformerShape):
        super().__init__(n_classes)
        self.shape = shape
        width, self.n_genes = shape.width, n_genes
        self.max_tokens = min(shape.max_tokens, n_genes)
        # After the genes, the two ends.
        self.gene = nn.Embedding(n_genes + 2 * shape.ends, width)
        self.rank = nn.Embedding(self.max_tokens + 2 * shape.ends, width)
        self.value = None
        if shape.values:
            self.value = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width, eps=shape.epsilon)
        self.dropout = nn.Dropout(shape.dropout)
        self.layers = nn.ModuleList(
            BertLayer(
                width,
                shape.n_heads,
                shape.feed_forward,
                activation=shape.activation,
                dropout=shape.dropout,
                attention_dropout=shape.attention_dropout,
                epsilon=shape.epsilon,
            )
            for _ in range(shape.n_layers)
        )
        self.pooler = nn.Linear(width, width) if shape.pooling == "first" else None
        self.head = nn.Linear(width, n_classes)
        self.register_buffer("typical", torch.zeros(n_genes))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.value is not None:
            # As small as what it is added to, or the gene would be lost in the sum.
            nn.init.normal_(self.value[2].weight, std=0.02)
        train_only(self, shape.trained, "transformer")

    def take_moments(self, mean: np.ndarray, sd: np.ndarray) -> None:
        """Rank genes against :func:`~common.models.classifiers.gene_tokens.typical_expression`."""
        typical = typical_expression(mean, sd)
        if typical.shape != (self.n_genes,):
            raise ConfigError(
                f"moments of {len(typical):,} genes for a transformer over {self.n_genes}: give "
                "those of the panel that the model was built over"
            )
        self.typical.copy_(torch.from_numpy(typical))

    def forward(self, x_BG: torch.Tensor) -> torch.Tensor:
        """Logits (n_cells, n_classes) of log1p CP10k; those of a cell without tokens are the bias.

        Raises
        ------
        ConfigError
            The genes' typical expression was never given.
        """
        if not self.typical.any():
            raise ConfigError(
                "the transformer ranks genes against their typical expression, which it was not "
                "given: call take_moments with the panel's mean and sd, or load a checkpoint"
            )
        if torch.is_grad_enabled():
            return self._logits(x_BG)
        # Geneformer's sequences are long, and whoever labels cells passes many at once.
        n_cells = max(1, VALUES_AT_ONCE // (self.rank.num_embeddings * self.shape.width))
        return torch.cat([self._logits(part_BG) for part_BG in x_BG.split(n_cells)])

    def _logits(self, x_BG: torch.Tensor) -> torch.Tensor:
        genes_BS, is_token_BS = rank_genes(x_BG, self.typical, self.max_tokens)
        log_BS = x_BG.gather(1, genes_BS)
        if self.shape.ends:
            genes_BS, is_token_BS, log_BS = self._with_ends(genes_BS, is_token_BS, log_BS)
        if not genes_BS.shape[1]:
            return self.head.bias.expand(len(x_BG), -1)
        h_BSW = self.gene(genes_BS) + self.rank.weight[: genes_BS.shape[1]]
        if self.value is not None:
            h_BSW = h_BSW + self.value(log_BS.unsqueeze(2))
        h_BSW = self.dropout(self.norm(h_BSW))
        seen_BS = is_token_BS.clone()
        # A softmax over no token at all has no value; what it gives is not pooled.
        seen_BS[:, 0] = True
        for layer in self.layers:
            h_BSW = layer(h_BSW, seen_BS)
        return self.head(self.dropout(self._pooled(h_BSW, is_token_BS)))

    def _with_ends(
        self, genes_BS: torch.Tensor, is_token_BS: torch.Tensor, log_BS: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The sequences with a token before them and one right after their last gene."""
        first, last = self.n_genes, self.n_genes + 1
        n_tokens_B1 = is_token_BS.sum(dim=1, keepdim=True)
        pad = nn.functional.pad
        genes_BS = pad(pad(genes_BS, (1, 0), value=first), (0, 1))
        genes_BS = genes_BS.scatter(1, n_tokens_B1 + 1, last)
        log_BS = pad(log_BS, (1, 1))
        log_BS = log_BS.scatter(1, n_tokens_B1 + 1, 0.0)
        return genes_BS, pad(is_token_BS, (2, 0), value=True), log_BS

    def _pooled(self, h_BSW: torch.Tensor, is_token_BS: torch.Tensor) -> torch.Tensor:
        weight_BS1 = is_token_BS.unsqueeze(2).to(h_BSW.dtype)
        if self.pooler is None:
            return (h_BSW * weight_BS1).sum(dim=1) / weight_BS1.sum(dim=1).clamp_min(1)
        return torch.tanh(self.pooler(h_BSW[:, 0])) * weight_BS1[:, 0]
