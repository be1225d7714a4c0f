"""What noise costs: against numeric integration, exact sums, and dp-accounting."""

import itertools
import math
from fractions import Fraction

import dp_accounting
import mpmath
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import rdp_privacy_accountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from common.errors import ConfigError
from common.privacy import analytic_gaussian, integer_gaussian, renyi
from common.privacy.composition import composed_epsilon
from common.privacy.spends import GaussianSpend, PureSpend, SkellamSpend, spend_of
from tests.chi_square import gaussian_law

DELTA = 1e-5
EPSILONS = st.floats(0.01, 20)
DELTAS = st.floats(1e-10, 1e-3)


def hockey_stick(p, q, epsilon):
    return np.maximum(p - math.exp(epsilon) * q, 0).sum()


def discrete_sum(variance_of_share, n_shares, shift):
    """The exact probabilities of the sum, on neighbours that differ by ``shift``."""
    law = np.array([1.0])
    for _ in range(n_shares):
        law = np.convolve(law, gaussian_law(variance_of_share)[1])
    pad = np.zeros(shift)
    return np.concatenate([law, pad]), np.concatenate([pad, law])


@pytest.mark.parametrize("mu", [0.05, 0.27, 1, 4])
@pytest.mark.parametrize("epsilon", [0, 0.5, 1, 5])
def test_delta_is_the_integral_of_the_hockey_stick(mu, epsilon):
    def gap(x):
        return max(stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x), 0)

    kink = epsilon / mu + mu / 2
    integral = integrate.quad(gap, kink, kink + 40, epsabs=1e-15, limit=500)[0]
    assert analytic_gaussian.delta_at(mu, epsilon) == pytest.approx(integral, rel=1e-6, abs=1e-14)


@given(EPSILONS, DELTAS, st.floats(0.01, 1e6))
def test_sigma_is_the_least_and_on_the_private_side(epsilon, delta, l2):
    sigma = analytic_gaussian.sigma_for(epsilon, delta, l2)
    assert sigma / l2 == pytest.approx(dp_accounting.get_sigma_gaussian(epsilon, delta), rel=1e-7)
    with mpmath.workdps(50):
        mu, e = mpmath.mpf(l2) / mpmath.mpf(sigma), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(mu / 2 - e / mu) - mpmath.exp(e) * mpmath.ncdf(-mu / 2 - e / mu)
        assert exact <= delta
    found = analytic_gaussian.epsilon_at(l2 / sigma, delta)
    assert epsilon * (1 - 1e-6) - 1e-9 <= found <= epsilon
    found = dp_accounting.get_epsilon_gaussian(sigma / l2, delta)
    assert found <= epsilon


@given(st.floats(1e-6, 50), DELTAS, st.floats(1.01, 3))
def test_epsilon_rises_with_mu_and_falls_with_delta(mu, delta, factor):
    epsilon = analytic_gaussian.epsilon_at(mu, delta)
    assert analytic_gaussian.epsilon_at(mu * factor, delta) >= epsilon
    assert analytic_gaussian.epsilon_at(mu, delta * factor) <= epsilon


@pytest.mark.parametrize("epsilon", [0, -1, 101, math.inf, math.nan])
def test_an_absurd_epsilon_is_refused(epsilon):
    for function in (analytic_gaussian.mu_for, lambda e, d: integer_gaussian.variance_for(e, d, 1)):
        with pytest.raises(ConfigError, match="epsilon"):
            function(epsilon, DELTA)


@pytest.mark.parametrize("delta", [0, -1, 0.5, math.nan])
def test_an_absurd_delta_is_refused(delta):
    for function in (analytic_gaussian.mu_for, lambda e, d: composed_epsilon([], d)):
        with pytest.raises(ConfigError, match="delta"):
            function(1, delta)


@pytest.mark.parametrize("l2", [0, -1, math.inf, math.nan])
def test_an_absurd_sensitivity_is_refused(l2):
    for function in (analytic_gaussian.sigma_for, integer_gaussian.variance_for):
        with pytest.raises(ConfigError, match="sensitivity"):
            function(1, DELTA, l2)


SUMS = list(itertools.product([4, Fraction(22, 5), 30], [1, 2, 3], [1, 2, 5]))


@pytest.mark.parametrize(("variance", "n", "shift"), SUMS, ids=str)
def test_the_exact_sum_of_shares_keeps_to_the_stated_delta(variance, n, shift):
    p, q = discrete_sum(variance, n, shift)
    mu = integer_gaussian.mu_of(Fraction(variance), n, 1, shift)
    far = integer_gaussian.ratio(Fraction(variance), n, 1)
    for epsilon in np.linspace(0.01, 6, 40):
        exact = max(hockey_stick(p, q, epsilon), hockey_stick(q, p, epsilon))
        stated = math.exp(far) * analytic_gaussian.delta_at(mu, epsilon - 2 * far)
        assert exact <= stated * (1 + 1e-9) + 1e-14


