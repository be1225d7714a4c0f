"""What ``labelled.h5ad`` says of a site's cells."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.classification.answered import ABOUT, ANSWER, CONFIDENCE, MOST_PROBABLE
from common.classification.own_labels import Compared, compare, own_codes
from common.classification.probabilities import UNANSWERED
from common.classification.vocabulary import OTHER, LabelVocabulary
from common.data.reader import SiteFile
from common.errors import InputError
from common.panel import Panel


@dataclass(frozen=True)
class AnsweredCells:
    """What ``labelled.h5ad`` says of its cells, (n_cells,) each.

    Parameters
    ----------
    about
        The file's ``uns["syncytium_classifier"]``.
    answer
        Classes or ``UNANSWERED``.
    most_probable, confidence
        Class of the highest probability, and that probability.
    file
        Counts and own labels.
    """

    about: dict[str, Any]
    answer: np.ndarray
    most_probable: np.ndarray
    confidence: np.ndarray
    file: SiteFile

    @classmethod
    def read(cls, path: Path) -> "AnsweredCells":
        """Read the file.

        Raises
        ------
        InputError
            It is missing, or `syncytium label` did not write it.
        """
        import h5py
        from anndata.io import read_elem

        try:
            with h5py.File(path, "r") as stored:
                about = read_elem(stored[f"uns/{ABOUT}"])
                obs = read_elem(stored["obs"])
            classes = list(about["classes"])
            answer, best = (
                obs[name].astype(str).map({name: code for code, name in enumerate(classes)})
                for name in (ANSWER, MOST_PROBABLE)
            )
            confidence = obs[CONFIDENCE].to_numpy(dtype=np.float64)
            keys = {
                k: str(about[k]) for k in ("batch_key", "cell_type_key", "layer", "gene_column")
            }
        except (OSError, KeyError) as error:
            raise InputError(
                f"{path} is missing or `syncytium label` did not write it ({error}): give the "
                "folder that was its --out"
            ) from error
        return cls(
            about,
            answer.fillna(UNANSWERED).to_numpy(dtype=np.int64),
            best.to_numpy(dtype=np.int64),
            confidence,
            SiteFile.open(path, **keys),
        )

    @property
    def classes(self) -> list[str]:
        """Of the classifier."""
        return [str(name) for name in self.about["classes"]]

    @property
    def panel(self) -> Panel:
        """Genes and scaling of the classifier."""
        names = (tuple(map(str, self.about[key])) for key in ("vocabulary", "genes"))
        return Panel(
            *names, np.asarray(self.about["scale_mean"]), np.asarray(self.about["scale_sd"])
        )

    def compared(self) -> Compared | None:
        """Answers beside own labels; None where no cell has one."""
        merged, left_out = (
            tuple(map(str, self.about[key])) for key in ("merged_labels", "left_out_labels")
        )
        labels = tuple(name for name in self.classes if not (merged and name == OTHER))
        truth = own_codes(LabelVocabulary(labels, merged, left_out), self.file.labels.stated)
        return compare(truth, self.answer, self.most_probable, self.confidence, len(self.classes))
