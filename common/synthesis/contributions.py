"""What each unit adds to a statistic, bounded whatever the unit's records are.

Nothing of a unit's part depends on another unit, so parts of two sets of units add up to those of
both, and a unit more or less changes a sum by its own part only.
"""

from dataclasses import dataclass

import numpy as np

from common.errors import ConfigError, InputError
from common.synthesis.records import Records
from common.synthesis.schema import Schema

# Grid steps of the radius of a ball: what truncation to whole steps loses is far below any noise.
STEPS = 2**24
# Of a unit that is counted: of many sites each one's share of the noise is far above a step, too.
COUNTED = 2**10
MOST_UNITS = 2**24  # of a site, for bounds
# A clipped vector's length, rounding errors included, stays below the radius.
BELOW_ONE = 1 - 2.0**-40
# Radii and lengths beyond these are no usual ones, and products with them would lose their digits.
LEAST_LENGTH, LARGEST_LENGTH = 1e-100, 1e100


@dataclass(frozen=True)
class Pairs:
    """The kept records, sorted by unit and class; a pair is a unit's records of one class.

    Parameters
    ----------
    values
        Within bounds, float64 (n_kept, n_genes).
    classes
        Of each kept record, int64 (n_kept,).
    starts
        First record of each pair, int64 (n_pairs,).
    sizes
        Kept records of each pair, int64 (n_pairs,): at most ``most_records``.
    pair_class, pair_unit
        Of each pair, int64 (n_pairs,); units are counted from 0 without gaps.
    """

    values: np.ndarray
    classes: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    pair_class: np.ndarray
    pair_unit: np.ndarray

    @property
    def n_units(self) -> int:
        """How many units have a record."""
        return int(self.pair_unit[-1]) + 1 if len(self.pair_unit) else 0

    @property
    def pairs_of_unit(self) -> np.ndarray:
        """Classes of each unit, int64 (n_units,)."""
        return np.bincount(self.pair_unit, minlength=self.n_units)

    def means(self, rows: np.ndarray) -> np.ndarray:
        """Mean over each pair's records: (n_kept, d) to (n_pairs, d)."""
        if len(self.starts) == len(rows):
            return rows
        return np.add.reduceat(rows, self.starts, axis=0) / self.sizes[:, None]

    def unit_means(self, rows: np.ndarray) -> np.ndarray:
        """Mean over each unit's classes of the means of pairs: (n_kept, d) to (n_units, d)."""
        means = self.means(rows)
        if len(means) == self.n_units:
            return means
        n_pairs = self.pairs_of_unit
        starts = np.cumsum(n_pairs) - n_pairs
        return np.add.reduceat(means, starts, axis=0) / n_pairs[:, None]

    def unit_norms(self, rows: np.ndarray) -> np.ndarray:
        """L2 norm of each unit's rows, one row a pair: (n_pairs, d) to (n_units,)."""
        squares = (rows * rows).sum(axis=1)
        return np.sqrt(np.bincount(self.pair_unit, weights=squares, minlength=self.n_units))

    def by_class(self, rows: np.ndarray, n_classes: int) -> np.ndarray:
        """Sums of whole-number rows, one a pair: int64 (n_pairs, d) to (n_classes, d)."""
        return np.stack([rows[self.pair_class == c].sum(axis=0) for c in range(n_classes)])


def pairs_of(records: Records, schema: Schema) -> Pairs:
    """The records that count: of a unit's k of one class, ``most_records`` evenly spaced ones.

    Evenly spaced in the unit's own order, so that cells sorted by quality are not all good ones.

    Raises
    ------
    InputError
        A value is not finite, or a record's class or number of genes is not the schema's; or a
        record is not its own unit where that is the schema's.
    """
    values = np.asarray(records.values, dtype=np.float64)
    n = len(values)
    if values.shape != (n, schema.n_genes):
        raise InputError(f"records of shape {values.shape} have not {schema.n_genes} genes each")
    if not np.isfinite(values).all():
        row, gene = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"gene {schema.genes[gene]} of record {row} is {values[row, gene]}; remove the record "
            "or fill in the value"
        )
    outside = (records.classes < 0) | (records.classes >= schema.n_classes)
    if outside.any():
        raise InputError(f"class {records.classes[outside][0]} is not of 0 ... {schema.n_classes}")
    if schema.unit == "record" and len(np.unique(records.units)) < n:
        raise InputError("two records are of one unit though each record is to be its own")
    order, kept, starts = evenly_spaced(records.units, records.classes, schema.most_records)
    units, classes = records.units[order], records.classes[order]
    first = np.zeros(n, dtype=bool)
    first[starts] = True
    sizes = np.minimum(np.diff(np.append(starts, n)), schema.most_records)
    _, pair_unit = np.unique(units[first], return_inverse=True)
    return Pairs(
        np.clip(values[order[kept]], schema.low, schema.high),
        classes[kept],
        np.cumsum(sizes) - sizes,
        sizes,
        classes[first],
        pair_unit,
    )


def evenly_spaced(
    units: np.ndarray, classes: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which records count, by their units and classes alone, (n,) each.

    Returns
    -------
    order
        Records sorted by unit and class, int64 (n,).
    kept
        Which of ``order`` count, bool (n,).
    starts
        Where each pair begins in ``order``, int64 (n_pairs,).
    """
    n, order = len(units), np.lexsort((classes, units))
    units, classes = units[order], classes[order]
    first = np.ones(n, dtype=bool)
    first[1:] = (units[1:] != units[:-1]) | (classes[1:] != classes[:-1])
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, n))
    place, size = np.arange(n) - np.repeat(starts, sizes), np.repeat(sizes, sizes)
    # The only i whose floor(i k / most) may be this place.
    i = -(-place * most // size)
    return order, (size <= most) | ((i < most) & (i * size // most == place)), starts


def whole_in_ball(
    rows: np.ndarray, norms: np.ndarray, radius: float, steps: int = STEPS
) -> np.ndarray:
    """Rows clipped to a ball, in steps of ``radius / steps``: int64, L2 at most ``steps``.

    Parameters
    ----------
    rows
        float64 (n, d). Those whose norm is not finite become zeros.
    norms
        (n,): of the row; or of the whole unit that it is a part of, then the L2 of all its parts
        together is at most ``steps``.

    Raises
    ------
    ConfigError
        The radius, of public options or of the state that a message brought, is none.
    """
    if not LEAST_LENGTH <= radius <= LARGEST_LENGTH:
        message = f"a clipping radius of {radius:g} is none: the state or an option is wrong"
        raise ConfigError(message, public=message)
    # As a whole number NaN would be -2^63.
    rows, norms = without(~np.isfinite(norms), rows, norms)
    scale = radius / np.maximum(norms, radius)
    # Toward zero: a whole number is never farther from it than what it stands for.
    return np.trunc(rows * (scale * (BELOW_ONE * steps / radius))[:, None]).astype(np.int64)


def without(left_out: np.ndarray, rows: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows and their norms, with zeros and 1 for those ``left_out``."""
    if not left_out.any():
        return rows, norms
    return np.where(left_out[:, None], 0.0, rows), np.where(left_out, 1.0, norms)
