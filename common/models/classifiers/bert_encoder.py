"""BERT's encoder: post-norm layers of self-attention over a sequence, each with padding masked.

What differs from the published layer in form alone: keys have no bias, which adds the same to every
score of a query and leaves the softmax as it is.

References
----------
Vaswani et al. 2017, arXiv:1706.03762; Devlin et al. 2019 (BERT), arXiv:1810.04805.
"""

import torch
from torch import nn

# Exact, not the tanh approximation.
ACTIVATIONS = {"gelu": nn.functional.gelu, "relu": nn.functional.relu}


class BertLayer(nn.Module):
    """h = norm(h + attention(h)), then h = norm(h + perceptron(h)).

    Parameters
    ----------
    width, n_heads
        Width of a token, and heads among which it is divided.
    feed_forward
        Width of the perceptron's hidden layer.
    activation
        A name in :data:`ACTIVATIONS`.
    dropout, attention_dropout
        Rates of what is added to a token, and of the attention's weights.
    epsilon
        Added to the variance by the layer norms.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        feed_forward: int,
        *,
        activation: str = "gelu",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        epsilon: float = 1e-12,
    ):
        super().__init__()
        self.n_heads = n_heads
        self.activation = ACTIVATIONS[activation]
        self.attention_dropout = attention_dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.attention_output = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=epsilon)
        self.hidden = nn.Linear(width, feed_forward)
        self.output = nn.Linear(feed_forward, width)
        self.output_norm = nn.LayerNorm(width, eps=epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h_BSW: torch.Tensor, seen_BS: torch.Tensor) -> torch.Tensor:
        """The layer's tokens (n_cells, n_tokens, width).

        Parameters
        ----------
        h_BSW
            Tokens, (n_cells, n_tokens, width).
        seen_BS
            Whether a token is attended to, bool (n_cells, n_tokens); at least one of each cell.
        """
        h_BSW = self.attention_norm(h_BSW + self.dropout(self._attended(h_BSW, seen_BS)))
        made_BSW = self.output(self.activation(self.hidden(h_BSW)))
        return self.output_norm(h_BSW + self.dropout(made_BSW))

    def _attended(self, h_BSW: torch.Tensor, seen_BS: torch.Tensor) -> torch.Tensor:
        n_cells, n_tokens, width = h_BSW.shape
        query, key, value = (
            made(h_BSW).view(n_cells, n_tokens, self.n_heads, -1).transpose(1, 2)
            for made in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=seen_BS[:, None, None, :],
            dropout_p=self.attention_dropout if self.training else 0.0,
        )
        return self.attention_output(mixed.transpose(1, 2).reshape(n_cells, n_tokens, width))