def test_along_two_axes_it_keeps_to_it_as_well():
    p, q = (np.outer(x, x).ravel() for x in discrete_sum(5, 2, 3))
    spent = integer_gaussian.epsilon_of(Fraction(5), 2, 2, 3 * 2**0.5, 1e-3)
    assert hockey_stick(p, q, spent) <= 1e-3


def test_the_gaussian_curve_without_the_rounding_would_promise_too_much():
    """Why two of the variance are given up."""
    p, q = discrete_sum(4, 1, 2)
    grid = np.linspace(0.01, 6, 200)
    assert any(hockey_stick(p, q, e) > 1.01 * analytic_gaussian.delta_at(1, e) for e in grid)


@given(st.floats(0.05, 10), st.integers(1, 30), st.integers(1, 500_000))
@settings(max_examples=30)
def test_the_variance_for_an_epsilon_keeps_it_and_is_near_the_least(epsilon, n, d):
    l2 = 100 + math.sqrt(d) * n
    variance = integer_gaussian.variance_for(epsilon, DELTA, l2)
    spent = integer_gaussian.epsilon_of(variance / n, n, d, l2, DELTA)
    assert epsilon * 0.99 < spent <= epsilon
    least = analytic_gaussian.sigma_for(epsilon, DELTA, l2) ** 2
    assert least < variance < least * (1 + 1e-3) + 4


def test_noise_that_is_too_small_for_the_grid_is_refused():
    with pytest.raises(ConfigError, match="finer grid"):
        integer_gaussian.mu_of(Fraction(1, 2), 10, 1000, 3)
    with pytest.raises(ConfigError, match="finer grid"):
        integer_gaussian.mu_of(Fraction(2), 1, 1, 3)


def exact_renyi(p, q, order):
    both = (p > 1e-290) & (q > 1e-290)
    p, q = np.log(p[both]), np.log(q[both])
    return np.log(np.exp(order * p - (order - 1) * q).sum()) / (order - 1)


@pytest.mark.parametrize(("sigma", "n"), [(0.5, 2), (0.5, 5), (1, 2), (2, 3), (4, 2)])
@pytest.mark.parametrize("shift", [1, 3])
def test_the_bound_of_a_sum_is_above_its_exact_renyi_divergence(sigma, n, shift):
    p, q = discrete_sum(sigma**2, n, shift)
    bound = renyi.discrete_gaussians(shift, shift, 1, sigma, n)
    for order in (2, 3, 8):
        exact = exact_renyi(p, q, order)
        stated = bound[order == renyi.ORDERS][0]
        assert exact <= stated * (1 + 1e-9)
        if sigma >= 2:
            assert stated == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("sigma", [2, 3, 50])
@pytest.mark.parametrize("n", [2, 3, 8, 100])
def test_from_two_grid_steps_on_a_sum_costs_what_a_gaussian_does(sigma, n):
    l2, d = 30.0, 1000
    curve = renyi.discrete_gaussians(renyi.l1_of(l2, d), l2, d, sigma, n)
    gaussian = renyi.ORDERS / 2 * l2**2 / (n * sigma**2)
    stated, expected = renyi.epsilon_of(curve, DELTA), renyi.epsilon_of(gaussian, DELTA)
    assert stated == pytest.approx(expected, abs=1e-6)
    # And the tight one is below, as long as its rounding is small against the noise.
    if n * sigma**2 > 100:
        tight = integer_gaussian.epsilon_of(Fraction(sigma**2), n, d, l2, DELTA)
        assert 0.8 * expected < tight < expected


@given(st.floats(0.4, 3), st.integers(2, 40), st.floats(1.01, 2))
def test_more_noise_costs_no_more(sigma, n, factor):
    low, high = (renyi.discrete_gaussians(9, 3, 50, s, n) for s in (sigma * factor, sigma))
    assert (low <= high).all()
    low, high = (renyi.skellam(9, 3, s**2 * n) for s in (sigma * factor, sigma))
    assert (low <= high).all()


@pytest.mark.parametrize("variance", [2, 10, 300])
@pytest.mark.parametrize("shift", [1, 3])
def test_the_bound_of_skellam_noise_is_above_its_exact_renyi_divergence(variance, shift):
    values = np.arange(-40 * int(variance**0.5) - 60, 40 * int(variance**0.5) + 61)
    half = variance / 2
    p, q = stats.skellam.pmf(values, half, half), stats.skellam.pmf(values - shift, half, half)
    bound = renyi.skellam(shift, shift, variance)
    for order in (2, 3, 8):
        exact, stated = exact_renyi(p, q, order), bound[order == renyi.ORDERS][0]
        assert exact <= stated * (1 + 1e-9)
        if variance == 300:
            assert stated == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("mu", [0.01, 0.3, 2])
