"""Fixed point in 32 bits, two values to a ring word: exact sums, fair rounding, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RingError, WireError
from common.secure.fields import pack, unpack
from common.secure.narrow import NarrowPoint
from common.secure.ring import BLOCK, FixedPoint, add
from common.wire import PHASES

BOUND = 64.0
LANE = 2.0**31


def values(min_size=1, max_size=20):
    inside = st.floats(-BOUND, BOUND, allow_subnormal=False)
    # Both lanes at either end, or just off zero, far more often than chance has them there.
    edges = st.sampled_from([-BOUND, BOUND, -1e-12, 1e-12, 0.0])
    return st.lists(edges | inside, min_size=min_size, max_size=max_size)


def lanes(words, n):
    """The two halves of a word in Python integers, by their definition: low + 2^32 high."""
    low = [(word + 2**31) % 2**32 - 2**31 for word in words.view(np.int64).tolist()]
    high = [(w - a) >> 32 for w, a in zip(words.view(np.int64).tolist(), low, strict=True)]
    return (low + high)[:n]


@given(x=values(), n_sites=st.integers(1, 50))
def test_round_trip_keeps_a_step(x, n_sites):
    narrow = NarrowPoint(BOUND, n_sites)
    words = narrow.encode(np.array(x))
    assert words.shape == (math.ceil(len(x) / 2),)
    back = narrow.decode(words, (len(x),))
    assert np.abs(back - x).max() < 2.0**-narrow.fraction_bits
    assert np.abs(back).max() <= BOUND


@given(rows=st.lists(values(7, 7) | values(7, 7).map(lambda x: [-abs(v) for v in x]), min_size=1))
def test_sums_of_words_are_sums_of_what_each_word_says(rows):
    narrow = NarrowPoint(BOUND, len(rows))
    words = [narrow.encode(np.array(row)) for row in rows]
    step = 2.0**-narrow.fraction_bits
    expected = np.sum([lanes(word, 7) for word in words], axis=0) * step
    np.testing.assert_array_equal(narrow.decode(add(words), (7,)), expected)
    np.testing.assert_array_equal(
        narrow.decode(add(words), (7,)), sum(narrow.decode(word, (7,)) for word in words)
    )


@pytest.mark.parametrize("bound", [0.3, 1.0, 64.0, 100.0])
@pytest.mark.parametrize("n_sites", [1, 2, 3, 50, 1000, 1024])
@pytest.mark.parametrize("signs", [(-1, -1), (-1, 1), (1, -1), (1, 1)])
def test_every_site_at_the_bound_does_not_wrap(bound, n_sites, signs):
    narrow = NarrowPoint(bound, n_sites)
    x = bound * np.array(signs)
    total = narrow.decode(add([narrow.encode(x)] * n_sites), (2,))
    np.testing.assert_allclose(total, n_sites * x, atol=n_sites * 2.0**-narrow.fraction_bits)
    assert n_sites * bound * 2.0**narrow.fraction_bits < LANE


@pytest.mark.parametrize("n", [1, 2, 3, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 5 * BLOCK + 7])
def test_every_value_is_in_its_place_whatever_the_length(n):
    narrow = NarrowPoint(BOUND, 3)
    # Whole steps are not rounded.
    step = 2.0**-narrow.fraction_bits
    x = np.random.default_rng(n).integers(-(2**27), 2**27, n) * step
    words = narrow.encode(x)
    assert lanes(words, n) == (x / step).astype(int).tolist()
    np.testing.assert_array_equal(narrow.decode(words, (n,)), x)
    if n % 2:
        assert lanes(words, n + 1)[-1] == 0


def test_a_shape_comes_back_and_a_scale_is_multiplied_in_double_precision():
    narrow = NarrowPoint(BOUND, 2)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    back = narrow.decode(narrow.encode(x, scale=0.5), (2, 3))
    np.testing.assert_array_equal(back, x / 2)
    # Within the bound only when scaled.
    wide = np.array([3 * BOUND], np.float32)
    np.testing.assert_array_equal(narrow.decode(narrow.encode(wide, scale=1 / 4), (1,)), wide / 4)
    with pytest.raises(RingError, match="exceeds"):
        narrow.encode(wide)


@pytest.mark.parametrize("fraction", [0.0, 0.125, 0.5, 0.9])
@pytest.mark.parametrize("whole", [-3, 0, 1000])
def test_rounding_is_right_on_average(fraction, whole):
    narrow, n = NarrowPoint(BOUND, 3), 100_000
    step = 2.0**-narrow.fraction_bits
    back = narrow.decode(narrow.encode(np.full(n, (whole + fraction) * step)), (n,)) / step
    assert set(np.unique(back)) <= {whole, whole + 1}
    # Nine standard deviations: chance crosses this once in 10^18.
    deviation = math.sqrt(fraction * (1 - fraction) / n)
    assert abs(back.mean() - whole - fraction) <= 9 * deviation


def test_rounding_is_drawn_anew_each_time():
    narrow = NarrowPoint(BOUND, 3)
    x = np.full(1000, 0.5 * 2.0**-narrow.fraction_bits)
    first, second = narrow.encode(x), narrow.encode(x)
    assert (first != second).any()
    halves = narrow.decode(first, (1000,)) > 0
    # Neither do the two lanes of a word share their draw.
    assert (halves[:500] != halves[500:]).any()


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.nextafter(BOUND, np.inf), r"update: \|64\| exceeds .* bound 64; set ring-bits = 64"),
        (-70.5, r"update: \|-70\.5\| exceeds the agreed bound 64; set ring-bits = 64"),
        (np.nan, "update: 1 values not finite"),
        (-np.inf, "update: 1 values not finite"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_out_of_range_is_an_error_and_not_a_wrap(x, said, place):
    batch = np.ones(3)
    batch[place] = x
    with pytest.raises(RingError, match=said) as caught:
        NarrowPoint(BOUND, 2).encode(batch, "update")
    assert "70" not in caught.value.public


def test_a_sum_that_cannot_fit_is_refused_at_once():
    NarrowPoint(BOUND, 2**24)
    with pytest.raises(RingError, match=r"bound of 64 for 16777217 sites .* set ring-bits = 64"):
        NarrowPoint(BOUND, 2**24 + 1)


def fit_fields(update):
    return {
        "n_train": 90,
        "n_validation": 10,
        "update": update,
        "train_loss": 1e9 + 0.25,
        "validation_loss": -1.5,
        "n_float32": 0.0,
    }


@pytest.mark.parametrize("n", [0, 1, 6, 7])
def test_narrow_integer_and_wide_fields_share_a_vector(n):
    rng = np.random.default_rng(n)
    sites = [fit_fields(rng.uniform(-BOUND, BOUND, n)) for _ in range(3)]
    packed = [pack("fit", site, 3, {"update": 0.5}, ring_bits=32) for site in sites]
    # Counts of one word, losses of two.
    assert len(packed[0][0]) == 3 + math.ceil(n / 2) + 4
    total = unpack("fit", add([vector for vector, _ in packed]), packed[0][1], 3, ring_bits=32)
    step = 2.0 ** -NarrowPoint(BOUND, 3).fraction_bits
    expected = sum(site["update"] for site in sites) / 2
    np.testing.assert_allclose(total["update"], expected, rtol=0, atol=3 * step)
    assert (total["n_train"], total["n_validation"]) == (270, 30)
    np.testing.assert_allclose(total["train_loss"], 3e9 + 0.75, rtol=1e-15)
    assert total["validation_loss"] == -4.5


@pytest.mark.parametrize("ring_bits", [64, 32])
def test_a_vector_of_the_other_width_is_refused(ring_bits):
    vector, shapes = pack("fit", fit_fields(np.ones(7)), 3, ring_bits=ring_bits)
    with pytest.raises(WireError, match=f"a sum of {len(vector)} words, expected"):
        unpack("fit", vector, shapes, 3, ring_bits=96 - ring_bits)


@pytest.mark.parametrize("ring_bits", [0, 16, 33, "32"])
def test_another_width_is_refused(ring_bits):
    with pytest.raises(WireError, match=f"ring-bits = {ring_bits!r}: a sum has 64 or 32"):
        pack("fit", fit_fields(np.ones(7)), 3, ring_bits=ring_bits)


def test_only_the_update_is_narrow():
    narrow = {
        (phase, name)
        for phase, content in PHASES.items()
        for name, field in content.masked().items()
        if isinstance(field.fixed_point(3, 32), NarrowPoint)
    }
    assert narrow == {
        ("fit", "update"),
        ("classifier_fit", "update"),
        ("classifier_fit_of_some", "update"),
    }
    assert isinstance(PHASES["fit"].masked()["update"].fixed_point(3), FixedPoint)
