"""A site's cell-type labels: where each is from, how sure it is, and which of them steer."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from common.data.obs import cell_types, column, labelled
from common.data.wording import quoted
from common.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CURATED, PREDICTED = "curated", "predicted"
ORIGINS = (CURATED, PREDICTED)


@dataclass(frozen=True)
class CellLabels:
    """The labels of a site's cells.

    Parameters
    ----------
    stated
        (n_cells,), object: the file's label, None where a cell has none.
    origin
        (n_cells,), object: "curated" or "predicted", None without a label.
    confidence
        (n_cells,), float, 0 to 1, of predicted labels alone; NaN elsewhere and where none is said.
    steers
        (n_cells,), bool: the label enters counts, means, covariances and references, and its cell
        is shifted by them. Not one that is predicted with too low a confidence.
    """

    stated: np.ndarray
    origin: np.ndarray
    confidence: np.ndarray
    steers: np.ndarray

    @cached_property
    def steering(self) -> np.ndarray:
        """The labels that steer, object (n_cells,), None elsewhere."""
        return np.where(self.steers, self.stated, None)

    @property
    def unlabelled(self) -> np.ndarray:
        """(n_cells,), bool: the file has no label."""
        return ~labelled(self.stated)

    @property
    def unsure(self) -> np.ndarray:
        """(n_cells,), bool: there is a label, predicted with too low a confidence to steer."""
        return ~self.unlabelled & ~self.steers


def read_labels(
    obs: "pd.DataFrame",
    cell_type_key: str,
    *,
    label_origin: str = CURATED,
    label_origin_key: str = "",
    confidence_key: str = "",
    min_confidence: float = 0.0,
) -> CellLabels:
    """The labels of obs and what it says of them.

    Parameters
    ----------
    label_origin
        Of all labels, where there is no ``label_origin_key``.
    label_origin_key
        Column with "curated" or "predicted" for every labelled cell.
    confidence_key
        Column with the confidence of predicted labels. With it a predicted label without a value
        does not steer, nor one below ``min_confidence``.

    Raises
    ------
    InputError
        A column is missing, an origin is another word, a confidence is no number from 0 to 1, or
        no label steers.
    """
    stated = cell_types(obs, cell_type_key)
    given = labelled(stated)
    origin = np.where(given, label_origin, None)
    if label_origin_key:
        origin = _origins(obs, label_origin_key, given)
    predicted = origin == PREDICTED
    if not confidence_key:
        return CellLabels(stated, origin, np.full(len(obs), np.nan), given)
    confidence = np.where(predicted, _confidences(obs, confidence_key), np.nan)
    # In the column's own precision: 0.7 in float32 is below 0.7.
    sure = confidence >= confidence.dtype.type(min_confidence)
    steers = given & (~predicted | sure)
    if given.any() and not steers.any():
        raise InputError(
            f"none of the {int(given.sum()):,} labels steers: all are predicted, without a value "
            f"in obs[{confidence_key!r}] or with one below min-confidence = {min_confidence:g} "
            f"(the highest is {np.nanmax(confidence, initial=0):g}): lower min-confidence, or have "
            "labels curated."
        )
    return CellLabels(stated, origin, confidence, steers)


def _origins(obs: "pd.DataFrame", key: str, given: np.ndarray) -> np.ndarray:
    values = column(obs, key, setting="label-origin-key")
    missing = values.isna().to_numpy()
    words = np.array([str(value).strip().casefold() for value in values], dtype=object)
    wrong = given & (missing | ~np.isin(words, ORIGINS))
    if wrong.any():
        first = int(wrong.argmax())
        found = "empty" if missing[first] else repr(str(values.iloc[first]))
        words = sorted({str(value) for value in values[wrong & ~missing]})
        raise InputError(
            f"obs[{key!r}] is {found} at cell {str(obs.index[first])!r}, and no origin for "
            f"{int(wrong.sum()):,} labelled cell(s){f' ({quoted(words)})' if words else ''}: write "
            "curated or predicted for every cell with a label."
        )
    return np.where(given, words, None)


def _confidences(obs: "pd.DataFrame", key: str) -> np.ndarray:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    values = column(obs, key, setting="confidence-key")
    if not is_numeric_dtype(values) or is_bool_dtype(values):
        words = list(dict.fromkeys(str(value) for value in values.dropna()))
        raise InputError(
            f"obs[{key!r}] holds no numbers{f' ({quoted(words)})' if words else ''}: store "
            "confidences as numbers from 0 to 1, or set confidence-key to another column."
        )
    kind = np.float32 if str(values.dtype).casefold() == "float32" else np.float64
    numbers = values.to_numpy(dtype=kind, na_value=np.nan)
    wrong = ~np.isnan(numbers) & ~((numbers >= 0) & (numbers <= 1))
    if wrong.any():
        first = int(wrong.argmax())
        raise InputError(
            f"obs[{key!r}] is {numbers[first]:g} at cell {str(obs.index[first])!r}, and outside "
            f"0 to 1 for {int(wrong.sum()):,} cell(s): a confidence is a share; divide percentages "
            "by 100, or set confidence-key to another column."
        )
    return numbers
