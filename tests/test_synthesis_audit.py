"""The privacy audit: finds what is planted, and nothing where noise hides everyone."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from common.errors import ConfigError, InputError
from common.privacy.analytic_gaussian import mu_for
from common.synthesis import pooled
from common.synthesis.audit.audit import audit_synthetic
from common.synthesis.audit.closest import closest, closest_records, copies
from common.synthesis.audit.cohort_attacks import by_class_means
from common.synthesis.audit.empirical_epsilon import audited_epsilon, proven_epsilon
from common.synthesis.audit.kept_sums import keep_sum, kept_sums
from common.synthesis.audit.membership import auc, membership, tpr_at
from common.synthesis.audit.neighbours import privacy_losses
from common.synthesis.audit.spread import Spread
from common.synthesis.audit.tracing import tracing_scores
from common.synthesis.audit.units import each_unit, unit_means
from common.synthesis.audit.watched import Watched, replayed
from common.synthesis.pooled import fit_pooled
from common.synthesis.records import Records
from common.synthesis.registry import GENERATORS
from common.synthesis.schema import Schema
from tests.small_generators import ClassMeans, memorised, population, schema

DELTA = 1e-5


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_auc_and_its_variance_are_delongs_by_pairs(n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, n), rng.integers(0, 5, m)
    wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    variance = wins.mean(axis=1).var(ddof=1) / n + wins.mean(axis=0).var(ddof=1) / m
    found = auc(a, b)
    assert found.value == pytest.approx(wins.mean(), abs=1e-12)
    half = 1.959963984540054 * math.sqrt(variance)
    assert found.low == pytest.approx(max(0, wins.mean() - half), abs=1e-9)
    assert found.high == pytest.approx(min(1, wins.mean() + half), abs=1e-9)
    truth = np.repeat([1, 0], [n, m])
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([a, b])))


def test_tpr_never_takes_more_false_positives_than_said():
    rng = np.random.default_rng(1)
    members, others = rng.normal(0.5, 1, 400).round(1), rng.normal(size=300).round(1)
    for rate in (0.01, 0.1, 0.003):
        best = max(
            np.mean(members > t)
            for t in np.concatenate([others, [-9.0]])
            if np.mean(others > t) <= rate
        )
        assert tpr_at(members, others, rate) == best


def test_intervals_of_membership_hold_as_often_as_they_say():
    """AUC of normal scores half a standard deviation apart: Phi(0.5 / sqrt 2)."""
    truth, rng = 0.638163, np.random.default_rng(2)
    found = [auc(rng.normal(0.5, 1, 60), rng.normal(size=80)) for _ in range(400)]
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.91 < held < 0.98


def test_membership_of_a_perfect_attack_and_of_none():
    found = membership(np.arange(50.0) + 100, np.arange(40.0))
    assert found.auc.value == 1
    assert {rate: one.value for rate, one in found.tpr.items()} == {0.01: 1, 0.1: 1}
    assert (found.n_members, found.n_others) == (50, 40)
    assert membership(np.ones(50), np.ones(40)).auc.value == 0.5


def test_copies_are_counted_up_to_single_precision():
    real = population(30, 5, seed=1).values
    made = np.concatenate([real[:3].astype(np.float32), real[3:6] * (1 + 1e-3)])
    assert copies(made, real) == 3
    assert copies(np.array([[0.0, -0.0]]), np.array([[-0.0, 0.0]])) == 1


def test_distance_to_closest_is_that_of_all_pairs():
    a, b = population(20, 7, seed=1).values, population(30, 7, seed=2).values
    every = np.linalg.norm(a[:, None] - b, axis=2)
    np.testing.assert_allclose(closest(a, b), every.min(axis=1))


def test_units_are_whole():
    units = np.array([2, 0, 1, 0, 2, 2])
    records = Records(np.arange(6.0)[:, None], np.zeros(6, int), units)
    alone = [unit.values.ravel().tolist() for unit in each_unit(records)]
    assert alone == [[1, 3], [2], [0, 4, 5]]
    scores = np.array([1.0, 2, np.nan, 4, 5, 9])
    np.testing.assert_allclose(unit_means(scores, units), [3, 5])


def test_class_means_attack_is_a_ratio_of_gaussian_densities():
    from scipy.stats import norm

    records, known = population(9, 4, seed=1), population(60, 4, seed=3)
    made = population(50, 4, seed=2)
    found = by_class_means(
        records.values,
        records.classes,
        (made.values, made.classes),
        (known.values, known.classes),
    )
    own = {c: known.values[known.classes == c].mean(axis=0) for c in (0, 1)}
    residual = known.values - np.array([own[c] for c in known.classes])
    variance = np.square(residual).sum(axis=0) / (60 - 2)
    variance = variance + 0.01 * variance.mean()
    for x, c, score in zip(records.values, records.classes, found, strict=True):
        theirs = made.values[made.classes == c].mean(axis=0)
        expected = norm.logpdf(x, theirs, variance**0.5) - norm.logpdf(x, own[c], variance**0.5)
        assert score == pytest.approx(expected.sum())


@pytest.fixture(scope="module")
def cohorts():
    """Members and others of one population, and fresh records of it: a cohort that hides all."""
    return population(300, 20, seed=1), population(300, 20, seed=2), population(400, 20, seed=3)


def test_a_fresh_sample_gives_nothing_away(cohorts):
    members, others, fresh = cohorts
    found = audit_synthetic(members, others, fresh)
    for attack in found["attacks"].values():
        assert attack["auc"]["low"] < 0.5 < attack["auc"]["high"] + 0.01
        assert attack["auc"]["value"] < 0.55
    assert found["closest"]["copies"] == 0
    assert found["closest"]["ratio"] == pytest.approx(1, abs=0.05)
    assert found["closest"]["closer_to_train"] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_a_cohort_that_memorises_is_found(cohorts, jitter):
    members, others, _ = cohorts
    found = audit_synthetic(members, others, memorised(members, 400, jitter))
    # About three of four members are among 400 draws.
    for name in ("distance", "density"):
        assert found["attacks"][name]["auc"]["low"] > 0.8
        assert found["attacks"][name]["tpr"]["0.01"]["low"] > 0.6
    assert found["closest"]["copies"] == (0 if jitter else 400)
    assert found["closest"]["ratio"] < 0.6
    assert found["closest"]["closer_to_train"] > 0.95


def test_a_few_copies_are_found_among_good_records(cohorts):
    members, others, fresh = cohorts
    values = np.concatenate([fresh.values[:-2], members.values[[5, 9]]])
    found = closest_records(members.values, others.values, values)
    assert found["copies"] == 2
    assert found["copies_of_held_out"] == 0


def released(epsilon, n, n_genes=60, seed=1, unit="record", per_unit=1, n_others=0):
    """Members, others, the generator that made its releases, and a cohort of it."""
    members, others = (
        donors(population(size, n_genes, seed=seed + k, apart=0.2), per_unit)
        for k, size in enumerate((n, n_others or n))
    )
    generator = Watched(ClassMeans(schema(n_genes, unit=unit), epsilon, DELTA))
    state = fit_pooled(generator, [members])
    values, classes = generator.sample(
        state, np.array([n // 2, n // 2]), np.random.default_rng(seed)
    )
    made = Records(values, classes, np.arange(len(values)))
    return members, others, generator, made


def donors(records, per_unit):
    """The same records with so many to a unit."""
    return Records(records.values, records.classes, records.units // per_unit)


def test_noise_off_is_found_by_who_knows_the_generator():
    members, others, generator, made = released(math.inf, 60, 300, n_others=500)
    pair = tracing_scores(generator, generator.releases, members, others)
    found = audit_synthetic(members, others, made, traced=pair)
    assert found["attacks"]["tracing"]["auc"]["low"] > 0.8
    assert found["strongest"] == "tracing"
    # Who only measures distances hardly notices.
    assert found["attacks"]["distance"]["auc"]["value"] < 0.7


def test_noise_off_is_found_in_the_cohort_alone():
    """A large sample of few records tells their means."""
    members, others, generator, _ = released(math.inf, 60, n_others=500)
    state = fit_pooled(generator, [members])
    values, classes = generator.sample(state, np.array([3000, 3000]), np.random.default_rng(0))
    made = Records(values, classes, np.arange(6000))
    found = audit_synthetic(members, others, made)
    assert found["attacks"]["class_means"]["auc"]["low"] > 0.65


@pytest.mark.parametrize(("unit", "n", "per_unit"), [("record", 3000, 1), ("donor", 1500, 3)])
def test_at_epsilon_1_no_attack_finds_anyone(unit, n, per_unit):
    members, others, generator, made = released(1.0, n * per_unit, 40, 1, unit, per_unit)
    pair = tracing_scores(generator, generator.releases, members, others)
    assert list(map(len, pair)) == [n, n]
    found = audit_synthetic(members, others, made, traced=pair)
    assert set(found["attacks"]) == {"distance", "density", "class_means", "tracing"}
    for name, attack in found["attacks"].items():
        assert attack["n_members"] == n, name
        assert attack["auc"]["value"] <= 0.55, name


def test_tracing_does_not_judge_a_unit_by_itself():
    """Of others alone that look like members there is no advantage either way."""
    found = []
    for seed in range(12):
        members, others, generator, _ = released(math.inf, 40, 30, seed=10 * seed)
        stranger = population(40, 30, seed=10 * seed + 5, apart=0.2)
        _, outside = tracing_scores(generator, generator.releases, members, others)
        _, unknown = tracing_scores(generator, generator.releases, members, stranger)
        found.append(auc(outside, unknown).value)
    assert abs(np.mean(found) - 0.5) < 0.06


def test_releases_are_replayed_from_the_sums_alone():
    *_, generator, _ = released(2.0, 50)
    kept = [one.total for one in generator.releases], [one.noise_sd for one in generator.releases]
    again = replayed(ClassMeans(generator.schema, 2.0, DELTA), *kept)
    assert [one.stage for one in again] == [one.stage for one in generator.releases]
    for one, other in zip(again, generator.releases, strict=True):
        assert one.before.keys() == other.before.keys()
        for key, value in one.before.items():
            np.testing.assert_array_equal(value, other.before[key])


def test_too_few_units_are_refused():
    members, others = population(60, 5, seed=1), population(9, 5, seed=2)
    with pytest.raises(InputError, match="9 held-out units"):
        audit_synthetic(members, others, members)


# The mechanism. A large delta makes few runs tell: at 1e-5 it takes hundreds of thousands.
WIDE = 1e-2
N_RUNS = 12_000


@pytest.fixture
def ahead(monkeypatch):
    """Noise is drawn for many runs at once and handed out: the same sampler, ten times as fast."""
    drawn, stock = pooled.discrete_gaussian, {}

    def from_stock(variance, n):
        if len(stock.get(variance, ())) < n:
            stock[variance] = drawn(variance, 20_000)
        given, stock[variance] = stock[variance][:n], stock[variance][n:]
        return given

    monkeypatch.setattr(pooled, "discrete_gaussian", from_stock)


def losses(epsilon=1.0, n_runs=N_RUNS):
    """Runs with and without the worst record: as long as the clip, in the direction of one gene."""
    generator = ClassMeans(schema(1, 1), epsilon, WIDE)
    others = [population(5, 1, seed=1, n_classes=1)]
    worst = Records(np.array([[9.0]]), np.zeros(1, int), np.zeros(1, int))
    assert generator.statistics(generator.stages[1], worst, {}).tolist() == [2**14]
    return [
        privacy_losses(generator, others, worst, within=within, n_runs=n_runs)
        for within in (True, False)
    ]


@pytest.mark.usefixtures("ahead")
def test_whole_releases_never_prove_more_than_is_claimed():
    with_it, without = losses()
    proven = audited_epsilon(with_it, without, WIDE)
    assert proven <= 1.0
    # It is no empty bound: with a chance of error as of other tests it is near what can be proven.
    assert audited_epsilon(with_it, without, WIDE, 0.05) > 0.3
    # What these losses are distributed as, says the theory of the Gaussian mechanism.
    mu2 = with_it.mean() - without.mean()
    assert with_it.var() == pytest.approx(mu2, rel=0.1)


@pytest.mark.usefixtures("ahead")
def test_half_the_noise_is_found_out(monkeypatch):
    whole = pooled.variance_of
    monkeypatch.setattr(pooled, "variance_of", lambda stage, mu: whole(stage, mu) / 4)
    assert audited_epsilon(*losses(), WIDE, 1e-4) > 1.0


@pytest.mark.usefixtures("ahead")
def test_a_record_that_is_not_clipped_is_found_out(monkeypatch):
    """A sensitivity that is stated too low is as bad as noise that is too small."""
    honest = ClassMeans.statistics

    def forgetful(self, stage, records, state):
        found = honest(self, stage, records, state)
        return found * 3 if records.n_units == 1 and stage.name == "sums" else found

    generator = ClassMeans(schema(1, 1), 1.0, WIDE)
    others = [population(5, 1, seed=1, n_classes=1)]
    worst = Records(np.array([[9.0]]), np.zeros(1, int), np.zeros(1, int))
    monkeypatch.setattr(ClassMeans, "statistics", forgetful)
    pair = [
        privacy_losses(generator, others, worst, within=within, n_runs=N_RUNS)
        for within in (True, False)
    ]
    assert audited_epsilon(*pair, WIDE, 1e-4) > 1.0


def test_without_noise_there_is_nothing_to_bound():
    with pytest.raises(ConfigError, match="epsilon is infinite"):
        losses(math.inf, 1)


@given(st.integers(1, 2000), st.data())
@settings(max_examples=40, deadline=None)
def test_proven_epsilon_is_below_the_plain_estimate(n_runs, data):
    a, b = (data.draw(st.integers(0, n_runs)) for _ in "ab")
    found = proven_epsilon(a, b, n_runs, 0.0)
    assert found < (math.log(a / b) if a and b else math.inf)
    if not a:
        assert found < -100


def test_an_audit_of_the_same_runs_proves_nothing():
    rng = np.random.default_rng(1)
    assert audited_epsilon(rng.normal(size=4000), rng.normal(size=4000), 0.0) <= 0


@given(st.integers(3, 12), st.integers(1, 30), st.floats(0, 50), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_the_inverse_of_a_spread_is_that_of_the_whole_matrix(k, p, noise, seed):
    rng = np.random.default_rng(seed)
    units = 5 * rng.normal(size=(k, p))
    spread = Spread.of(iter(units))
    np.testing.assert_allclose(spread.mean, units.mean(axis=0), atol=1e-9)
    variance = units.var(axis=0, ddof=1)
    drawn = (k * variance + variance.mean()) / (k + 1)
    np.testing.assert_allclose(spread.variance, drawn)
    whole = (noise + 1) * np.eye(p) + 3.0 * (0.5 * np.diag(drawn) + 0.5 * np.cov(units.T))
    x = rng.normal(size=(4, p))
    inverse = spread.inverse(noise, 3.0)
    expected = np.linalg.solve(whole, x.T).T
    np.testing.assert_allclose(inverse.times(x), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(inverse.squares(x), (x * expected).sum(axis=1), rtol=1e-3)


def test_how_many_are_in_a_sum_is_told_by_it():
    members, others, generator, _ = released(5.0, 400)
    some = Records(members.values[:80], members.classes[:80], members.units[:80])
    for release in generator.releases:
        added = [generator.statistics(release.stage, u, release.before) for u in each_unit(others)]
        found = Spread.of(x.astype(float) for x in added).n_in(release.total, release.noise_sd**2)
        assert found == pytest.approx(400, rel=0.25)
    # Of a part of the members it finds as many as of all, within chance.
    inside, outside = tracing_scores(generator, generator.releases, some, others, whole=False)
    assert len(inside) == 80
    assert auc(inside, outside).high > 0.5


def test_kept_sums_come_back_or_none(tmp_path):
    *_, generator, _ = released(2.0, 50)
    for number, one in enumerate(generator.releases, start=1):
        assert kept_sums(tmp_path, 2) is None
        keep_sum(tmp_path, number, one.total, one.noise_sd)
    totals, sds = kept_sums(tmp_path, 2)
    assert sds == [one.noise_sd for one in generator.releases]
    for total, one in zip(totals, generator.releases, strict=True):
        np.testing.assert_array_equal(total, one.total)
    assert sorted(path.name for path in (tmp_path / "noisy_sums").iterdir()) == ["1.npz", "2.npz"]


@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gaussian", {}),
        ("gaussian", {"contrast-share": 0.3, "classes-share": 0.25}),
        ("star", {}),
    ],
    ids=["gaussian", "gaussian with contrast", "star"],
)
def test_the_generators_of_the_registry_spend_what_they_claim(name, options, monkeypatch):
    """Losses of the Gaussian mechanism have the variance mu^2: a few hundred runs measure it."""
    about = Schema(("a", "b", "c"), ("x", "y"), 0.0, 10.0)
    generator = GENERATORS.get(name)(about, 1.0, WIDE, options)
    rng = np.random.default_rng(0)
    others = [Records(rng.uniform(2, 8, (40, 3)), rng.integers(0, 2, 40), np.arange(40))]
    # Far from the others in two genes, each at its bound.
    worst = Records(np.array([[10.0, 0.0, 10.0]]), np.zeros(1, int), np.zeros(1, int))
    mu2 = mu_for(1.0, WIDE) ** 2

    def spent(n_runs):
        pair = [
            privacy_losses(generator, others, worst, within=within, n_runs=n_runs)
            for within in (True, False)
        ]
        return np.mean([losses.var() for losses in pair])

    # Within five standard deviations of a variance of so many, and not far below: it is the worst.
    assert 0.6 < spent(250) / mu2 < 1 + 5 / 250**0.5
    whole = pooled.variance_of
    monkeypatch.setattr(pooled, "variance_of", lambda stage, mu: whole(stage, mu) / 4)
    assert spent(100) / mu2 > 2
