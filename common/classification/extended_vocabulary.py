"""The classes of a published classifier, and those that the sites of a run add to them.

A label that is left out and has a class all the same is one that the bundle has learned: its cells
do not count in this run, for too few sites hold them.
"""

from collections.abc import Mapping
from dataclasses import replace

from common.classification.vocabulary import OTHER, LabelVocabulary, agree_labels, refuse_reserved
from common.data.spelling import other_spellings, refuse_other_spellings


def extended(
    base: LabelVocabulary, n_holders: Mapping[str, int], *, min_holders: int, rare: str = "other"
) -> LabelVocabulary:
    """The vocabulary of a run that starts from a bundle.

    Its labels are the bundle's in their order, then new ones; ``other`` stays the last class.

    Parameters
    ----------
    base
        The bundle's.
    n_holders
        Sites of this run that hold each label.
    min_holders, rare
        See :func:`common.classification.vocabulary.agree_labels`: what new labels have to pass.

    Raises
    ------
    ConfigError
        ``rare`` is unknown.
    InputError
        A label is another spelling of one of the bundle's or of another, is a reserved word, or is
        new and held by too few sites where ``rare`` is "refuse".
    """
    refuse_reserved(n_holders)
    refuse_other_spellings(other_spellings(n_holders, base.known))
    known = {*base.labels, *base.merged, *((OTHER,) if base.merged else ())}
    beyond = {name: n for name, n in n_holders.items() if name not in known}
    # By the rules of a new study, in which the bundle's labels are held by enough.
    held = {**dict.fromkeys(base.labels, min_holders), **beyond}
    names = sorted(held)
    if rare == "other" and OTHER in base.labels:
        # It is a type of the bundle's, and none of rare labels.
        rare = "leave-out"
    agreed = agree_labels(names, [held[n] for n in names], min_holders=min_holders, rare=rare)
    fresh = tuple(name for name in agreed.labels if name not in base.labels)
    own_other = (OTHER,) if base.merged and OTHER in n_holders else ()
    merged = tuple(sorted({*base.merged, *agreed.merged, *own_other}))
    few = {name for name in base.labels if 0 < n_holders.get(name, 0) < min_holders}
    left_out = {*base.left_out, *agreed.left_out} - {*fresh, *merged}
    return LabelVocabulary(base.labels + fresh, merged, tuple(sorted(left_out | few)))


def without_other(vocabulary: LabelVocabulary, base: LabelVocabulary) -> LabelVocabulary:
    """The same where too few sites hold any of the merged labels: none of their cells counts.

    ``other`` stays a class only where the bundle has it.
    """
    left_out = tuple(sorted({*vocabulary.left_out, *vocabulary.merged}))
    return replace(vocabulary, merged=base.merged, left_out=left_out)


def untrained(vocabulary: LabelVocabulary) -> list[str]:
    """Labels with a class whose cells do not count in this run."""
    return [n for n in vocabulary.left_out if n in vocabulary.labels or n in vocabulary.merged]


def as_published(vocabulary: LabelVocabulary) -> LabelVocabulary:
    """What the trained classifier knows, which may be more than what was counted."""
    own = untrained(vocabulary)
    return replace(vocabulary, left_out=tuple(n for n in vocabulary.left_out if n not in own))
