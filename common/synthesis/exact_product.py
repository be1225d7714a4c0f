"""Matrix products whose rows are the same in whatever company they are computed.

A matrix product adds in an order that depends on its size, so a row's last digits depend on how
many rows are beside it. Both operands are rounded here to so few digits that float64 holds every
partial sum exactly: no order of adding, and no library's, changes the result.
"""

import numpy as np

DIGITS = 52  # of float64, less one to spare
LEAST_EXPONENT = -500


def exact_product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``rows @ matrix`` of operands rounded to about 21 digits each (of 1,000 terms): float64.

    Parameters
    ----------
    rows
        (n, k). Each is rounded relative to its own largest entry; one that is not finite gives NaN
        or infinity in its own row alone.
    matrix
        (k, m), rounded relative to its largest entry.
    """
    digits = (DIGITS - int(rows.shape[1] - 1).bit_length()) // 2
    left, row_unit = _whole(rows, np.abs(rows).max(axis=1, initial=0.0, keepdims=True), digits)
    right, unit = _whole(matrix, np.abs(matrix).max(initial=0.0), digits)
    product = left @ right
    # One after the other: together they may be too small or too large for a number.
    product *= row_unit
    product *= unit
    return product


def _whole(values: np.ndarray, largest: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of at most ``digits`` binary digits, and what 1 stands for: a power of two."""
    exponent = np.maximum(np.frexp(largest)[1], LEAST_EXPONENT)
    scaled = values * np.ldexp(1.0, digits - exponent)
    return np.rint(scaled, out=scaled), np.ldexp(1.0, exponent - digits)
