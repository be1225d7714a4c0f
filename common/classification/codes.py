"""A site's labels as class numbers of the agreed vocabulary, by name."""

from typing import Literal

import numpy as np

from common.classification.vocabulary import LabelVocabulary
from common.data.spelling import other_spellings, refuse_other_spellings
from common.data.wording import quoted
from common.errors import InputError
from common.registry import did_you_mean

# Instead of a class: a cell that nobody labelled, and one whose label is of no class.
UNLABELLED, OUTSIDE = -1, -2


def class_codes(
    vocabulary: LabelVocabulary,
    labels: np.ndarray,
    *,
    new: Literal["refuse", "outside"] = "refuse",
) -> np.ndarray:
    """The class of each cell, int64 (n_cells,): a number from 0, ``UNLABELLED`` or ``OUTSIDE``.

    Parameters
    ----------
    labels
        (n_cells,), object, None where a cell has no label.
    new
        What becomes of a label that the study does not know: refuse it, as where the site trains,
        or count it as outside, as where a later site is scored.

    Raises
    ------
    InputError
        A label is another spelling of a known one, or is new and refused.
    """
    classes = {name: code for code, name in enumerate(vocabulary.classes)}
    classes |= dict.fromkeys(vocabulary.merged, len(vocabulary.classes) - 1)
    classes |= dict.fromkeys(vocabulary.left_out, OUTSIDE)
    own = {label for label in labels if label is not None}
    unlike = sorted(own - set(classes))
    refuse_other_spellings(other_spellings(unlike, vocabulary.known))
    if unlike and new == "refuse":
        known = did_you_mean(unlike[0], vocabulary.known).removesuffix(".")
        raise InputError(
            f"{len(unlike)} label(s) are not in the study's vocabulary ({quoted(unlike)}); of "
            f"{unlike[0]!r}, {known}: rename them, or leave their cells without a label."
        )
    codes = [UNLABELLED if label is None else classes.get(label, OUTSIDE) for label in labels]
    return np.array(codes, dtype=np.int64)


def class_counts(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Cells of each class, int64 (n_classes,); those without a class are not counted."""
    return np.bincount(codes[codes >= 0], minlength=n_classes)
