"""The labels that sites agree on, by how many hold each, and a site's labels by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.classification.codes import OUTSIDE, UNLABELLED, class_codes, class_counts
from common.classification.vocabulary import LabelVocabulary, agree_labels, presence
from common.errors import ConfigError, InputError

CANDIDATES = ["B", "DC", "NK", "T"]
HOLDERS = np.array([3, 1, 3, 2])


def cells(*labels):
    return np.array(labels, dtype=object)


def agreed(**settings):
    return agree_labels(CANDIDATES, HOLDERS, **{"min_holders": 2, **settings})


def test_rare_labels_become_other():
    vocabulary = agreed()
    assert vocabulary.classes == ("B", "NK", "T", "other")
    assert vocabulary.merged == ("DC",)
    np.testing.assert_array_equal(class_codes(vocabulary, cells("DC", "T", None)), [3, 2, -1])


def test_rare_labels_are_left_out():
    vocabulary = agreed(rare="leave-out", min_holders=3)
    assert vocabulary == LabelVocabulary(("B", "NK"), left_out=("DC", "T"))
    codes = class_codes(vocabulary, cells("NK", "T", "DC", None))
    np.testing.assert_array_equal(codes, [1, OUTSIDE, OUTSIDE, UNLABELLED])
    np.testing.assert_array_equal(class_counts(codes, 2), [0, 1])


def test_rare_labels_are_refused():
    with pytest.raises(InputError, match="fewer than 3 sites \\('DC' by 1, 'T' by 2\\)"):
        agreed(rare="refuse", min_holders=3)
    assert agree_labels(CANDIDATES[::2], HOLDERS[::2], min_holders=3, rare="refuse").merged == ()


def test_other_needs_holders_too():
    vocabulary = agreed(min_holders=3)
    assert vocabulary.merged == ("DC", "T")
    assert vocabulary.with_other_held_by(3, 3) is vocabulary
    assert vocabulary.with_other_held_by(2, 3) == LabelVocabulary(("B", "NK"), left_out=("DC", "T"))


def test_a_label_called_other_is_of_that_class():
    vocabulary = agree_labels(["B", "DC", "other"], np.array([3, 1, 3]), min_holders=2)
    assert (vocabulary.classes, vocabulary.merged) == (("B", "other"), ("DC", "other"))
    np.testing.assert_array_equal(class_codes(vocabulary, cells("other", "DC", "B")), [1, 1, 0])


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (["B", "b"], "'b' and 'B'"),
        (["B", "NK", "Unknown"], "'Unknown' is a label of cells, and the answer"),
        (["B", "NK", "Other"], "rename it to 'other'"),
        (["B", "NK", "B"], "listed twice"),
        (["B"], "agree on 1 class"),
    ],
)
def test_bad_candidates(candidates, message):
    with pytest.raises(InputError, match=message):
        agree_labels(candidates, np.full(len(candidates), 3), min_holders=2)


def test_an_unknown_setting_is_answered_with_the_known():
    with pytest.raises(ConfigError, match="did you mean 'leave-out'"):
        agreed(rare="leave_out")


def test_one_class_is_no_vocabulary():
    with pytest.raises(InputError, match=r"agree on 0 class.*left out \('B', 'DC', 'NK', ...\)"):
        agreed(min_holders=4, rare="leave-out")


def test_a_new_label_is_refused_with_its_nearest():
    vocabulary = LabelVocabulary(("CD14 Monocyte", "NK"))
    labels = cells("NK", "CD16 Monocyte", "Mast")
    with pytest.raises(InputError) as caught:
        class_codes(vocabulary, labels)
    for part in ("2 label(s)", "'CD16 Monocyte', 'Mast'", "did you mean 'CD14 Monocyte'"):
        assert part in str(caught.value)
    codes = class_codes(vocabulary, labels, new="outside")
    np.testing.assert_array_equal(codes, [1, OUTSIDE, OUTSIDE])


@pytest.mark.parametrize("new", ["refuse", "outside"])
@pytest.mark.parametrize("known", ["labels", "merged", "left_out"])
def test_another_spelling_is_never_a_new_label(new, known):
    parts = {"labels": ("B", "NK"), known: ("B", "NK", "T cell")}
    with pytest.raises(InputError, match=r"'T-cell' and 'T cell'.*rename 'T-cell' to 'T cell'"):
        class_codes(LabelVocabulary(**parts), cells("NK", "T-cell"), new=new)


sites = st.lists(
    st.lists(st.sampled_from([*CANDIDATES, None]), max_size=12).map(lambda s: cells(*s)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(sites, st.integers(1, 3), st.integers(1, 3))
def test_presence_sums_give_the_labels_of_sites_enough(sites, min_holders, least_cells):
    """No site's labels are seen, and the classes are those that sets of labels would give."""
    summed = sum(presence(labels, CANDIDATES, least_cells) for labels in sites)
    held = [{name for name in CANDIDATES if (s == name).sum() >= least_cells} for s in sites]
    enough = [name for name in CANDIDATES if sum(name in own for own in held) >= min_holders]
    try:
        vocabulary = agree_labels(CANDIDATES, summed, min_holders=min_holders, rare="leave-out")
    except InputError:
        assert len(enough) < 2
        return
    assert list(vocabulary.classes) == enough
    assert sorted(vocabulary.known) == CANDIDATES
    for labels in sites:
        codes = class_codes(vocabulary, labels)
        for label, code in zip(labels, codes, strict=True):
            if code >= 0:
                assert vocabulary.classes[code] == label
            else:
                assert (label is None) == (code == UNLABELLED)
                assert label not in enough
