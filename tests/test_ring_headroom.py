"""No declared sum can wrap: whole-number and wide formats, and every masked field, at the bound."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RingError
from common.secure.fields import pack, unpack
from common.secure.ring import FixedPoint, add
from common.wire import PHASES

MASKED = [name for name, phase in PHASES.items() if phase.masked()]
WIDE_BOUND = 1e8 * 2.0**24


@given(st.lists(st.floats(-WIDE_BOUND, WIDE_BOUND), min_size=1, max_size=9))
def test_wide_sums_equal_those_of_fractions(x):
    fixed = FixedPoint(WIDE_BOUND, len(x), wide=True)
    step = Fraction(1, 2**fixed.fraction_bits)
    exact = sum(round(Fraction(value) / step) for value in x) * step
    total = fixed.decode(add([fixed.encode(np.array([value])) for value in x]), (1,))[0]
    # Halves are rounded to even on both sides; what is left is the rounding of float64 itself.
    assert abs(Fraction(total) - exact) <= abs(exact) * Fraction(1, 2**52)


@pytest.mark.parametrize("wide", [False, True])
def test_whole_numbers_whose_sum_would_wrap_are_refused(wide):
    bound = 2.0 ** (94 if wide else 62)
    with pytest.raises(RingError, match="does not fit the ring"):
        FixedPoint(bound, 8, integer=True, wide=wide)


@pytest.mark.parametrize("x", [-(2.0**24) - 1, 2.0**24 + 1, np.nan, np.inf])
def test_whole_numbers_out_of_range_are_refused(x):
    with pytest.raises(RingError, match=r"fit\.n_train: "):
        FixedPoint(2.0**24, 3, integer=True).encode(np.array([x]), "fit.n_train")


@pytest.mark.parametrize("n_sites", [1, 3, 64, 1000])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("phase", MASKED)
def test_every_field_holds_all_sites_at_its_bound(phase, sign, n_sites):
    fields = PHASES[phase].masked()
    values = {
        name: np.array([2**63], np.uint64) if field.ring else np.array([sign * field.bound, 0.5])
        for name, field in fields.items()
    }
    for name, field in fields.items():
        if field.integer:
            values[name] = np.floor(values[name])
    vector, shapes = pack(phase, values, n_sites)
    total = unpack(phase, add([vector] * n_sites), shapes, n_sites)
    for name, field in fields.items():
        if field.ring:
            assert total[name].tolist() == [2**63 * n_sites % 2**64]
        else:
            np.testing.assert_array_equal(total[name], n_sites * values[name])


@pytest.mark.parametrize("phase", MASKED)
def test_a_field_beyond_its_bound_is_named(phase):
    for name, field in PHASES[phase].masked().items():
        if field.ring:
            continue
        values = {
            other: np.zeros(1, np.uint64) if f.ring else np.zeros(1)
            for other, f in PHASES[phase].masked().items()
        }
        values[name] = np.array([math.nextafter(field.bound, math.inf)])
        with pytest.raises(RingError, match=rf"{phase}\.{name}: .* exceeds"):
            pack(phase, values, 3)
