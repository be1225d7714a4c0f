"""A small conditional variational autoencoder of normal scores, and one unit's gradient.

    encoder: (P v, class) -> Linear -> LayerNorm -> tanh -> mean and log variance of z
    decoder: (z, class) -> Linear -> LayerNorm -> tanh -> Linear -> scores

P is a fixed random projection of all genes, drawn from a public seed: it is not trained, which
saves half of the noise. No batch norm: a unit's gradient must not depend on other units. The class
means are in the marginals; the network learns what is left. Loss of a record: half the squared
error of its scores plus the KL divergence of z.

A gradient is taken of one unit at a time: a larger batch's matrix products round otherwise, and the
sum over sites would not be the pooled one bit for bit.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

SEED = 20  # of the projection, the first weights and the draws of z: public


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    n_genes: int
    n_classes: int
    latent: int
    hidden: int
    projected: int = 32

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shape of each weight, in their order in a vector of all."""
        return {
            "encoder": (self.hidden, self.projected + self.n_classes),
            "encoder_bias": (self.hidden,),
            "code": (2 * self.latent, self.hidden),
            "code_bias": (2 * self.latent,),
            "decoder": (self.hidden, self.latent + self.n_classes),
            "decoder_bias": (self.hidden,),
            "output": (self.n_genes, self.hidden),
        }

    @property
    def n_parameters(self) -> int:
        """Of all weights."""
        return sum(int(np.prod(shape)) for shape in self.parameters.values())

    def first_weights(self) -> np.ndarray:
        """The same for all, float64 (n_parameters,)."""
        rng = np.random.default_rng(SEED)
        parts = []
        for name, shape in self.parameters.items():
            # Small at first: decoded scores are near zero.
            size = {"output": 0.05}.get(name, shape[-1] ** -0.5)
            drawn = size * rng.standard_normal(shape)
            parts.append(np.zeros(shape) if name.endswith("bias") else drawn)
        return np.concatenate([part.ravel() for part in parts])

    def split(self, weights: np.ndarray) -> dict[str, torch.Tensor]:
        """The weights of a vector by name, float64."""
        out, start = {}, 0
        for name, shape in self.parameters.items():
            size = int(np.prod(shape))
            out[name] = torch.tensor(weights[start : start + size].reshape(shape))
            start += size
        return out


class ScoreVAE:
    """The network with given weights.

    Parameters
    ----------
    shape
        Sizes.
    weights
        (n_parameters,).
    """

    def __init__(self, shape: Shape, weights: np.ndarray):
        self.shape = shape
        self.weights = {k: w.requires_grad_() for k, w in shape.split(weights).items()}
        rng = np.random.default_rng([SEED, 1])
        projection = rng.standard_normal((shape.n_genes, shape.projected))
        self._projection = torch.tensor(projection / np.sqrt(shape.n_genes))
        self._classes = torch.eye(shape.n_classes, dtype=torch.float64)

    def decode(self, z: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Scores (..., n_genes) of ``z`` (..., latent) and indices of classes (...,)."""
        w = self.weights
        given = torch.cat([z, self._classes[classes]], dim=-1)
        hidden = functional.linear(given, w["decoder"], w["decoder_bias"])
        hidden = torch.tanh(functional.layer_norm(hidden, hidden.shape[-1:]))
        return functional.linear(hidden, w["output"])

    def loss(
        self, scores: np.ndarray, classes: np.ndarray, weights: np.ndarray, draws: np.ndarray
    ) -> torch.Tensor:
        """Of one unit.

        Parameters
        ----------
        scores
            Of its records, (k, n_genes).
        classes
            Of its records, (k,).
        weights
            Of its records, adding up to 1, (k,).
        draws
            Standard Gaussian, the same for all units, (n_draws, latent).
        """
        w, v, of = self.weights, torch.tensor(scores), torch.tensor(classes)
        given = torch.cat([v @ self._projection, self._classes[of]], dim=1)
        hidden = functional.linear(given, w["encoder"], w["encoder_bias"])
        hidden = torch.tanh(functional.layer_norm(hidden, hidden.shape[1:]))
        code = functional.linear(hidden, w["code"], w["code_bias"])
        mean, log_variance = code.chunk(2, dim=1)
        log_variance = log_variance.clamp(-8, 8)
        loss = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
        z = mean + (log_variance / 2).exp() * torch.tensor(draws)[:, None]
        decoded = self.decode(z, of.expand(len(draws), -1))
        loss = loss + 0.5 * ((v - decoded) ** 2).sum(dim=2).mean(dim=0)
        return (torch.tensor(weights) * loss).sum()

    def gradient(
        self, scores: np.ndarray, classes: np.ndarray, weights: np.ndarray, draws: np.ndarray
    ) -> np.ndarray:
        """Of :meth:`loss` by the weights, float64 (n_parameters,)."""
        total = self.loss(scores, classes, weights, draws)
        parts = torch.autograd.grad(total, list(self.weights.values()))
        return torch.cat([part.flatten() for part in parts]).numpy()

    @torch.no_grad()
    def drawn(self, c: int, n: int, rng: np.random.Generator) -> np.ndarray:
        """Decoded scores of class ``c`` for ``n`` draws of z, (n, n_genes)."""
        z = torch.tensor(rng.standard_normal((n, self.shape.latent)))
        return self.decode(z, torch.full((n,), c)).numpy()
