"""The labelled .h5ad: the site's own file, untouched, with a classifier's answers added.

Columns of obs are those of ``common/classification/answered.py``. ``obsm`` has the probabilities of
``uns["syncytium_classifier"]["classes"]``. None of these names is one that a correction writes:
a labelled file may be corrected, and a corrected one labelled.
"""

from pathlib import Path
from typing import Any

import numpy as np

from client.own_copy import COLUMN_BYTES, add_about, add_columns, drop_column, mapping, own_copy
from common.classification.answered import ABOUT, COLUMNS, PROBABILITIES, Answered
from common.panel import Panel


def write_labelled(
    source: Path, target: Path, answered: Answered, panel: Panel, about: dict[str, Any]
) -> None:
    """Write ``target``, whole or not at all.

    Parameters
    ----------
    source
        The site's input file; X, obs, var and everything else is kept as it is.
    panel
        Genes and scaling of the classifier.
    about
        Entries of ``uns["syncytium_classifier"]`` beside classes, threshold, genes and scaling.

    Raises
    ------
    DiskError
        The folder cannot be written or the disk is full; nothing is left behind.
    InputError
        The source is gone.
    """
    from anndata.io import write_elem

    n_cells, n_classes = answered.probabilities.shape
    columns = answered.columns()
    names = 256 * (len(panel.genes) + len(panel.vocabulary) + n_classes)
    n_bytes = n_cells * (4 * n_classes + COLUMN_BYTES * len(columns)) + names
    with own_copy(source, target, n_bytes) as file:
        # Of an earlier classifier, which may have had terms where this one has none.
        for stale in set(COLUMNS) - set(columns):
            drop_column(file["obs"], stale)
        add_columns(file["obs"], columns)
        values = answered.probabilities.astype(np.float32)
        write_elem(mapping(file, "obsm"), PROBABILITIES, values)
        terms = [answered.terms[n].id if n in answered.terms else "" for n in answered.classes]
        said = {
            **about,
            "classes": list(answered.classes),
            "terms": terms if answered.terms else [],
            "threshold": answered.threshold,
            # With these the file tells its own input, as a corrected one does.
            "genes": list(panel.genes),
            "vocabulary": list(panel.vocabulary),
            "scale_mean": panel.mean,
            "scale_sd": panel.sd,
        }
        add_about(file, ABOUT, said)
