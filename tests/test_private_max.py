"""The private maximum: exact, and silent about who holds it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from common.private_max import BASE, LARGEST, largest_digit, thermometer
from common.secure.ring import add


def maximum(counts_by_site: list[list[int]]) -> list[int]:
    """The two sums, as the workflow runs them; -1 where no site has a cell."""
    high = largest_digit(add([thermometer(counts, None) for counts in counts_by_site]))
    low = largest_digit(add([thermometer(counts, high) for counts in counts_by_site]))
    return [h * BASE + n if h >= 0 else -1 for h, n in zip(high, low, strict=True)]


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(0, 5000) | st.integers(0, LARGEST), min_size=n, max_size=n),
            min_size=1,
            max_size=5,
        )
    )
)
def test_equals_the_maximum(counts):
    expected = np.max(counts, axis=0)
    assert maximum(counts) == [int(m) if m else -1 for m in expected]


def test_ties_and_absent_types():
    assert maximum([[30, 0, 1024], [30, 0, 1023]]) == [30, -1, 1024]


def test_slots_show_neither_holder_nor_count():
    one, two = thermometer([700], None), thermometer([700], None)
    assert (one != two).sum() == one.astype(bool).sum() == 1
    reached = add([thermometer([5], [0]), thermometer([3], [0])])[0, :6]
    assert len(set(reached.tolist())) == 6
    assert (reached > 2**40).all()


def test_a_count_of_three_digits_is_refused():
    with pytest.raises(InputError, match="at most 1,048,575"):
        thermometer([LARGEST + 1], None)
