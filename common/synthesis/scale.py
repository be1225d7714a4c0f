"""The scale on which genes are clipped and averaged: the value itself, or log(1 + count)."""

import numpy as np

from common.errors import ConfigError
from common.synthesis.schema import Schema


def to_scale(values: np.ndarray, schema: Schema) -> np.ndarray:
    """Values of a schema on its scale, of the same shape."""
    return np.log1p(values) if schema.counts else np.asarray(values, dtype=np.float64)


def from_scale(values: np.ndarray, schema: Schema) -> np.ndarray:
    """What :func:`to_scale` gave ``values`` for, within the public bounds; not rounded."""
    return np.clip(np.expm1(values) if schema.counts else values, schema.low, schema.high)


def bounds(schema: Schema) -> tuple[float, float]:
    """Public bounds on the scale.

    Raises
    ------
    ConfigError
        They are none; or counts may be negative.
    """
    if not np.isfinite([schema.low, schema.high]).all() or not schema.low < schema.high:
        raise ConfigError(f"bounds {schema.low} ... {schema.high} of the values must rise")
    if schema.counts and schema.low < 0:
        raise ConfigError(f"counts are bounded by {schema.low} below; give 0")
    low, high = to_scale(np.array([schema.low, schema.high]), schema)
    return float(low), float(high)
