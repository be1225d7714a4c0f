"""Noise that sites add together: enough whoever is lost or colludes; what an attacker can prove."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, SecureSumError
from common.privacy import analytic_gaussian, integer_gaussian
from common.privacy.distributed_noise import SharedNoise
from common.privacy.renyi import tau
from common.synthesis.audit.empirical_epsilon import CONFIDENCE, proven_epsilon
from tests.chi_square import CHANCE, gaussian_law, p_value

DELTA, L2 = 1e-5, 20.0
COUNTS = {"n_sites": 3, "lost": 0, "colluding": 0, "n_values": 1}


def calibrated(epsilon, **changed):
    return SharedNoise.calibrated(epsilon, DELTA, **{**COUNTS, "l2": L2, **changed})


@given(
    st.floats(0.1, 10),
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n - 1)).flatmap(
            lambda pair: st.tuples(*map(st.just, pair), st.integers(0, pair[0] - pair[1] - 1))
        )
    ),
    st.integers(1, 50_000),
)
@settings(max_examples=60)
def test_epsilon_holds_for_any_tolerated_loss_and_collusion(epsilon, counts, n_values):
    n, lost, colluding = counts
    noise = calibrated(
        epsilon, n_sites=n, lost=lost, colluding=colluding, n_values=n_values, l2=500.0
    )
    assert noise.share * (n - lost - colluding) == noise.variance
    for survivors in range(n - lost, n + 1):
        outside = noise.epsilon(DELTA, survivors)
        against = noise.epsilon(DELTA, survivors, colluding)
        assert outside <= against <= epsilon
        assert noise.seen_variance(survivors, colluding) >= noise.variance
    # At the worst that is tolerated nothing is wasted.
    assert noise.epsilon(DELTA, n - lost, colluding) > 0.99 * epsilon


def test_whoever_is_honest_alone_protects_nobody_enough():
    noise = calibrated(1.0, n_sites=5, lost=1, colluding=1)
    one_more = noise.epsilon(DELTA, 4, 2)
    assert one_more > 1.2
    mu = L2 / math.sqrt(2 * float(noise.share) - 2)
    assert one_more == pytest.approx(analytic_gaussian.epsilon_at(mu, DELTA), rel=1e-6)
    assert noise.epsilon(DELTA, 5) < 0.8


def test_without_loss_and_collusion_sites_are_as_good_as_a_centre():
    for n in (1, 3, 50):
        noise = calibrated(1.0, n_sites=n, l2=200.0)
        assert noise.variance == integer_gaussian.variance_for(1.0, DELTA, 200.0)
        assert noise.seen_variance(n) == noise.variance


def test_more_lost_than_covered_opens_nothing():
    noise = calibrated(1.0, n_sites=5, lost=1)
    with pytest.raises(SecureSumError, match=r"3 of 5 sites.*at most 1 lost"):
        noise.epsilon(DELTA, 3)
    with pytest.raises(SecureSumError, match="6 of 5"):
        noise.n_shares(6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lost": 2, "colluding": 1}, "no honest one"),
        ({"lost": -1}, "lost = -1"),
        ({"n_sites": 0}, "n_sites = 0"),
        ({"n_sites": 3.0}, "n_sites = 3.0"),
        ({"colluding": True}, "colluding = True"),
        ({"l2": 0.0}, "sensitivity of 0.0"),
        ({"l2": math.nan}, "sensitivity of nan"),
        ({"variance": Fraction(3)}, "finer grid"),
    ],
)
def test_what_cannot_protect_is_refused_before_it_begins(changed, message):
    with pytest.raises(ConfigError, match=message):
        replace(calibrated(1.0), **changed)


def test_all_but_the_victim_colluding_is_no_sum():
    with pytest.raises(ConfigError, match=r"0 \.\.\. 2"):
        calibrated(1.0).epsilon(DELTA, 3, 3)


def test_the_shares_add_up_to_the_discrete_gaussian():
    """As near as tau says, which no test of this size could tell."""
    noise = SharedNoise(Fraction(40), 4, 0, 0, 100_000, 3.0)
    assert tau(10**0.5, 4) < 1e-40
    total = sum(noise.draw() for _ in range(4))
    assert p_value(total, *gaussian_law(40)) > CHANCE


N_RUNS = 400_000
THRESHOLDS = np.linspace(0.5, 3.5, 13)  # in standard deviations, chosen before any run


def empirical_epsilon(noise, sigma, delta=DELTA):
    """A lower bound of epsilon, at CONFIDENCE over both sides of all thresholds.

    The worst neighbours differ by the whole sensitivity in one value; an attacker says "with" above
    a threshold. P(with) <= exp(epsilon) P(without) + delta must hold for each.
    """
    alpha = (1 - CONFIDENCE) / len(THRESHOLDS)
    best = -math.inf
    for threshold in THRESHOLDS * sigma + L2 / 2:
        n_with, n_without = ((noise + shift > threshold).sum() for shift in (L2, 0))
        best = max(best, proven_epsilon(n_with, n_without, len(noise), delta, alpha))
    return best


@pytest.fixture(scope="module")
def audited():
    """As many runs of the mechanism alone: each value of the vector is one."""
    noise = calibrated(1.0, n_sites=3, n_values=N_RUNS, lost=0, colluding=1)
    return noise, [noise.draw() for _ in range(3)]


@pytest.mark.parametrize("colluding", [0, 1])
def test_no_attacker_proves_more_than_the_stated_epsilon(audited, colluding):
    noise, shares = audited
    claimed = noise.epsilon(DELTA, 3, colluding)
    sigma = float(noise.seen_variance(3, colluding)) ** 0.5
    proven = empirical_epsilon(sum(shares[colluding:]), sigma)
    assert 0.4 * claimed < proven <= claimed


def test_half_the_noise_is_found_out(audited):
    noise, shares = audited
    halved = np.rint((shares[1] + shares[2]) / 2)
    sigma = float(noise.seen_variance(3, 1)) ** 0.5 / 2
    assert empirical_epsilon(halved, sigma) > 1.0
    # And one colluding site more than was stated.
    claimed = noise.epsilon(DELTA, 3, 0)
    assert empirical_epsilon(shares[2], float(noise.share) ** 0.5) > claimed