def test_conversion_equals_dp_accountings(mu):
    curve = renyi.ORDERS / 2 * mu**2
    expected = rdp_privacy_accountant.compute_epsilon(renyi.ORDERS, curve, DELTA)[0]
    assert renyi.epsilon_of(curve, DELTA) == pytest.approx(expected, rel=1e-9)
    assert renyi.epsilon_of(curve, DELTA) > analytic_gaussian.epsilon_at(mu, DELTA)


def by_losses(*events):
    accountant = PLDAccountant()
    for event, times in events:
        accountant.compose(event, times)
    return accountant.get_epsilon(DELTA)


def test_compositions_equal_dp_accountings():
    step = dp_accounting.GaussianDpEvent
    one = [GaussianSpend(mu=0.2), GaussianSpend(mu=0.1, times=5)]
    assert composed_epsilon(one, DELTA) == pytest.approx(
        by_losses((step(5), 1), (step(10), 5)), rel=1e-3
    )
    sampled = GaussianSpend(mu=1.0, sampling=0.02, times=200)
    event = dp_accounting.PoissonSampledDpEvent(0.02, step(1))
    assert composed_epsilon([*one, sampled], DELTA) == pytest.approx(
        by_losses((step(5), 1), (step(10), 5), (event, 200)), rel=1e-3
    )
    # Sampling helps, and everybody taking part costs most.
    everybody = GaussianSpend(mu=1.0, times=200)
    assert composed_epsilon([sampled], DELTA) < 2 < 80 < composed_epsilon([everybody], DELTA)


def test_pure_spends_add_up_at_most():
    half = PureSpend(epsilon=0.5)
    assert composed_epsilon([half, half], DELTA) == pytest.approx(1, abs=1e-3)
    many = composed_epsilon([PureSpend(epsilon=0.01, times=10_000)], DELTA)
    assert 4 < many < 5
    assert composed_epsilon([PureSpend(epsilon=0.1, delta=0.6e-5, times=2)], DELTA) == math.inf


def test_a_skellam_spend_goes_by_renyi_orders_and_costs_a_little_more():
    spends = [GaussianSpend(mu=0.2), GaussianSpend(mu=0.3, sampling=0.5, times=4)]
    spends.append(PureSpend(epsilon=0.05, delta=1e-7))
    with_gaussian = composed_epsilon([*spends, GaussianSpend(mu=0.2)], DELTA)
    noise = SkellamSpend(l1=20.0, l2=20**0.5, variance=500.0)
    with_skellam = composed_epsilon([*spends, noise], DELTA)
    assert with_gaussian < with_skellam < 1.3 * with_gaussian


SPENDS = st.one_of(
    st.builds(GaussianSpend, mu=st.floats(1e-4, 12), times=st.integers(1, 50)),
    st.builds(SkellamSpend, l1=st.just(4.0), l2=st.just(2.0), variance=st.floats(1, 1e6)),
)


@given(st.lists(SPENDS, max_size=4), SPENDS)
def test_one_more_spend_never_costs_less(spends, more):
    # Without and with Skellam noise the bounds differ, so like is compared with like.
    both = [SkellamSpend(l1=1.0, l2=1.0, variance=1e9), *spends]
    before, after = composed_epsilon(both, DELTA), composed_epsilon([*both, more], DELTA)
    assert after >= before
    assert composed_epsilon(spends[::-1], DELTA) == pytest.approx(composed_epsilon(spends, DELTA))


def test_losses_that_are_no_privacy_are_infinite_at_once():
    step = GaussianSpend(mu=9.0, sampling=0.5, times=1000)
    for spends in ([GaussianSpend(mu=11.0)], [step], [PureSpend(epsilon=150.0)]):
        assert composed_epsilon(spends, DELTA) == math.inf


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "gaussian", "mu": math.nan},
        {"kind": "gaussian", "mu": -1.0},
        {"kind": "gaussian", "mu": "0.1"},
        {"kind": "gaussian", "mu": 0.1, "sampling": 0.0},
        {"kind": "pure", "epsilon": 0.1, "delta": 1.0},
        {"kind": "free"},
        {"kind": "gaussian", "mu": 0.1, "times": 0},
        {"kind": "gaussian", "mu": 0.1, "discount": 2},
        None,
    ],
    ids=str,
)
def test_a_record_that_is_no_spend_is_refused(record):
    with pytest.raises(ConfigError, match="no privacy spend"):
        spend_of(record)
