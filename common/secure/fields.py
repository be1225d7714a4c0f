"""Several named fields as one ring vector, and back."""

import math

import numpy as np

from common.errors import WireError
from common.wire import phase_of

Shapes = dict[str, tuple[int, ...]]


def pack(
    phase: str,
    values: dict[str, np.ndarray],
    n_sites: int,
    scales: dict[str, float] | None = None,
) -> tuple[np.ndarray, Shapes]:
    """One ring vector of a phase's masked fields, in the order of the wire table.

    Parameters
    ----------
    phase
        A phase of :data:`common.wire.PHASES`.
    values
        One array or number per masked field; all of them.
    n_sites
        Sites in the sum.
    scales
        Factors by which fields are multiplied on the way.

    Returns
    -------
    vector
        uint64, (n,).
    shapes
        Each field's shape, for :func:`unpack`.

    Raises
    ------
    WireError
        A field is missing, undeclared, or not a ring element where it must be.
    """
    fields = phase_of(phase).masked()
    if set(values) != set(fields):
        raise WireError(f"phase {phase} sums {sorted(fields)}, not {sorted(values)}")
    shapes = {name: np.shape(values[name]) for name in fields}
    sizes = _n_words(phase, shapes)
    vector, start = np.empty(sum(sizes.values()), dtype=np.uint64), 0
    for name, field in fields.items():
        value, out = np.asarray(values[name]), vector[start : start + sizes[name]]
        start += sizes[name]
        if not field.ring:
            scale = (scales or {}).get(name, 1.0)
            field.fixed_point(n_sites).encode(value, f"{phase}.{name}", out, scale)
        elif value.dtype == np.uint64:
            out[:] = value.ravel()
        else:
            raise WireError(f"{phase}.{name} must be uint64 ring elements, not {value.dtype}")
    return vector, shapes


def n_words(phase: str, shapes: Shapes) -> int:
    """Ring words of a phase's masked fields together."""
    return sum(_n_words(phase, shapes).values())


def _n_words(phase: str, shapes: Shapes) -> dict[str, int]:
    """Ring words of each masked field."""
    return {
        name: math.prod(shapes[name]) * (2 if field.wide else 1)
        for name, field in phase_of(phase).masked().items()
    }


def unpack(phase: str, vector: np.ndarray, shapes: Shapes, n_sites: int) -> dict[str, np.ndarray]:
    """The summed fields of a phase: float64 arrays, ring fields uint64.

    Raises
    ------
    WireError
        The vector's length does not fit ``shapes``.
    """
    fields = phase_of(phase).masked()
    sizes = _n_words(phase, shapes)
    if sum(sizes.values()) != len(vector):
        raise WireError(
            f"phase {phase}: a sum of {len(vector)} words, expected {sum(sizes.values())}"
        )
    out, start = {}, 0
    for name, field in fields.items():
        part = vector[start : start + sizes[name]]
        start += sizes[name]
        if field.ring:
            out[name] = part.reshape(shapes[name])
        else:
            out[name] = field.fixed_point(n_sites).decode(part, shapes[name])
    return out
