"""What a site's obs table says of its cells: their names, batches and cell types."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from common.data.wording import quoted
from common.errors import InputError
from common.registry import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

# What str() makes of a missing value: a file that went through CSV or R often holds these.
MISSING = frozenset({"", "nan", "none", "<na>"})


def column(
    table: "pd.DataFrame", key: str, *, setting: str, of: str = "obs", also: str = ""
) -> "pd.Series":
    """The column ``key`` of obs or var.

    Raises
    ------
    InputError
        There is none; the message lists those there are.
    """
    if key in table.columns:
        return table[key]
    names = [str(name) for name in table.columns]
    known = did_you_mean(key, names).removesuffix(".") if names else "it has none at all"
    raise InputError(
        f"{of} has no column {key!r} ({known}): set {setting} to one that it has{also}."
    )


def cell_names(obs: "pd.DataFrame") -> list[str]:
    """The names of the cells, ``(n_cells,)``.

    Raises
    ------
    InputError
        There are fewer than two cells, or two of one name.
    """
    names = [str(name) for name in obs.index]
    if len(names) < 2:
        raise InputError(f"the file holds {len(names)} cell(s): give one with at least 2.")
    twice = repeated(names)
    if twice:
        raise InputError(
            f"{len(twice):,} cell name(s) occur more than once ({quoted(twice)}): make them unique "
            "with adata.obs_names_make_unique(), or drop cells that were entered twice."
        )
    return names


def batches(obs: "pd.DataFrame", key: str, *, whole: str) -> np.ndarray:
    """The batch of every cell, str ``(n_cells,)``; ``key`` "" makes all one batch, ``whole``.

    Raises
    ------
    InputError
        The column is missing, or a cell has no batch.
    """
    if not key:
        return np.full(len(obs), whole)
    whole_file = ", or to '' where the site is one batch"
    values = column(obs, key, setting="batch-key", also=whole_file)
    missing = values.isna().to_numpy()
    if missing.any():
        first = obs.index[int(missing.argmax())]
        raise InputError(
            f"{missing.sum():,} cell(s) have no value in obs[{key!r}] (first: {str(first)!r}): "
            "fill it in or drop them, or set batch-key to another column."
        )
    return np.array([str(value) for value in values], dtype=str)


def cell_types(obs: "pd.DataFrame", key: str) -> np.ndarray:
    """The type of every cell, object ``(n_cells,)``, None where a cell has no label.

    Raises
    ------
    InputError
        The column is missing.
    """
    types = np.full(len(obs), None, dtype=object)
    if not key:
        return types
    values = column(obs, key, setting="cell-type-key")
    missing = values.isna().to_numpy()
    for row, value in enumerate(values):
        if not missing[row] and str(value).strip().casefold() not in MISSING:
            types[row] = str(value)
    return types


def labelled(types: np.ndarray) -> np.ndarray:
    """Which cells have a label, bool ``(n_cells,)``."""
    return np.array([cell_type is not None for cell_type in types], dtype=bool)


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, each once, in the order of their second occurrence."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for name in names:
        if name in seen:
            twice[name] = None
        seen.add(name)
    return list(twice)
