"""Steps of federated DP-SGD as releases: each is one sum of units' normalised gradients.

All units take part in every step, so steps compose as Gaussian releases do: no amplification is
claimed. A unit adds its gradient divided by its L2 norm plus a constant (Bu et al. 2022,
arXiv:2206.07136): below 1 in length whatever its records, STEPS grid steps.
"""

from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import BELOW_ONE, MOST_UNITS, STEPS, Pairs
from common.synthesis.generator import Stage, State
from common.synthesis.score_vae import SEED, ScoreVAE, Shape

STABLE = 0.01  # added to a norm
MOMENTUM = 0.9
N_DRAWS = 2  # of z a step: one and its opposite
BLOCK = 16  # records taken at once, or one unit: their gradients stay near the processor
MOST_SQUARES = 1e200
OF_STEPS = ("weights", "velocity", "weights_error")  # what a step changes in the state


def whole_steps(gradients: np.ndarray) -> np.ndarray:
    """Gradients over their length, in whole grid steps; zeros for one that is not finite.

    Parameters
    ----------
    gradients
        float64 (n_units, n_parameters); overwritten.

    Returns
    -------
    Whole numbers, float64: the L2 norm of each row is below STEPS. A row g becomes
    g / (|g| + STABLE), and then no entry is farther from zero than before.
    """
    # A product that overflows is infinite, and seen below.
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (gradients * gradients).sum(axis=1)
    stable = np.full(len(gradients), STABLE)
    for row in np.flatnonzero(~(squares < MOST_SQUARES)):
        own = gradients[row]
        own[...] = own if np.isfinite(own).all() else 0.0
        largest = max(float(np.abs(own).max()), 1.0)
        # By the largest entry first: squares of huge ones overflow.
        own /= largest
        stable[row] /= largest
        squares[row] = (own * own).sum()
    gradients *= (BELOW_ONE * STEPS / (np.sqrt(squares) + stable))[:, None]
    # Toward zero: a whole number is never farther from it than what it stands for.
    return np.trunc(gradients, out=gradients)


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
        block = max(BLOCK * pairs.n_units // max(len(scores), 1), 1)
        for first in range(0, pairs.n_units, block):
            sizes = per_unit[first : first + block]
            mine = slice(ends[first] - per_unit[first], ends[first] + sizes[1:].sum())
            # Weights may be anything that a message brought: what overflows counts as zero.
            with np.errstate(all="ignore"):
                rows = network.gradients(
                    scores[mine], pairs.classes[mine], records[mine], sizes, draws
                )
            # Sums of so few whole numbers are exact.
            total += whole_steps(rows).sum(axis=0).astype(np.int64)
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
