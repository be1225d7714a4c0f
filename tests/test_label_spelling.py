"""Labels that differ in spelling only are told, and those that mean different cells are not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.data.spelling import folded, other_spellings, require_one_spelling
from common.errors import InputError


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("B cell", "b-cell"),
        ("CD4 T", "CD4_T"),
        ("CD4+ T", "CD4+T"),
        ("B – naive", "B naive"),
        ("CD14+ Monocyte ", "CD14+\u00a0monocyte"),
        ("CD4-positive", "CD4 Positive"),
        ("γδ T", "ΓΔ-t"),
    ],
)
def test_two_spellings(one, other):
    assert folded(one) == folded(other)
    with pytest.raises(InputError) as caught:
        require_one_spelling([one, "Monocyte", other])
    assert repr(one) in str(caught.value)
    assert repr(other) in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CD4- T", "CD4 T"),
        ("CD4-", "CD4"),
        ("CD4-CD8-", "CD4-CD8"),
        ("CD4−", "CD4+"),
        ("1_2", "12"),
        ("B cell", "B cells"),
    ],
)
def test_two_labels(one, other):
    require_one_spelling([one, other])


def test_the_error_advises_the_spelling_of_most_sites():
    labels = {"B cell": 1, "b_cell": 4, "NK": 2}
    with pytest.raises(InputError, match="rename 'B cell' to 'b_cell'"):
        require_one_spelling(labels, labels)
    with pytest.raises(InputError, match="rename 'b_cell' to 'B cell'"):
        require_one_spelling(labels)


def test_the_known_spelling_is_found():
    assert other_spellings(["nk", "DC", "Mast"], ["NK", "DC", "B"]) == {"nk": "NK"}


def test_many_are_counted():
    labels = [f"{letter} cell" for letter in "ABCDE"] + [f"{letter}-cell" for letter in "ABCDE"]
    with pytest.raises(InputError, match=r"'C cell' \(and 2 more\)"):
        require_one_spelling(labels)


@settings(deadline=None)
@given(st.text("abAB19+-_/ ", max_size=12))
def test_case_and_spaces_around_never_matter(label):
    assert folded(f" {label.swapcase()}  ") == folded(label)
