"""Steps of federated DP-SGD as releases: each is one sum of units' normalised gradients.

All units take part in every step, so steps compose as Gaussian releases do: no amplification is
claimed. A unit adds its gradient divided by its L2 norm plus a constant (Bu et al. 2022,
arXiv:2206.07136): below 1 in length whatever its records, STEPS grid steps.
"""

from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import MOST_UNITS, STEPS, Pairs, whole_in_ball
from common.synthesis.generator import Stage, State
from common.synthesis.score_vae import SEED, ScoreVAE, Shape

STABLE = 0.01  # added to a norm
MOMENTUM = 0.9
N_DRAWS = 2  # of z a step: one and its opposite
BLOCK = 64  # gradients in memory at once


def normalised(gradients: np.ndarray) -> np.ndarray:
    """Gradients over their length, below 1 each; zero for one that is not finite."""
    finite = np.isfinite(gradients).all(axis=1, keepdims=True)
    rows = np.where(finite, gradients, 0.0)
    # By the largest entry first: squares of a huge one would overflow.
    largest = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1.0)
    rows = rows / largest
    return rows / (np.sqrt((rows * rows).sum(axis=1, keepdims=True)) + STABLE / largest)


@dataclass(frozen=True)
class PrivateSteps:
    """The releases.

    Parameters
    ----------
    shape
        Of the network.
    n_steps
        How many.
    share
        Of mu^2, for all of them.
    learning_rate
        Public.
    """

    shape: Shape
    n_steps: int
    share: float
    learning_rate: float

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Called ``step_0``, ``step_1``, ..."""
        n, share = self.shape.n_parameters, self.share / self.n_steps
        bound = float(STEPS) * MOST_UNITS
        return tuple(Stage(f"step_{i}", n, STEPS, share, bound) for i in range(self.n_steps))

    def statistics(
        self, stage: Stage, pairs: Pairs, scores: np.ndarray, state: State
    ) -> np.ndarray:
        """Sum of the units' normalised gradients at the state's weights: int64."""
        network = ScoreVAE(self.shape, self._weights(state))
        rng = np.random.default_rng([SEED, 2, int(stage.name.removeprefix("step_"))])
        half = rng.standard_normal((N_DRAWS // 2, self.shape.latent))
        draws = np.concatenate([half, -half])
        n_pairs = pairs.pairs_of_unit
        records = np.repeat(1 / (pairs.sizes * n_pairs[pairs.pair_unit]), pairs.sizes)
        per_unit = np.bincount(pairs.pair_unit, weights=pairs.sizes).astype(np.int64)
        ends = np.cumsum(per_unit)
        total = np.zeros(self.shape.n_parameters, dtype=np.int64)
        for first in range(0, pairs.n_units, BLOCK):
            units = range(first, min(first + BLOCK, pairs.n_units))
            mine = [slice(ends[u] - per_unit[u], ends[u]) for u in units]
            rows = np.stack(
                [network.gradient(scores[m], pairs.classes[m], records[m], draws) for m in mine]
            )
            rows = normalised(rows)
            norms = np.sqrt((rows * rows).sum(axis=1))
            total += whole_in_ball(rows, norms, 1.0).sum(axis=0)
        return total

    def take(self, total: np.ndarray, noise_sd: float, state: State) -> State:
        """``weights`` after the step, ``velocity``, and the noise's share in each weight."""
        unit = 1 / STEPS / float(state["n_units"])
        velocity = MOMENTUM * state.get("velocity", 0.0) + (1 - MOMENTUM) * total * unit
        # Of a noise's n steps all but the last ones have reached the weights in full.
        error = float(state.get("weights_error", 0.0)) + (self.learning_rate * noise_sd * unit) ** 2
        return state | {
            "weights": self._weights(state) - self.learning_rate * velocity,
            "velocity": velocity,
            "weights_error": np.array(error),
        }

    def network(self, state: State) -> ScoreVAE:
        """With the last weights, less what noise alone could have made of the output's."""
        weights = self._weights(state).copy()
        n_output = self.shape.n_genes * self.shape.hidden
        output = weights[-n_output:].reshape(self.shape.n_genes, self.shape.hidden)
        left, sizes, right = np.linalg.svd(output, full_matrices=False)
        # Marchenko-Pastur: a matrix of noise has no larger singular value.
        edge = np.sqrt(float(state["weights_error"])) * (np.sqrt(output.shape).sum())
        sizes = np.sqrt(np.maximum(sizes**2 - edge**2, 0))
        weights[-n_output:] = ((left * sizes) @ right).ravel()
        return ScoreVAE(self.shape, weights)

    def _weights(self, state: State) -> np.ndarray:
        return state["weights"] if "weights" in state else self.shape.first_weights()
