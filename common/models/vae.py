"""The variational autoencoder that is trained jointly for batch correction.

Generative model: z ~ N(0, I_d); x | z ~ N(decode(z), I), x the scaled log1p CP10k expression of one
cell. Inference: q(z | x) = N(mu(x), diag(exp(log_var(x)))), both from one encoder.

References
----------
Lotfollahi et al. 2019 (scGen), doi:10.1038/s41592-019-0494-8; Bakhtiari et al. 2025 (FedscGen),
doi:10.1186/s13059-025-03684-9.
"""

import hashlib
import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from common.models.registry import register_model
from common.precision import in_float32


@dataclass(frozen=True)
class VAEShape:
    """What fixes a VAE's parameters, apart from the number of genes.

    Parameters
    ----------
    hidden
        Widths of the encoder's layers; the decoder mirrors them.
    latent_dim
        Number of latent dimensions d.
    norm
        ``"batch"``, ``"layer"`` or ``"none"``, after each hidden linear layer.
    plain_first_layer
        FedscGen's quirk: the encoder's first linear layer has no normalisation, no activation and
        no dropout.
    dropout, slope
        Dropout rate and the negative slope of LeakyReLU.
    """

    hidden: tuple[int, ...]
    latent_dim: int
    norm: str
    plain_first_layer: bool
    dropout: float
    slope: float


NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "none": nn.Identity}


@register_model("vae")
class VAE(nn.Module):
    """Encoder and decoder over ``n_genes`` genes; see :class:`VAEShape`.

    Attributes
    ----------
    unpruned
        Weights that are never pruned.
    """

    unpruned: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, n_genes: int, shape: VAEShape):
        super().__init__()
        self.shape = shape
        widths = (n_genes, *shape.hidden)
        self.encoder = nn.Sequential(
            *(
                self._block(n_in, n_out, plain=shape.plain_first_layer and i == 0)
                for i, (n_in, n_out) in enumerate(itertools.pairwise(widths))
            )
        )
        self.mean = nn.Linear(widths[-1], shape.latent_dim)
        self.log_var = nn.Linear(widths[-1], shape.latent_dim)
        widths = (shape.latent_dim, *reversed(shape.hidden))
        self.decoder = nn.Sequential(
            *(self._block(a, b) for a, b in itertools.pairwise(widths)),
            nn.Linear(widths[-1], n_genes),
        )

    def _block(self, n_in: int, n_out: int, plain: bool = False) -> nn.Module:
        linear = nn.Linear(n_in, n_out, bias=False)
        if plain:
            return linear
        return nn.Sequential(
            linear,
            NORMS[self.shape.norm](n_out),
            nn.LeakyReLU(self.shape.slope, inplace=True),
            nn.Dropout(self.shape.dropout),
        )

    def encode(self, x_BG: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior mean and log variance, each (n_cells, latent_dim)."""
        h_BH = self.encoder(x_BG)
        return self.mean(h_BH), self.log_var(h_BH)

    def encoder_digest(self) -> str:
        """A hash of the values that decide the latents."""
        digest = hashlib.blake2b(digest_size=16)
        for name, value in self.state_dict().items():
            if "decoder" not in name:
                digest.update(value.detach().cpu().contiguous().numpy())
        return digest.hexdigest()

    def decode(self, z_BD: torch.Tensor) -> torch.Tensor:
        """Expected expression (n_cells, n_genes)."""
        return self.decoder(z_BD)

    def losses(
        self, x_BG: torch.Tensor, noise: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruction error and KL divergence of a mini-batch, both averaged over cells.

        Parameters
        ----------
        x_BG
            Scaled expression (n_cells, n_genes).
        noise
            Source of the reparametrisation noise; ``None`` decodes the posterior mean.

        Returns
        -------
        reconstruction
            Squared error, mean over cells and genes.
        kl
            KL(q(z|x) || N(0, I)) in nats, summed over latent dimensions, mean over cells.
        """
        mean_BD, log_var_BD = self.encode(x_BG)
        z_BD = mean_BD
        if noise is not None:
            eps_BD = torch.randn(mean_BD.shape, generator=noise).to(mean_BD.device)
            z_BD = mean_BD + torch.exp(0.5 * log_var_BD) * eps_BD
        reconstruction = nn.functional.mse_loss(self.decode(z_BD), x_BG)
        return reconstruction, kl_divergence(mean_BD, log_var_BD)


@in_float32
def kl_divergence(mean_BD: torch.Tensor, log_var_BD: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(log_var)) || N(0, I)) in nats, summed over dimensions, mean over cells."""
    kl_B = 0.5 * (log_var_BD.exp() - log_var_BD - 1 + mean_BD.square()).sum(dim=1)
    return kl_B.mean()
