"""The maximum of private counts from sums alone: digits as thermometers of random ring elements.

A count is written in base 1024, two digits. For one digit a site fills every slot up to its digit
with a fresh random ring element and leaves zeros above; a site whose higher digit is already below
the maximum, or whose count is zero, leaves all zeros. In the sum a slot is non-zero if some site
reaches it (but for a chance of 2^-64), and a non-zero value is uniform: it shows neither who
reached it nor how many did.
"""

import os

import numpy as np

from common.errors import InputError
from common.wire import THERMOMETER_BASE as BASE

LARGEST = BASE**2 - 1


def thermometer(counts: list[int], higher: list[int] | None) -> np.ndarray:
    """A site's thermometers for one digit.

    Parameters
    ----------
    counts
        The site's count of each type, at most 1,048,575.
    higher
        The maximum's first digit of each type, or None when the first digit itself is asked.

    Returns
    -------
    slots
        uint64, (n_types, 1024). Randomness comes from the operating system.

    Raises
    ------
    InputError
        A count has more than two digits.
    """
    slots = np.zeros((len(counts), BASE), dtype=np.uint64)
    for row, count in enumerate(counts):
        if count > LARGEST:
            raise InputError(f"a batch holds {count:,} cells of one type; at most {LARGEST:,} fit")
        first, second = divmod(int(count), BASE)
        if count == 0 or (higher is not None and first != higher[row]):
            continue
        n = (first if higher is None else second) + 1
        slots[row, :n] = np.frombuffer(os.urandom(8 * n), dtype=np.uint64)
    return slots


def largest_digit(slots: np.ndarray) -> list[int]:
    """The highest reached slot of each type in a sum of thermometers; -1 if none is reached."""
    return [int(np.flatnonzero(row).max(initial=-1)) for row in slots]
