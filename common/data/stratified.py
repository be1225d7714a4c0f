"""A site's cells for training, validation and test of a classifier: a share of every label.

For comparisons, in which every site needs test cells of its labels that nobody trained on.
``common/data/held_out.py`` divides by batch, for a run; ``common/data/deal.py`` makes sites.
"""

from dataclasses import dataclass

import numpy as np

from common.data.random_parts import random_parts
from common.errors import ConfigError


@dataclass(frozen=True)
class Parts:
    """Row numbers of a site's training, validation and test cells: each cell in one of them."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def stratified_parts(labels: np.ndarray, *, validation: float, test: float, seed: int) -> Parts:
    """Divide each label's cells at random by the shares; the same for the same seed.

    Of n cells of a label each part gets its share rounded up or down, and training at least one:
    no label is tested that is not trained. Which are rounded up: those of largest remainder, of
    equal ones training before test before validation.

    Parameters
    ----------
    labels
        (n_cells,), object; cells without one (None) are divided as those of a label.
    validation, test
        Shares, 0 to below 1; the rest trains.

    Raises
    ------
    ConfigError
        A share is negative, or nothing is left to train.
    """
    if min(validation, test) < 0 or validation + test >= 1:
        raise ConfigError(
            f"validation {validation:g} and test {test:g} of the cells: give shares of 0 or more "
            "that leave some to train, as 0.1 and 0.2"
        )
    shares = np.array([1 - validation - test, test, validation])
    names = np.array(["-" if label is None else f"={label}" for label in labels], dtype=str)
    _, groups, n_cells = np.unique(names, return_inverse=True, return_counts=True)
    sizes = np.array([_sizes(n, shares) for n in n_cells])
    part = random_parts(groups, sizes, np.random.default_rng([seed, len(labels)]))
    train, test_rows, validation_rows = (np.flatnonzero(part == number) for number in range(3))
    return Parts(train, validation_rows, test_rows)


def _sizes(n: int, shares: np.ndarray) -> np.ndarray:
    """Cells of each part, (3,): largest remainders, and one of the first part at least."""
    # What is whole but for rounding counts as whole.
    exact = np.round(n * shares, 9)
    sizes = np.floor(exact).astype(np.int64)
    most = np.argsort(np.round(sizes - exact, 6), kind="stable")
    sizes[most[: n - sizes.sum()]] += 1
    if not sizes[0]:
        sizes[sizes.argmax()] -= 1
        sizes[0] = 1
    return sizes
