"""The cell-type labels that sites agree on, from how many sites hold each.

Nothing may be summed of a label that fewer sites hold than a sum needs. Such labels become one
class, ``other``, or are left out, or the study is refused. The class ``other`` needs holders
enough of its own: one more sum of :func:`presence` tells, before the vocabulary is used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from common.data.obs import repeated
from common.data.spelling import folded, require_one_spelling
from common.data.wording import quoted
from common.errors import ConfigError, InputError
from common.registry import did_you_mean

OTHER, UNKNOWN = "other", "unknown"
RARE = ("other", "leave-out", "refuse")


@dataclass(frozen=True)
class LabelVocabulary:
    """The classes of a classifier, by name.

    Parameters
    ----------
    labels
        Held by sites enough, sorted: the first classes.
    merged
        Labels that are the last class, ``other``.
    left_out
        Labels of no class: their cells do not train, and no class is right for them.
    """

    labels: tuple[str, ...]
    merged: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise InputError(
                f"the sites agree on {len(self.classes)} class(es) ({quoted(self.classes)}), and "
                f"{len(self.left_out)} label(s) are left out ({quoted(self.left_out)}): a "
                "classifier needs two, so lower min-sites or take sites that share labels."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """(n_classes,) names, in the order of a model's outputs."""
        return self.labels + ((OTHER,) if self.merged else ())

    @property
    def known(self) -> tuple[str, ...]:
        """Every label that the study knows, with a class or left out."""
        return self.labels + self.merged + self.left_out

    def with_other_held_by(self, n_holders: int, min_holders: int) -> Self:
        """The vocabulary once it is known how many sites hold any of the merged labels.

        Too few, and the merged labels are left out instead.
        """
        if not self.merged or n_holders >= min_holders:
            return self
        left_out = tuple(sorted(self.left_out + self.merged))
        return replace(self, merged=(), left_out=left_out)


def presence(labels: np.ndarray, candidates: Sequence[str], least_cells: int = 1) -> np.ndarray:
    """What a site adds to the sum: 1 for each candidate that it holds; (n_candidates,), int64.

    Parameters
    ----------
    labels
        (n_cells,), object, None where a cell has no label.
    least_cells
        Of a label that counts as held.
    """
    names = np.array([label for label in labels if label is not None], dtype=str)
    found, counts = np.unique(names, return_counts=True)
    held = set(found[counts >= least_cells].tolist())
    return np.array([label in held for label in candidates], dtype=np.int64)


def agree_labels(
    candidates: Sequence[str],
    n_holders: np.ndarray,
    *,
    min_holders: int,
    rare: str = "other",
) -> LabelVocabulary:
    """The vocabulary of a study.

    Parameters
    ----------
    candidates
        Every label that may occur, each once: what sites named, or a study's own list.
    n_holders
        (n_candidates,) sites that hold each: the sum of :func:`presence` over sites.
    min_holders
        Fewest sites of a class.
    rare
        What becomes of labels of fewer sites: one of ``RARE``.

    Raises
    ------
    ConfigError
        ``rare`` is unknown.
    InputError
        A label has two spellings, is a reserved word, is held by too few sites where ``rare`` is
        "refuse", or fewer than two classes are left.
    """
    if rare not in RARE:
        raise ConfigError(f"unknown rare-labels {rare!r}: {did_you_mean(rare, RARE)}")
    held = {name: int(n) for name, n in zip(candidates, n_holders, strict=True)}
    if twice := repeated(candidates):
        raise InputError(f"label(s) are listed twice ({quoted(twice)}): list each once.")
    refuse_reserved(candidates)
    require_one_spelling(candidates, held)
    few = sorted(name for name, n in held.items() if n < min_holders)
    if few and rare == "refuse":
        shown = ", ".join(f"{name!r} by {held[name]}" for name in few[:3])
        more = ", ..." if len(few) > 3 else ""
        raise InputError(
            f"{len(few)} label(s) are held by fewer than {min_holders} sites ({shown}{more}) and "
            "rare-labels = refuse: rename them to a type that other sites hold, or set rare-labels "
            "to other or leave-out."
        )
    enough = sorted(set(held) - set(few))
    if rare == "leave-out" or not few:
        return LabelVocabulary(tuple(enough), left_out=tuple(few))
    # A label of this very name is of the same class.
    merged = sorted({*few, OTHER} & set(held))
    return LabelVocabulary(tuple(name for name in enough if name != OTHER), merged=tuple(merged))


def refuse_reserved(candidates: Iterable[str]) -> None:
    """Refuse labels that are the answer of an unsure classifier, or spell ``other`` otherwise.

    Raises
    ------
    InputError
        One is.
    """
    for name in candidates:
        if folded(name) == UNKNOWN:
            raise InputError(
                f"{name!r} is a label of cells, and the answer of a classifier that is not sure: "
                "remove it from cells that nobody labelled, or rename the type."
            )
        if folded(name) == OTHER and name != OTHER:
            raise InputError(
                f"label {name!r} is another spelling of the class {OTHER!r} of rare labels: rename "
                f"it to {OTHER!r}, or to what these cells are."
            )
