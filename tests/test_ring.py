"""Fixed point in Z_2^64: round trips, exact sums, refusals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RingError
from common.secure.ring import FixedPoint, add

BOUND = 1000.0


def values(bound: float = BOUND):
    return st.lists(st.floats(-bound, bound, allow_subnormal=False), min_size=1, max_size=20)


@pytest.mark.parametrize("wide", [False, True])
@given(x=values())
def test_round_trip_keeps_half_a_step(x, wide):
    fixed = FixedPoint(BOUND, 5, wide=wide)
    back = fixed.decode(fixed.encode(np.array(x)), (len(x),))
    assert np.abs(back - x).max() <= 2.0 ** -(fixed.fraction_bits + 1)


@pytest.mark.parametrize(("bound", "wide"), [(10 * 2.0**24, False), (1e8 * 2.0**24, True)])
@given(share=values(1.0))
def test_words_are_python_integers_modulo_the_ring(bound, wide, share):
    fixed = FixedPoint(bound, 7, wide=wide)
    x = bound * np.array(share)
    expected = [round(Fraction(value) * 2**fixed.fraction_bits) for value in x.tolist()]
    words = fixed.encode(x).view(np.int64).tolist()
    if wide:
        low, high = words[: len(x)], words[len(x) :]
        words = [a + 2**32 * b for a, b in zip(low, high, strict=True)]
    assert words == expected


@pytest.mark.parametrize("wide", [False, True])
@given(x=st.lists(values(), min_size=2, max_size=7), seed=st.integers(0, 99))
def test_sums_are_exact_and_free_of_order(wide, x, seed):
    n = min(len(row) for row in x)
    rows = [np.array(row[:n]) for row in x]
    fixed = FixedPoint(BOUND, len(rows), wide=wide)
    words = [fixed.encode(row) for row in rows]
    order = np.random.default_rng(seed).permutation(len(words))
    summed = add([words[i] for i in order])
    np.testing.assert_array_equal(summed, add(words))
    rounded = sum(np.rint(row * 2.0**fixed.fraction_bits) for row in rows)
    np.testing.assert_array_equal(fixed.decode(summed, (n,)), rounded / 2.0**fixed.fraction_bits)


@pytest.mark.parametrize("bound", [1.0, 10.0, 2.0**24, 2.0**60])
@pytest.mark.parametrize("n_sites", [1, 3, 8])
@pytest.mark.parametrize("sign", [-1, 1])
def test_every_site_at_the_bound_does_not_wrap(bound, n_sites, sign):
    wide = bound * n_sites > 2.0**62
    fixed = FixedPoint(bound, n_sites, wide=wide)
    total = add([fixed.encode(np.array([sign * bound]))] * n_sites)
    assert fixed.decode(total, (1,))[0] == sign * bound * n_sites


def test_wide_holds_sums_beyond_one_word():
    fixed = FixedPoint(1e8 * 2.0**24, 4, wide=True)
    x = np.array([1e15 + 0.25, -3.5, 1.6e15])
    total = fixed.decode(add([fixed.encode(x)] * 4), (3,))
    np.testing.assert_allclose(total, 4 * x, rtol=1e-15)


@pytest.mark.parametrize("integer", [False, True])
def test_a_bound_too_wide_for_one_word_is_refused(integer):
    FixedPoint(2.0**59, 8, integer=integer)
    with pytest.raises(RingError, match="declare the field wide"):
        FixedPoint(2.0**60, 8, integer=integer)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (BOUND * 1.001, "exceeds"),
        (-BOUND * 1.001, "exceeds"),
        (np.nan, "not finite"),
        (-np.inf, "not finite"),
    ],
)
def test_out_of_range_is_an_error_and_not_a_wrap(x, words):
    with pytest.raises(RingError, match=words):
        FixedPoint(BOUND, 2).encode(np.array([1.0, x]), "moments.sum")


def test_integers_must_be_whole():
    fixed = FixedPoint(BOUND, 2, integer=True)
    assert fixed.decode(fixed.encode(np.array([-7.0, 12.0])), (2,)).tolist() == [-7, 12]
    with pytest.raises(RingError, match="not a whole number"):
        fixed.encode(np.array([1.5]))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("n", [2**15 - 1, 2**15, 2**16 + 7])
def test_blocks_of_a_long_vector_are_in_their_places(wide, n):
    fixed = FixedPoint(BOUND, 3, wide=wide)
    x = np.random.default_rng(n).uniform(-BOUND, BOUND, n)
    words = fixed.encode(x).view(np.int64)
    scaled = [round(value * 2.0**fixed.fraction_bits) for value in x.tolist()]
    if wide:
        assert (words[:n] + words[n:].astype(object) * 2**32).tolist() == scaled
    else:
        assert words.tolist() == scaled


@pytest.mark.parametrize("wide", [False, True])
def test_a_scale_is_multiplied_in_double_precision_before_the_bound(wide):
    fixed = FixedPoint(BOUND, 3, wide=wide)
    x = np.linspace(-1, 1, 2**15 + 7, dtype=np.float32) * 3 * BOUND
    words = fixed.encode(x, scale=1 / 3)
    np.testing.assert_array_equal(words, fixed.encode(x.astype(np.float64) * (1 / 3)))
    with pytest.raises(RingError, match="exceeds"):
        fixed.encode(x)


def test_a_shape_comes_back():
    fixed = FixedPoint(BOUND, 2)
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(fixed.decode(fixed.encode(x), (2, 3)), x)
