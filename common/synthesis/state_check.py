"""Whether a state that a message brought is one, found out without any record of the site.

Else an error would tell of the site: a mean for each of 40 records fits a site with 40 alone, and
one of two classes' means fits a site that has none of the third.
"""

from itertools import count

import numpy as np

from common.errors import ConfigError
from common.synthesis.generator import Generator, Stage, State
from common.synthesis.records import Records
from common.synthesis.schema import Schema


def require_state(generator: Generator, stage: Stage, state: State) -> None:
    """Refuse a state that is not finite, or whose shapes a stage cannot use whatever records are.

    Raises
    ------
    ConfigError
        It says the same to everybody.
    """
    for name, array in state.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise _refused(f"{name!r} of the state for release {stage.name} is not finite")
    schema = generator.schema
    taken = {1, schema.n_genes, *(size for array in state.values() for size in array.shape)}
    # So many records, and of each class, that no array fits them by their number: what then fits,
    # fits any number.
    k = schema.n_classes
    n = next(n for n in count(k + 1) if taken.isdisjoint({n, n // k, -(-n // k)}))
    try:
        found = generator.statistics(stage, _records(schema, n), state)
    except Exception as error:
        raise _refused(
            f"the state for release {stage.name} does not fit it ({type(error).__name__})"
        ) from error
    if found.shape != (stage.n_values,):
        raise _refused(f"the state for release {stage.name} gives {found.shape} numbers")


def _records(schema: Schema, n: int) -> Records:
    """Of all classes, at either bound, each its own unit."""
    rows = np.arange(n)
    values = np.where((rows[:, None] + np.arange(schema.n_genes)) % 2, schema.low, schema.high)
    return Records(values.astype(np.float64), rows % schema.n_classes, rows)


def _refused(message: str) -> ConfigError:
    return ConfigError(message, public=message)
