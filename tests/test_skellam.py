"""Exact Poisson and Skellam samples."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy import stats

from common.errors import ConfigError
from common.privacy.poisson import _table, bounds, look_up, poisson
from common.privacy.skellam import skellam
from tests.chi_square import CHANCE, p_value
from tests.test_discrete_gaussian import source

N = 100_000
MEANS = [Fraction(1, 8), 1, Fraction(22, 7), 60, Fraction(12345, 7)]


def exact_cdf(mean, k):
    """P(X <= k), to 80 digits."""
    with mpmath.workdps(80):
        mean = mpmath.mpf(mean.numerator) / mean.denominator
        return mpmath.gammainc(k + 1, mean, regularized=True) if k >= 0 else mpmath.mpf(0)


@pytest.mark.parametrize("mean", MEANS, ids=str)
def test_poisson_follows_the_exact_distribution(mean):
    values = np.arange(int(mean + 40 * float(mean) ** 0.5 + 40))
    assert p_value(poisson(mean, N), values, stats.poisson.pmf(values, float(mean))) > CHANCE


def test_the_test_tells_another_mean():
    values = np.arange(400)
    assert p_value(poisson(61, N), values, stats.poisson.pmf(values, 60)) < CHANCE
    assert p_value(poisson(60, N) + 1, values, stats.poisson.pmf(values, 60)) < CHANCE


@pytest.mark.parametrize("variance", [Fraction(1, 4), 1, 100, Fraction(117**2, 3), 10_000], ids=str)
def test_skellam_follows_the_exact_distribution(variance):
    half = int(15 * float(variance) ** 0.5 + 20)
    values = np.arange(-half, half + 1)
    law = stats.skellam.pmf(values, float(variance) / 2, float(variance) / 2)
    samples = skellam(variance, N)
    assert p_value(samples, values, law) > CHANCE
    assert abs(samples.mean()) < 6.5 * (float(variance) / N) ** 0.5


def test_shares_add_up_to_a_skellam():
    total = sum(skellam(Fraction(25, 3), N) for _ in range(3))
    values = np.arange(-120, 121)
    assert p_value(total, values, stats.skellam.pmf(values, 12.5, 12.5)) > CHANCE


@pytest.mark.parametrize("mean", [*MEANS, 5000], ids=str)
def test_the_bounds_enclose_the_cumulative_distribution(mean):
    first, lower, upper = bounds(Fraction(mean), 64)
    assert lower == sorted(lower)
    assert upper == sorted(upper)
    for i in range(0, len(lower), max(len(lower) // 40, 1)):
        with mpmath.workdps(80):
            exact = int(mpmath.floor(exact_cdf(Fraction(mean), first - 1 + i) * 2**64))
        assert lower[i] <= exact <= upper[i] <= lower[i] + 1


@pytest.mark.parametrize("mean", [Fraction(1, 3), Fraction(5), Fraction(75, 2)], ids=str)
def test_few_digits_settle_a_value_or_say_that_they_do_not(mean):
    """Every number of 8 digits: where it names a value, all longer numbers have that value."""
    table = bounds(mean, 8)
    settled = 0
    for drawn in range(2**8):
        value = look_up(table, drawn)
        if value is not None:
            settled += 1
            assert exact_cdf(mean, value - 1) * 2**8 <= drawn
            assert drawn + 1 <= exact_cdf(mean, value) * 2**8
    assert settled > 2**8 - 2 * len(table[1])


@pytest.mark.parametrize("mean", [Fraction(1, 3), Fraction(60), Fraction(12345, 7)], ids=str)
@pytest.mark.parametrize("more", [0, 2**63, 2**64 - 1])
def test_a_number_between_two_bounds_gets_more_digits(mean, more):
    _, lower, _ = _table(mean)
    for i in {1, len(lower) // 3, len(lower) // 2}:
        drawn = int(lower[i])
        (value,) = poisson(mean, 1, source(drawn, more))
        with mpmath.workdps(80):
            below, above = (exact_cdf(mean, int(value) - k) * 2**128 for k in (1, 0))
            digits = drawn * 2**64 + more
            # Further digits, drawn where these are not enough, lie in between.
            assert below < digits + 1
            assert digits < above


def test_zero_and_the_largest_number_are_settled_too():
    assert poisson(Fraction(5), 1, source(0, 1)).tolist() == [0]
    assert poisson(Fraction(5), 1, source(2**64 - 1, 0))[0] > 30


@pytest.mark.parametrize("variance", [0, -1, 2.0, float("nan"), 2**30])
def test_a_variance_that_is_not_exact_or_absurd_is_refused(variance):
    with pytest.raises(ConfigError, match="mean = "):
        skellam(variance, 3)
