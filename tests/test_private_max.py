"""The private maximum: exact, and silent about who holds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.secure.ring import add
from strategies.private_max import BASE, LARGEST, private_max, thermometer
from strategies.secure_sum import Summed


def maximum(counts_by_site: list[list[int]]) -> list[int | None]:
    """The maximum of each type over sites of one batch each, by exactly two sums."""
    types, asked = [f"T{i}" for i in range(len(counts_by_site[0]))], []

    def summed(phase, attempt=0, values=None):
        asked.append((phase, attempt))
        sums = [thermometer(counts, values["higher"]) for counts in counts_by_site]
        held = np.sum(np.array(counts_by_site) > 0, axis=0, dtype=float)
        return Summed({"thermometer": add(sums), "n_batches": held}, len(counts_by_site))

    found = private_max(types, summed)
    assert asked == [("peaks", 0), ("peaks", 1)]
    assert [m.n_batches for m in found.values()] == [
        sum(c > 0 for c in column) for column in zip(*counts_by_site, strict=True)
    ]
    return [m.largest for m in found.values()]


COUNTS = st.integers(0, 5000) | st.integers(0, LARGEST) | st.sampled_from([0, BASE - 1, BASE, 30])


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(
            st.lists(COUNTS | st.just(999_999), min_size=n, max_size=n), min_size=1, max_size=5
        )
    )
)
def test_equals_the_maximum(counts):
    assert maximum(counts) == [int(m) or None for m in np.max(counts, axis=0)]


def test_ties_and_absent_types():
    assert maximum([[30, 0, 1024], [30, 0, 1023]]) == [30, None, 1024]


def test_slots_show_neither_holder_nor_count():
    one, two = thermometer([700], None), thermometer([700], None)
    assert (one != two).sum() == one.astype(bool).sum() == 1
    reached = add([thermometer([5], [0]), thermometer([3], [0])])[0, :6]
    assert len(set(reached.tolist())) == 6
    assert (reached > 2**40).all()


def test_a_count_of_three_digits_is_refused():
    with pytest.raises(InputError, match="at most 1,048,575"):
        thermometer([LARGEST + 1], None)
