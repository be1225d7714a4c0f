"""A small conditional variational autoencoder of normal scores, and each unit's own gradient.

    encoder: (P v, class) -> Linear -> LayerNorm -> tanh -> mean and log variance of z
    decoder: (z, class) -> Linear -> LayerNorm -> tanh -> Linear -> scores

P is a fixed random projection of all genes, drawn from a public seed: it is not trained, which
saves half of the noise. No batch norm: a unit's gradient must not depend on other units. The class
means are in the marginals; the network learns what is left. Loss of a record: half the squared
error of its scores plus the KL divergence of z.

Gradients of many units are taken at once, and are the same in whatever company: what is not done
entry by entry is an exact product, or a sum over one row or one unit alone. So sums over sites are
the pooled ones bit for bit. Written out by hand, as no library's batched gradient promises that.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from common.synthesis.exact_product import exact_product

SEED = 20  # of the projection, the first weights and the draws of z: public
STABLE = 1e-5  # of LayerNorm
MOST_LOG_VARIANCE = 8.0


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

    def split(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Views of vectors of all weights (..., n_parameters) by name."""
        out, start = {}, 0
        for name, shape in self.parameters.items():
            end = start + int(np.prod(shape))
            out[name] = weights[..., start:end].reshape(*weights.shape[:-1], *shape)
            start = end
        return out

    def projection(self) -> np.ndarray:
        """P, the same for all: (n_genes, projected)."""
        rng = np.random.default_rng([SEED, 1])
        return rng.standard_normal((self.n_genes, self.projected)) / np.sqrt(self.n_genes)


class _Layer(NamedTuple):
    """What a layer gave, each row apart: LayerNorm's values and their scale, tanh of them."""

    normed: np.ndarray
    scale: np.ndarray
    out: np.ndarray


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
        self.weights = shape.split(np.asarray(weights, dtype=np.float64))
        self._projection = shape.projection()
        self._classes = np.eye(shape.n_classes)

    def gradients(
        self,
        scores: np.ndarray,
        classes: np.ndarray,
        weights: np.ndarray,
        sizes: np.ndarray,
        draws: np.ndarray,
    ) -> np.ndarray:
        """Of each unit's loss by the network's weights, float64 (n_units, n_parameters).

        Parameters
        ----------
        scores
            Of the units' records, one unit after the other, (n, n_genes).
        classes, weights
            Of each record, (n,): a unit's loss is the weighted sum of its records'.
        sizes
            Records of each unit, (n_units,).
        draws
            Standard Gaussian, the same for all units, (n_draws, latent).
        """
        w, latent, n_draws = self.weights, self.shape.latent, len(draws)
        seen = exact_product(scores, self._projection)
        given = np.concatenate([seen, self._classes[classes]], axis=1)
        hidden = self._layer("encoder", seen, classes)
        code = exact_product(hidden.out, w["code"].T) + w["code_bias"]
        mean, stated = code[:, :latent], code[:, latent:]
        log_variance = np.clip(stated, -MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
        sd = np.exp(log_variance / 2)
        # From here on a row is a record's draw.
        z = (mean[:, None] + sd[:, None] * draws).reshape(-1, latent)
        of = np.repeat(classes, n_draws)
        decoded_from = np.concatenate([z, self._classes[of]], axis=1)
        decoder = self._layer("decoder", z, of)
        error = exact_product(decoder.out, w["output"].T)
        error -= np.repeat(scores, n_draws, axis=0)
        error *= np.repeat(weights / n_draws, n_draws)[:, None]

        at_decoder = _back(decoder, exact_product(error, w["output"]))
        at_z = exact_product(at_decoder, w["decoder"][:, :latent]).reshape(-1, n_draws, latent)
        # Entry by entry: a sum over an axis may add in another order where there are more rows.
        by_mean = sum(at_z[:, d] for d in range(n_draws))
        by_sd = sum(at_z[:, d] * draws[d] for d in range(n_draws))
        at_mean = by_mean + weights[:, None] * mean
        at_variance = 0.5 * (by_sd * sd + weights[:, None] * (sd * sd - 1))
        at_variance *= np.abs(stated) <= MOST_LOG_VARIANCE
        at_code = np.concatenate([at_mean, at_variance], axis=1)
        at_encoder = _back(hidden, exact_product(at_code, w["code"]))

        out = np.empty((len(sizes), self.shape.n_parameters))
        to = self.shape.split(out)
        _by_unit(at_encoder, given, sizes, to["encoder"], to["encoder_bias"])
        _by_unit(at_code, hidden.out, sizes, to["code"], to["code_bias"])
        drawn = sizes * n_draws
        _by_unit(at_decoder, decoded_from, drawn, to["decoder"], to["decoder_bias"])
        _by_unit(error, decoder.out, drawn, to["output"])
        return out

    def drawn(self, c: int, n: int, rng: np.random.Generator) -> np.ndarray:
        """Decoded scores of class ``c`` for ``n`` draws of z, (n, n_genes)."""
        z = rng.standard_normal((n, self.shape.latent))
        hidden = self._layer("decoder", z, np.full(n, c))
        return hidden.out @ self.weights["output"].T

    def _layer(self, name: str, rows: np.ndarray, classes: np.ndarray) -> _Layer:
        """Linear of (row, class), LayerNorm, tanh."""
        weights, n = self.weights[name], rows.shape[1]
        out = exact_product(rows, weights[:, :n].T)
        out += weights[:, n:].T[classes] + self.weights[f"{name}_bias"]
        out -= out.mean(axis=1, keepdims=True)
        scale = 1 / np.sqrt((out * out).mean(axis=1, keepdims=True) + STABLE)
        normed = out * scale
        return _Layer(normed, scale, np.tanh(normed))


def _back(layer: _Layer, at_out: np.ndarray) -> np.ndarray:
    """The loss's gradient at what LayerNorm took, from that at what tanh gave."""
    at = at_out * (1 - layer.out**2)
    along = (at * layer.normed).mean(axis=1, keepdims=True)
    return (at - at.mean(axis=1, keepdims=True) - layer.normed * along) * layer.scale


def _by_unit(
    at: np.ndarray,
    given: np.ndarray,
    sizes: np.ndarray,
    out: np.ndarray,
    bias: np.ndarray | None = None,
) -> None:
    """Gradients of a linear layer: of each unit's rows ``at`` and ``given`` alone.

    Parameters
    ----------
    at
        The loss's gradient at what the layer gave, (n_rows, m).
    given
        What it took, (n_rows, k).
    sizes
        Rows of each unit, (n_units,).
    out, bias
        Filled, (n_units, m, k) and (n_units, m).
    """
    if (sizes == sizes[0]).all():
        # One product for each unit, too, of just its size.
        at = at.reshape(len(sizes), sizes[0], -1)
        np.matmul(at.transpose(0, 2, 1), given.reshape(len(sizes), sizes[0], -1), out=out)
        if bias is not None:
            np.matmul(np.ones(sizes[0]), at, out=bias)
        return
    ends = np.cumsum(sizes)
    for unit, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
        np.matmul(at[start:end].T, given[start:end], out=out[unit])
        if bias is not None:
            np.matmul(np.ones(end - start), at[start:end], out=bias[unit])
