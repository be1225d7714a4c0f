"""Whose a record is, and of which class by its label and covariates, as obs has it."""

from typing import TYPE_CHECKING

import numpy as np

from common.data.obs import MISSING, column
from common.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

BETWEEN = "|"
# R's word, too: many donors would be one.
NO_DONOR = {*MISSING, "na", "n/a"}


def donors_of(obs: "pd.DataFrame", key: str) -> np.ndarray:
    """Each record's donor, str ``(n_cells,)``.

    Raises
    ------
    InputError
        The column is missing, or a record has no donor.
    """
    values = column(obs, key, setting="donor-key")
    words = values.astype(str).str.strip().str.casefold()
    missing = values.isna().to_numpy() | words.isin(NO_DONOR).to_numpy()
    if missing.any():
        first = str(obs.index[int(missing.argmax())])
        raise InputError(
            f"{int(missing.sum()):,} record(s) have no donor in obs[{key!r}] (first: {first!r}): "
            "fill it in or drop them, for nobody could be protected without.",
            public="a record of the site has no donor under its donor-key",
        )
    # "d1" and "d1 " are one person, who would count twice.
    return np.array([str(value).strip() for value in values], dtype=str)


def with_covariates(labels: np.ndarray, obs: "pd.DataFrame", keys: str) -> np.ndarray:
    """Labels with the values of ``keys``, columns named by commas, as ``"LumA|female|II"``.

    Returns
    -------
    object ``(n_cells,)``, None where the label or one of the values is missing.

    Raises
    ------
    InputError
        A column is missing, or a label or value holds the sign between them.
    """
    names = [key.strip() for key in keys.split(",") if key.strip()]
    if not names:
        return labels
    parts = [labels]
    for key in names:
        values = column(obs, key, setting="covariate-keys")
        words = values.astype(str).str.strip().str.casefold()
        kept = ~(values.isna() | words.isin(MISSING)).to_numpy()
        texts = [str(value) if there else None for value, there in zip(values, kept, strict=True)]
        parts.append(np.array(texts, dtype=object))
    taken = sorted({text for part in parts for text in part if text and BETWEEN in text})
    if taken:
        raise InputError(
            f"{taken[0]!r} holds {BETWEEN!r}, which is put between a label and its covariates: "
            "rename it."
        )
    rows = zip(*parts, strict=True)
    joined = [None if None in row else BETWEEN.join(row) for row in rows]
    return np.array(joined, dtype=object)
