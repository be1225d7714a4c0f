"""The default network: a VAE beside a linear path that starts at the pooled principal axes.

Encoder mean: mu(x) = A x + f(x); decoder: B z + c + g(z), with f and g the multilayer VAE of
``common/models/vae.py``. At the start A and B are the pooled principal axes and f = g = 0, so that
the model is exactly pooled PCA before the first round. A network started at random learns at each
site to ignore what is constant there, the batch effect, and the average of such networks cannot
encode it; started at the pooled axes it encodes it from the first round. What is constant at a site
stays out of the decoder's biases too: they keep the pooled mean until the linear path is refitted
(``common/decoder_refit.py``).
"""

import numpy as np
import torch
from torch import nn

from common.models.registry import register_model
from common.models.vae import VAE, VAEShape

INITIAL_LOG_VAR = -4.0


@register_model("linear_vae")
class LinearVAE(VAE):
    """:class:`~common.models.vae.VAE` with linear skip paths around encoder and decoder."""

    # It holds the pooled axes, and its decoder is solved for anew after training.
    unpruned = frozenset({"linear_mean.weight", "linear_decoder.weight"})

    def __init__(self, n_genes: int, shape: VAEShape):
        super().__init__(n_genes, shape)
        self.linear_mean = nn.Linear(n_genes, shape.latent_dim)
        self.linear_decoder = nn.Linear(shape.latent_dim, n_genes)
        # A site's own would take up its batch effect, and lose it in the average.
        for layer in (self.linear_decoder, self.decoder[-1]):
            layer.bias.requires_grad_(False)

    def encode(self, x_BG: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior mean and log variance, each (n_cells, latent_dim)."""
        mean_BD, log_var_BD = super().encode(x_BG)
        return mean_BD + self.linear_mean(x_BG), log_var_BD

    def decode(self, z_BD: torch.Tensor) -> torch.Tensor:
        """Expected expression (n_cells, n_genes)."""
        return self.nonlinear_decode(z_BD) + self.linear_decoder(z_BD)

    def nonlinear_decode(self, z_BD: torch.Tensor) -> torch.Tensor:
        """What the multilayer path g adds to the linear one, (n_cells, n_genes)."""
        return super().decode(z_BD)

    @torch.no_grad()
    def set_linear_decoder(self, weight: np.ndarray, bias: np.ndarray) -> None:
        """Replace B, (n_genes, latent_dim), and c, (n_genes,)."""
        self.linear_decoder.weight.copy_(torch.from_numpy(weight))
        self.linear_decoder.bias.copy_(torch.from_numpy(bias))

    @torch.no_grad()
    def start_at(self, mean: np.ndarray, axes: np.ndarray) -> None:
        """Make the model pooled PCA.

        Parameters
        ----------
        mean
            Pooled mean of scaled expression, (n_genes,).
        axes
            Orthonormal principal axes, (n_genes, n_axes); latent dimensions beyond ``n_axes``
            start at zero.
        """
        for head in (self.mean, self.log_var, self.decoder[-1], self.linear_mean):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.log_var.bias, INITIAL_LOG_VAR)
        nn.init.zeros_(self.linear_decoder.weight)
        n_axes = axes.shape[1]
        axes_GD = torch.from_numpy(axes.astype(np.float32))
        center_G = torch.from_numpy(mean.astype(np.float32))
        self.linear_mean.weight[:n_axes] = axes_GD.T
        self.linear_mean.bias[:n_axes] = -(center_G @ axes_GD)
        self.linear_decoder.weight[:, :n_axes] = axes_GD
        self.linear_decoder.bias.copy_(center_G)
