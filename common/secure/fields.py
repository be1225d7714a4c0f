"""Several named fields as one ring vector, and back."""

import math

import numpy as np

from common.errors import WireError
from common.wire import phase_of
from common.wire_fields import NumberFormat

Shapes = dict[str, tuple[int, ...]]


def pack(
    phase: str,
    values: dict[str, np.ndarray],
    n_sites: int,
    scales: dict[str, float] | None = None,
    ring_bits: int = 64,
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
    ring_bits
        Of the fields that may be narrow; see :class:`common.wire_fields.Masked`.

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
    formats = _formats(phase, n_sites, ring_bits)
    sizes = _n_words(formats, shapes)
    vector, start = np.empty(sum(sizes.values()), dtype=np.uint64), 0
    for name, field in fields.items():
        value, out = np.asarray(values[name]), vector[start : start + sizes[name]]
        start += sizes[name]
        if not field.ring:
            scale = (scales or {}).get(name, 1.0)
            formats[name].encode(value, f"{phase}.{name}", out, scale)
        elif value.dtype == np.uint64:
            out[:] = value.ravel()
        else:
            raise WireError(f"{phase}.{name} must be uint64 ring elements, not {value.dtype}")
    return vector, shapes


def n_words(phase: str, shapes: Shapes, n_sites: int, ring_bits: int) -> int:
    """Ring words of a phase's masked fields together."""
    return sum(_n_words(_formats(phase, n_sites, ring_bits), shapes).values())


def _formats(phase: str, n_sites: int, ring_bits: int) -> dict[str, NumberFormat]:
    fields = phase_of(phase).masked().items()
    return {name: field.fixed_point(n_sites, ring_bits) for name, field in fields}


def _n_words(formats: dict[str, NumberFormat], shapes: Shapes) -> dict[str, int]:
    """Ring words of each masked field."""
    return {name: form.n_words(math.prod(shapes[name])) for name, form in formats.items()}


def unpack(
    phase: str, vector: np.ndarray, shapes: Shapes, n_sites: int, ring_bits: int = 64
) -> dict[str, np.ndarray]:
    """The summed fields of a phase: float64 arrays, ring fields uint64.

    Raises
    ------
    WireError
        The vector's length does not fit ``shapes``.
    """
    fields = phase_of(phase).masked()
    formats = _formats(phase, n_sites, ring_bits)
    sizes = _n_words(formats, shapes)
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
            out[name] = formats[name].decode(part, shapes[name])
    return out
