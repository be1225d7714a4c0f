"""A site's page on the labels that a published classifier gave its cells. It stays at the site.

``python -m report.label_page DIR`` makes it, in a process of its own.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from common.classification.own_labels import Compared
from common.classification.probabilities import UNANSWERED
from common.classification.vocabulary import UNKNOWN
from report import page
from report.answered_cells import AnsweredCells
from report.confusion_table import confusion_table
from report.label_pictures import label_pictures
from report.run_page import own_version

LABELLED = "labelled.h5ad"


def is_labelled(folder: Path) -> bool:
    """Whether it is the folder of a site that labelled its cells."""
    return (folder / LABELLED).is_file()


def write_label_page(folder: Path) -> Path:
    """Write ``report.html`` beside ``labelled.h5ad``.

    Raises
    ------
    InputError
        There is no such file, or `syncytium label` did not write it.
    """
    cells = AnsweredCells.read(folder / LABELLED)
    try:
        shown, no_pictures = label_pictures(cells), ""
    except Exception as error:
        shown, no_pictures = None, f"There are no pictures: {type(error).__name__}: {error}"
    compared = cells.compared()
    n_cells, n_unknown = len(cells.answer), int((cells.answer == UNANSWERED).sum())
    values = {
        "title": f"{n_cells:,} labelled cells of this site",
        "about": {key: str(cells.about[key]) for key in ("classifier", "run")},
        "facts": _facts(cells, n_unknown, compared),
        "threshold": float(cells.about["threshold"]),
        "n_unknown": n_unknown,
        "answers": _answers(cells),
        "absent": [n for code, n in enumerate(cells.classes) if not (cells.answer == code).any()],
        "left_out": [str(name) for name in cells.about["left_out_labels"]],
        "padded": [str(gene) for gene in cells.about["padded_genes"]],
        "shown": shown,
        "no_pictures": no_pictures,
        "classes": cells.classes,
        "compared": compared,
        "compared_summary": _summary(compared, cells) if compared else [],
        "confusion": confusion_table(compared.confusion, cells.classes) if compared else None,
        "version": own_version(),
        "folder": str(folder),
    }
    written = page.write(page.render("label", **values), folder)
    # It shows single cells: as private as their file.
    shutil.copymode(folder / LABELLED, written)
    return written


def _facts(
    cells: AnsweredCells, n_unknown: int, compared: Compared | None
) -> list[tuple[str, str]]:
    n_cells, about = len(cells.answer), cells.about
    figures = compared.figures if compared else None
    facts = [
        ("Cells", f"{n_cells:,}"),
        ("of these unknown", f"{n_unknown:,} ({page.percent(n_unknown / n_cells)})"),
        ("Unknown below", f"{about['threshold']:.3g}"),
        ("Genes", f"{len(about['genes']):,}"),
        ("of these not in the file", f"{len(about['padded_genes']):,}"),
    ]
    if figures and figures.accuracy is not None:
        facts += [
            ("Same as own label", f"{figures.accuracy:.3f}"),
            ("Macro-F1", f"{figures.macro_f1:.3f}"),
        ]
    return facts


def _answers(cells: AnsweredCells) -> list[dict[str, Any]]:
    terms = [str(term) for term in cells.about["terms"]] or [""] * len(cells.classes)
    rows = zip([*cells.classes, UNKNOWN], [*terms, ""], strict=True)
    found = []
    for code, (name, term) in enumerate(rows):
        chosen = cells.answer == (UNANSWERED if code == len(cells.classes) else code)
        if chosen.any():
            found.append(
                {
                    "name": name,
                    "term": term,
                    "n_cells": int(chosen.sum()),
                    "share": float(chosen.mean()),
                    "confidence": float(np.median(cells.confidence[chosen])),
                }
            )
    return found


def _summary(compared: Compared, cells: AnsweredCells) -> list[str]:
    figures = compared.figures
    told = []
    if figures.n_cells:
        told.append(
            f"{figures.n_cells:,} cells have a label in obs[{cells.about['cell_type_key']!r}] that "
            f"the classifier knows: accuracy {figures.accuracy:.3f}, macro-F1 "
            f"{figures.macro_f1:.3f}, calibration error {figures.expected_calibration_error:.3f}."
        )
        if figures.coverage < 1 and figures.accuracy_answered is not None:
            told.append(
                f"{page.percent(1 - figures.coverage)} of them are answered unknown; of the others "
                f"{figures.accuracy_answered:.1%} as their own label says."
            )
    if figures.n_outside:
        told.append(
            f"{figures.n_outside:,} cells have a label that is none of its classes; "
            f"{page.percent(figures.outside_unknown)} of these are answered unknown."
        )
    return told


if __name__ == "__main__":
    write_label_page(Path(sys.argv[1]))
