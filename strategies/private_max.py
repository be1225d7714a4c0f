"""The maximum of private counts from sums alone: digits as thermometers of random ring elements.

A count is written in base 1024, two digits. For one digit a site fills every slot up to its digit
with a fresh random ring element and leaves zeros above; a site whose higher digit is already below
the maximum, or whose count is zero, leaves all zeros. In the sum a slot is non-zero if some site
reaches it (but for a chance of 2^-64), and a non-zero value is uniform: it shows neither who
reached it nor how many did.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.errors import InputError, SecureSumError
from common.wire import THERMOMETER_BASE as BASE
from strategies.secure_sum import Summed

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


@dataclass(frozen=True)
class Maximum:
    """What the two sums show of one type.

    Parameters
    ----------
    n_batches
        Batches that hold it, at all sites.
    largest
        Cells of the largest that was entered; None if none was.
    """

    n_batches: int
    largest: int | None


def private_max(types: list[str], summed: Callable[..., Summed]) -> dict[str, Maximum]:
    """The maximum of each type in two masked sums, one for each digit.

    Parameters
    ----------
    types
        Their names.
    summed
        Sums the phase ``peaks`` over the sites.

    Raises
    ------
    SecureSumError
        A site that reached the first digit was lost before the second.
    """
    first = summed("peaks", values={"types": types, "higher": None}).values
    high = largest_digit(first["thermometer"])
    second = summed("peaks", attempt=1, values={"types": types, "higher": high}).values
    low = largest_digit(second["thermometer"])
    maxima = {}
    for row, name in enumerate(types):
        n_batches = round(float(first["n_batches"][row]))
        # Of one batch alone nobody needs the size.
        if n_batches > 1 and low[row] < 0 <= high[row]:
            raise SecureSumError(
                f"the site with the largest batch of {name!r} was lost between the two sums that "
                "find it; run again"
            )
        largest = high[row] * BASE + low[row] if high[row] >= 0 else None
        maxima[name] = Maximum(n_batches, largest)
    return maxima
