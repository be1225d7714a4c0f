"""Noise for privacy: exact discrete Gaussian samples, from the system's generator alone."""

import hashlib
import itertools
import os
import random
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.privacy.bernoulli import Fractions, bernoulli, bernoulli_exp, geometric_exp
from common.privacy.discrete_gaussian import discrete_gaussian, discrete_laplace
from common.privacy.words import integers_below, random_words
from tests.chi_square import CHANCE, gaussian_law, p_value

N = 100_000
VARIANCES = [Fraction(1, 4), 1, Fraction(22, 7), 25, Fraction(117**2, 7), 10_000]


def source(*drawn):
    """Words that are given one after another, then ones that are drawn."""
    given_words = iter(drawn)

    def words(n):
        first = list(itertools.islice(given_words, n))
        return np.concatenate([np.array(first, dtype=np.uint64), random_words(n - len(first))])

    return words


@pytest.mark.parametrize("variance", VARIANCES, ids=str)
def test_samples_follow_the_exact_distribution(variance):
    samples = discrete_gaussian(variance, N)
    values, law = gaussian_law(variance)
    assert len(samples) == N
    assert p_value(samples, values, law) > CHANCE
    exact = (values**2 * law).sum()
    kurtosis = (values**4 * law).sum() - exact**2
    assert abs(samples.mean()) < 6.5 * (exact / N) ** 0.5
    assert abs((samples**2).mean() - exact) < 6.5 * (kurtosis / N) ** 0.5


def test_the_test_tells_a_rounded_gaussian_and_another_sigma():
    generator = np.random.default_rng(0)
    rounded = np.rint(generator.normal(0, 1, N)).astype(int)
    assert p_value(rounded, *gaussian_law(1)) < CHANCE
    assert p_value(discrete_gaussian(Fraction(12_000), N), *gaussian_law(10_000)) < CHANCE


def test_a_wide_one_is_a_gaussian():
    """No table of values fits it: every gamma is computed by itself, with large integers."""
    from scipy import stats

    sigma2 = Fraction(12345678901234567, 2**20)
    samples = discrete_gaussian(sigma2, N) / float(sigma2) ** 0.5
    assert stats.kstest(samples, "norm").pvalue > CHANCE


def test_discrete_laplace_follows_its_law():
    values = np.arange(-400, 401)
    law = np.exp(-np.abs(values) / 7)
    assert p_value(discrete_laplace(7, N), values, law / law.sum()) > CHANCE


def test_geometric_follows_its_law():
    values = np.arange(60)
    law = np.exp(-values) * (1 - np.exp(-1))
    assert p_value(geometric_exp(N), values, law) > CHANCE


@pytest.mark.parametrize("gamma", [Fraction(0), Fraction(1, 3), Fraction(10**30 - 1, 10**30)])
def test_coins_of_exp_minus_gamma(gamma):
    coins = bernoulli_exp(fractions([gamma.numerator] * N, gamma.denominator))
    p = np.exp(-float(gamma))
    assert abs(coins.mean() - p) <= 6.5 * (p * (1 - p) / N) ** 0.5


def fractions(numerators, denominator):
    kind = np.int64 if denominator < 2**62 else object
    return Fractions(np.array(numerators, dtype=kind), denominator)


WORD = st.integers(0, 2**64 - 1)


@given(st.integers(1, 2**100), st.data(), st.integers(1, 40))
def test_a_coin_is_a_comparison_of_whole_numbers(denominator, data, divisor):
    """Whatever is drawn, also where the first 64 or 128 digits are equal."""
    numerator = data.draw(st.integers(0, denominator - 1))
    p = Fraction(numerator, denominator * divisor)
    near = p * 2**128 // 1 + data.draw(st.integers(-2, 2))
    drawn = data.draw(st.one_of(st.integers(0, 2**128 - 1), st.just(min(max(near, 0), 2**128 - 1))))
    words = source(drawn >> 64, drawn % 2**64, data.draw(WORD))
    coin = bernoulli(fractions([numerator], denominator), divisor, words)[0]
    if not Fraction(drawn, 2**128) <= p < Fraction(drawn + 1, 2**128):
        assert coin == (Fraction(drawn, 2**128) < p)


def test_equal_digits_go_on_with_the_rest():
    third = fractions([1] * N, 3)
    digits = 2**64 // 3
    coins = [bernoulli(third.take(slice(1)), 1, source(digits))[0] for _ in range(4000)]
    assert abs(np.mean(coins) - 1 / 3) < 6.5 * (2 / 9 / 4000) ** 0.5


@given(st.integers(1, 2**63))
def test_integers_below_a_bound_are_below(bound):
    assert (integers_below(bound, 50) < bound).all()


def test_integers_below_leave_out_what_would_favour_small_ones():
    most = 2**64 - 1
    assert integers_below(3, 1, source(most, 4)).tolist() == [1]
    assert integers_below(4, 1, source(most, 4)).tolist() == [3]


def test_nothing_but_the_systems_generator_is_used(monkeypatch):
    states = np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    first, second = discrete_gaussian(100, 50), discrete_gaussian(100, 50)
    assert (first != second).any()
    np.random.seed(1)  # noqa: NPY002
    np.random.set_state(("MT19937", states[0], 624))  # noqa: NPY002
    random.setstate(states[1])
    assert (discrete_gaussian(100, 50) != first).any()

    def samples(seed):
        counter = itertools.count()

        def urandom(n):
            blocks = -(-n // 64)
            text = [f"{seed} {next(counter)}".encode() for _ in range(blocks)]
            return b"".join(hashlib.sha512(block).digest() for block in text)[:n]

        monkeypatch.setattr(os, "urandom", urandom)
        return discrete_gaussian(100, 50).tolist()

    assert samples(1) == samples(1) != samples(2)


def test_no_file_of_privacy_uses_another_generator():
    for path in Path("common/privacy").glob("*.py"):
        assert not re.search(r"np\.random|import random|default_rng|torch", path.read_text()), path


@pytest.mark.parametrize("variance", [0, -1, 2.5, float("nan"), True, 2**81, Fraction(0), "1"])
def test_a_variance_that_is_not_exact_or_absurd_is_refused(variance):
    with pytest.raises(ConfigError, match="variance"):
        discrete_gaussian(variance, 10)


@given(st.fractions(Fraction(1, 1000), 2**70), st.integers(0, 20))
def test_any_variance_gives_as_many_as_asked(variance, n):
    assert discrete_gaussian(variance, n).shape == (n,)
