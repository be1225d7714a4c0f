"""A site's cells with their classes, and which of them train, validate and test."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from client.site import Site
from common.classification.codes import UNLABELLED, class_codes
from common.classification.vocabulary import LabelVocabulary
from common.data.stratified import stratified_parts
from common.errors import InputError


@dataclass(frozen=True)
class LabelledCells:
    """Classes and parts of a site's cells.

    Parameters
    ----------
    codes
        (n_cells,) class of each, ``UNLABELLED`` or ``OUTSIDE``.
    n_classes
        Of the vocabulary.
    train
        Rows, each of a class.
    validation, test
        Rows, each with a label, be it of a class or outside.
    """

    codes: np.ndarray
    n_classes: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def classed(self, rows: np.ndarray) -> np.ndarray:
        """Those of some rows that have a class."""
        return rows[self.codes[rows] >= 0]


def labelled_cells(site: Site, vocabulary: dict[str, Any]) -> LabelledCells:
    """The cells of a site under an agreed vocabulary, as JSON values.

    Raises
    ------
    InputError
        A label is not of the vocabulary, or no cell of a class is left to train.
    """
    agreed = LabelVocabulary(**{key: tuple(names) for key, names in vocabulary.items()})
    labels = site.file.cell_types
    codes = class_codes(agreed, labels)
    config = site.config
    parts = stratified_parts(
        labels, validation=config.validation_share, test=config.test_share, seed=config.seed
    )
    labelled = codes != UNLABELLED
    train = parts.train[codes[parts.train] >= 0]
    if not len(train):
        raise InputError(
            f"{site.file.path}: none of its labels is held by sites enough to be a class, so that "
            "no cell of it trains; leave the site out, rename its labels to those of the others, "
            "or set rare-labels = other",
            public="none of the site's labels is held by sites enough to be a class; leave it "
            "out, or set rare-labels = other",
        )
    return LabelledCells(
        codes,
        len(agreed.classes),
        train,
        parts.validation[labelled[parts.validation]],
        parts.test[labelled[parts.test]],
    )
