"""Class means seen once more, along the few directions in which they seem to differ.

Means of all genes have noise in hundreds of numbers, whose sum moves where classes are told apart:
the common mean's error along a direction moves all of them. A direction that was found is public,
and along n_classes - 1 of them a record has as many coordinates, so little noise hides its sums.
They replace what the means say along these directions and leave the rest as it was.
"""

import math

import numpy as np

from common.synthesis.contributions import STEPS, Pairs
from common.synthesis.generator import State
from common.synthesis.ratio_means import Rows
from common.synthesis.shrinkage import trusting

# Coordinates are in predicted standard deviations; a record's and its constant are in one ball.
RADIUS, CONSTANT = 2.5, 1.5
CLIPPING_DIFFERS = 0.1  # by class, relative
# Of what usual units keep of their constants: less is what noise makes of them.
LEAST_KEPT = 0.25


def n_directions(n_classes: int, n_genes: int) -> int:
    """How many there are."""
    return min(n_classes - 1, n_genes)


def directions(
    means: np.ndarray, sd: np.ndarray, units: np.ndarray, genes: slice | np.ndarray
) -> State:
    """The orthonormal directions between class means that differ most, for the state.

    Parameters
    ----------
    means
        Released, (n_classes, n_genes).
    sd
        Of the genes about them, (n_genes,): positive.
    units
        Of each class, (n_classes,): positive.
    genes
        The places of those whose means may differ: directions are of these alone.

    Returns
    -------
    ``axes`` (n_genes, n_directions), and predicted standard deviations along them ``axes_sd``
    (n_directions,).
    """
    shares = units / units.sum()
    middle = shares @ means
    weighted = ((means - middle) * np.sqrt(shares)[:, None])[:, genes]
    _, _, right = np.linalg.svd(weighted, full_matrices=False)
    axes = np.zeros((len(middle), n_directions(*weighted.shape)))
    axes[genes] = right[: axes.shape[1]].T
    return {"axes": axes, "axes_sd": np.sqrt((axes**2).T @ sd**2)}


def coordinate_sums(values: np.ndarray, pairs: Pairs, state: State, n_classes: int) -> np.ndarray:
    """Sums of coordinates from class means, and constants: int64 (n_classes (n_directions + 1),).

    Parameters
    ----------
    values
        Of the kept records, float64 (n_kept, n_genes).
    pairs
        Whose they are: all classes of a unit are in one ball, of `STEPS` grid steps.
    state
        ``means``, and what `directions` gave.

    Raises
    ------
    ValueError
        An array of the state has another shape.
    """
    n_genes = values.shape[1]
    # Of one gene, means (n_classes,) would make each row one of all units.
    means = state["means"].reshape(n_classes, n_genes)
    axes = state["axes"].reshape(n_genes, -1)
    rows = pairs.means(values) - means[pairs.pair_class]
    # One axis at a time and not by BLAS: the same bits whatever other records are there.
    found = [
        np.ascontiguousarray(rows * axis).sum(axis=1) / sd
        for axis, sd in zip(axes.T, state["axes_sd"].reshape(axes.shape[1]), strict=True)
    ]
    found.append(np.full(len(rows), CONSTANT))
    nothing = np.zeros((pairs.n_units, 0))
    return Rows(nothing, np.stack(found, axis=1)).sums(pairs, RADIUS, n_classes)


def with_coordinates(
    total: np.ndarray, noise_sd: float, state: State, n_together: int = 1
) -> State:
    """Means and units of classes that fit the noisy coordinates.

    What all classes have in common, an error of the middle, and what each has besides are taken
    over as far as noise does not explain them: empirical Bayes (Efron, Morris 1973).

    Parameters
    ----------
    total
        Noisy sums, (n_classes (n_directions + 1),).
    noise_sd
        Of each, in grid steps.
    state
        ``means``, ``class_units`` and ``class_units_sd`` so far, and what `directions` gave.
    n_together
        Classes that a unit may have, all in one ball.
    """
    before, axes = state["class_units"], state["axes"]
    sums = total.reshape(len(before), -1) * (RADIUS / STEPS)
    noise = noise_sd * RADIUS / STEPS
    here, here_sd = sums[:, -1] / CONSTANT, noise / CONSTANT
    usual = math.sqrt(n_together * (CONSTANT**2 + axes.shape[1]))
    least_kept = LEAST_KEPT * min(RADIUS / usual, 1.0)
    # Clipping shortens constants alike, but for what differs by class.
    kept = float(np.clip(here.sum() / before.sum(), least_kept, 1.0))
    before_sd = float(state["class_units_sd"]) * kept
    differs = (CLIPPING_DIFFERS * before * kept) ** 2
    weight = trusting(here, here_sd**2, before * kept, before_sd**2 + differs)
    units = trusting(before * kept, before_sd**2, here, here_sd**2 + differs) / kept
    least = max(0.5 * min(here_sd, before_sd), 1e-9)
    weight, units = np.maximum(weight, least), np.maximum(units, least / kept)
    apart = sums[:, :-1] / weight[:, None]
    error = (noise / weight) ** 2
    shares = weight / weight.sum()
    common, common_error = shares @ apart, shares**2 @ error
    own = apart - common
    moved = common * _kept((common**2).mean(), common_error)
    moved = moved + own * _own_kept(own, error)[:, None]
    means = state["means"] + (moved * state["axes_sd"]) @ axes.T
    return {"means": means, "class_units": units}


def _kept(square: float, error: float) -> float:
    """Of values whose mean square is ``square``, what noise of that variance does not explain."""
    return max(square - error, 0.0) / square if square else 1.0


def _own_kept(own: np.ndarray, error: np.ndarray) -> np.ndarray:
    """What is kept of each class's own, (n_classes,): all of them have one variance."""
    if not error.any():
        return np.ones(len(error))
    trust = 1 / error**2
    beyond = max(trust @ ((own**2).mean(axis=1) - error) / trust.sum(), 0.0)
    return beyond / (beyond + error)
