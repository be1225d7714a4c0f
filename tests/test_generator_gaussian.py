"""The Gaussian generator: sums that add up to the bit, sensitivities that hold, moments found."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, InputError
from common.privacy.analytic_gaussian import mu_for
from common.synthesis.generator import Stage
from common.synthesis.generators.gaussian import Gaussian
from common.synthesis.pooled import fit_pooled, variance_of
from common.synthesis.records import Records
from common.synthesis.schema import Schema

D, K = 7, 3
DELTA = 1e-5
# What a hostile or broken site may hold: bounds, far beyond them, almost the centre.
VALUE = st.one_of(
    st.sampled_from([0.0, 24.0, -1e300, 1e300, 12.0, 12.0 + 1e-13]),
    st.floats(-50, 50, allow_nan=False),
)


def schema(unit: str = "record", *, n_genes: int = D, most_records: int = 1) -> Schema:
    genes = tuple(f"g{j}" for j in range(n_genes))
    classes = tuple(f"c{c}" for c in range(K))
    return Schema(genes, classes, 0.0, 24.0, unit, most_records)


def normal_records(n: int, *, n_genes: int = D, seed: int = 0) -> tuple[Records, np.ndarray]:
    """Records of known class means (3 apart in some genes) and one factor all genes share."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(K, n, p=[0.6, 0.3, 0.1])
    means = 8 + 3 * rng.integers(0, 2, (K, n_genes)) + np.linspace(-2, 2, n_genes)
    values = means[classes] + 0.5 * rng.normal(size=(n, 1)) + rng.normal(size=(n, n_genes))
    return Records(values, classes, np.arange(n)), means


def all_states(generator: Gaussian, records: Records) -> list[dict[str, np.ndarray]]:
    """The state before each stage, of no noise."""
    states, state = [], {}
    for stage in generator.stages:
        states.append(state)
        total = generator.statistics(stage, records, state).astype(float)
        state = generator.take(stage, total, 0.0, state)
    return states


REFERENCE = normal_records(60)[0]
SOME = {"class-genes": ["g5", "g1"]}
TWICE = {"contrast-share": 0.05, "classes-share": 0.5}
OPTIONS = {"all": {}, "some": SOME, "twice": TWICE, "some twice": SOME | TWICE}
GENERATORS = {
    (unit, which): Gaussian(schema(unit, most_records=3), 1.0, DELTA, options)
    for unit in ("record", "donor")
    for which, options in OPTIONS.items()
}
STATES = {key: all_states(generator, REFERENCE) for key, generator in GENERATORS.items()}
every_generator = pytest.mark.parametrize(("unit", "which"), list(GENERATORS))


@st.composite
def some_units(draw, unit: str, n_units: int) -> Records:
    sizes = [draw(st.integers(1, 6)) if unit == "donor" else 1 for _ in range(n_units)]
    units = np.repeat(np.arange(n_units), sizes)
    n = len(units)
    values = draw(st.lists(st.lists(VALUE, min_size=D, max_size=D), min_size=n, max_size=n))
    classes = draw(st.lists(st.integers(0, K - 1), min_size=n, max_size=n))
    return Records(np.array(values).reshape(n, D), np.array(classes, dtype=np.int64), units)


def joined(first: Records, second: Records) -> Records:
    return Records(
        np.concatenate([first.values, second.values]),
        np.concatenate([first.classes, second.classes]),
        np.concatenate([first.units, second.units + first.n_units]),
    )


@every_generator
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_sums_of_sites_are_those_of_all_units_bit_for_bit(unit, which, data):
    first = data.draw(some_units(unit, data.draw(st.integers(1, 4))))
    second = data.draw(some_units(unit, data.draw(st.integers(1, 4))))
    generator = GENERATORS[unit, which]
    for stage, state in zip(generator.stages, STATES[unit, which], strict=True):
        apart = [generator.statistics(stage, part, state) for part in (first, second)]
        both = generator.statistics(stage, joined(first, second), state)
        assert both.dtype == np.int64
        assert both.shape == (stage.n_values,)
        np.testing.assert_array_equal(apart[0] + apart[1], both)


@every_generator
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_unit_adds_more_than_the_sensitivity(unit, which, data):
    one = data.draw(some_units(unit, 1))
    generator = GENERATORS[unit, which]
    for stage, state in zip(generator.stages, STATES[unit, which], strict=True):
        added = generator.statistics(stage, one, state)
        # Python's integers: a square may leave int64.
        assert sum(int(v) ** 2 for v in added) <= stage.l2**2
        assert max(abs(int(v)) for v in added) <= stage.bound


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_sensitivity_is_used_and_not_far_above_what_units_add(options):
    records, _ = normal_records(200)
    generator = Gaussian(schema(), 1.0, DELTA, options)
    for stage, state in zip(generator.stages, all_states(generator, records), strict=True):
        longest = 0.0
        for i in range(len(records.values)):
            one = Records(records.values[[i]], records.classes[[i]], np.zeros(1, dtype=np.int64))
            added = generator.statistics(stage, one, state).astype(float)
            longest = max(longest, float(np.linalg.norm(added)))
        assert 0.8 * stage.l2 < longest <= stage.l2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    records, _ = normal_records(4)
    records.values[2, 5] = value
    generator = Gaussian(schema(), 1.0, DELTA)
    with pytest.raises(InputError, match="g5 of record 2"):
        generator.statistics(generator.stages[0], records, {})


def test_a_class_beyond_the_schema_is_refused():
    records, _ = normal_records(4)
    records.classes[1] = K
    generator = Gaussian(schema(), 1.0, DELTA)
    with pytest.raises(InputError, match="class 3"):
        generator.statistics(generator.stages[0], records, {})


def test_moments_are_found_without_noise():
    records, means = normal_records(4000, n_genes=60)
    generator = Gaussian(schema(n_genes=60), math.inf, DELTA)
    state = fit_pooled(generator, [records])
    np.testing.assert_allclose(state["class_units"], np.bincount(records.classes), rtol=1e-6)
    np.testing.assert_allclose(state["means"], means, atol=0.25)
    # Records far away are clipped and weigh less, so spread comes out a little too small; so does
    # correlation by what all genes share, the less the more genes there are.
    np.testing.assert_allclose(state["sd"], math.sqrt(1.25), rtol=0.1)
    correlation = state["loadings"] @ state["loadings"].T
    away = correlation[np.triu_indices(60, 1)] - 0.2
    assert abs(away.mean()) < 0.06
    assert np.abs(away).max() < 0.12


def test_samples_have_the_moments_and_numbers_asked_for():
    records, _ = normal_records(4000, n_genes=20)
    generator = Gaussian(schema(n_genes=20), math.inf, DELTA)
    state = fit_pooled(generator, [records])
    counts = np.array([300, 1, 0])
    values, classes = generator.sample(state, counts, np.random.default_rng(1))
    np.testing.assert_array_equal(np.bincount(classes, minlength=3), counts)
    assert values.shape == (301, 20)
    assert values.min() >= 0
    assert values.max() <= 24
    np.testing.assert_allclose(values[classes == 0].mean(axis=0), state["means"][0], atol=1e-6)
    np.testing.assert_allclose(values[classes == 0].std(axis=0), state["sd"], rtol=0.1)


def test_without_a_share_there_is_no_scatter():
    generator = Gaussian(schema(), 1.0, DELTA, {"scatter-share": 0.0})
    assert [stage.name for stage in generator.stages] == ["coarse", "center", "classes"]
    state = fit_pooled(generator, [normal_records(60)[0]])
    values, _ = generator.sample(state, np.array([2, 2, 2]), np.random.default_rng(0))
    assert values.shape == (6, D)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coarse-share": 0.7, "center-share": 0.4}, "more than 1"),
        ({"clip": -1.0}, "clip"),
        ({"cliq": 1.0}, "did you mean 'clip'"),
        ({"class-genes": ["g1", "gg3", "ESR1"]}, r"7 genes: 'ESR1', 'gg3' \(did you mean 'g3'"),
        ({"class-genes": [f"ESR{i}" for i in range(9)]}, "'ESR4' and 4 more. Correct"),
        ({"class-genes": "g1"}, "class-genes = 'g1'.*valid list"),
        ({"class-genes": ["g1", 3]}, r"class-genes.1 = \['g1', 3\].*valid string"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Gaussian(schema(), 1.0, DELTA, options)


def test_shares_of_all_stages_add_up_to_at_most_one():
    for unit in ("record", "donor"):
        stages = Gaussian(schema(unit), 1.0, DELTA).stages
        assert sum(stage.share for stage in stages) <= 1 + 1e-12


def test_noise_has_the_size_that_the_release_states():
    """Each stage of the same records, many times: the spread of its numbers is the stated one."""
    generator = Gaussian(schema(), 1.0, DELTA)
    mu = mu_for(1.0, DELTA)
    spent = sum((stage.l2**2 / float(variance_of(stage, mu))) for stage in generator.stages)
    assert spent <= mu**2
    assert spent > 0.999 * mu**2
    taken: dict[str, list[np.ndarray]] = {}

    class Listening(Gaussian):
        def take(self, stage: Stage, total, noise_sd, state):
            taken.setdefault(stage.name, []).append((total, noise_sd))
            return super().take(stage, total, noise_sd, state)

    records, _ = normal_records(40)
    for _ in range(60):
        fit_pooled(Listening(schema(), 1.0, DELTA), [records])
    # Only the first stage's sum is the same in every run.
    totals = np.array([total for total, _ in taken["coarse"]])
    ratio = totals.var(axis=0, ddof=1) / taken["coarse"][0][1] ** 2
    assert abs(ratio.mean() - 1) < 4 * math.sqrt(2 / ratio.size / 59)


def test_noise_hides_little_at_a_large_epsilon_and_much_at_a_small_one():
    records, means = normal_records(3000, n_genes=20)
    errors = {}
    for epsilon in (0.1, 50.0):
        generator = Gaussian(schema(n_genes=20), epsilon, DELTA)
        state = fit_pooled(generator, [records])
        errors[epsilon] = np.abs(state["means"] - means).mean()
    assert errors[50.0] < 0.2
    assert errors[50.0] < errors[0.1] / 2


def test_a_spread_that_noise_hides_is_the_usual_one():
    """Not nothing: records of no spread would be copies of the noisy means."""
    generator = GENERATORS["record", "all"]
    stage = next(stage for stage in generator.stages if stage.name == "center")
    state = {"center": np.full(D, 12.0), "center_error": np.array(1.0)}
    nothing = np.zeros(stage.n_values)
    found = generator.take(stage, nothing, 1e3 * stage.l2, state)
    np.testing.assert_allclose(found["sd"], generator.settings.spread * 24)


@pytest.mark.parametrize("unit", ["record", "donor"])
def test_numbers_by_class_are_of_the_class_genes_alone(unit):
    generator = GENERATORS[unit, "some"]
    at = [stage.name for stage in generator.stages].index("classes")
    stage, state = generator.stages[at], STATES[unit, "some"][at]
    assert stage.n_values == K * (2 + 1)
    before = generator.statistics(stage, REFERENCE, state)
    others = REFERENCE.values.copy()
    others[:, [0, 2, 3, 4, 6]] = 24 - others[:, [0, 2, 3, 4, 6]]
    same = Records(others, REFERENCE.classes, REFERENCE.units)
    np.testing.assert_array_equal(generator.statistics(stage, same, state), before)
    others[:, 1] += 1
    assert (generator.statistics(stage, same, state) != before).any()


@pytest.mark.parametrize("noise", [0.0, 1e3])
@pytest.mark.parametrize("unit", ["record", "donor"])
@pytest.mark.parametrize("more", [{}, TWICE], ids=["once", "twice"])
def test_other_genes_have_one_mean_for_all_classes(unit, noise, more):
    # A wide ball: of two genes clipping is no little distortion.
    options, state = SOME | more | {"clip": 10.0}, {}
    generator = Gaussian(schema(unit, most_records=3), 1.0, DELTA, options)
    records, means = normal_records(4000)
    for stage in generator.stages:
        total = generator.statistics(stage, records, state).astype(float)
        state = generator.take(stage, total, noise, state)
    others = [0, 2, 3, 4, 6]
    assert state["means"].shape == (K, D)
    np.testing.assert_array_equal(
        state["means"][:, others], np.tile(state["center"][others], (K, 1))
    )
    np.testing.assert_allclose(state["means"][:, [1, 5]], means[:, [1, 5]], atol=0.2)
    values, _ = generator.sample(state, np.array([200, 200, 200]), np.random.default_rng(0))
    # What classes differ in there is spread of all of them.
    spread = (records.values - records.values.mean(axis=0)).std(axis=0)[others]
    np.testing.assert_allclose(values.std(axis=0)[others], spread, rtol=0.2)


def test_all_genes_named_is_as_none_named():
    records, _ = normal_records(60)
    named = Gaussian(schema(), 1.0, DELTA, {"class-genes": [f"g{j}" for j in range(D)][::-1]})
    plain = GENERATORS["record", "all"]
    for one, other in zip(all_states(named, records), all_states(plain, records), strict=True):
        assert one.keys() == other.keys()
        for key, array in one.items():
            np.testing.assert_array_equal(array, other[key])


def test_class_genes_are_given_less_noise():
    """Of 60 genes 3 differ: the same budget finds their means better if only they may."""
    rng, named = np.random.default_rng(0), [3, 30, 59]
    classes, values = rng.integers(0, K, 600), rng.normal(12, 1, (600, 60))
    away = np.zeros((K, 60))
    away[:, named] = rng.normal(0, 1, (K, 3))
    records = Records(values + away[classes], classes, np.arange(600))
    errors = []
    for genes in ([], [f"g{j}" for j in named]):
        states = [
            fit_pooled(Gaussian(schema(n_genes=60), 1.0, DELTA, {"class-genes": genes}), [records])
            for _ in range(8)
        ]
        found = np.array([state["means"] - state["means"].mean(axis=0) for state in states])
        true = away - away.mean(axis=0)
        errors.append(np.sqrt(((found - true) ** 2)[:, :, named].mean()))
    assert errors[1] < 0.7 * errors[0]


def test_the_ball_of_class_genes_is_as_small_as_theirs():
    """Most units use the whole sensitivity, as with all genes: else noise would be as of all."""
    named = {"class-genes": ["g3", "g30", "g59"]}
    generator = Gaussian(schema(n_genes=60), 1.0, DELTA, named)
    records, _ = normal_records(100, n_genes=60)
    at = [stage.name for stage in generator.stages].index("classes")
    stage, state = generator.stages[at], all_states(generator, records)[at]
    lengths = []
    for i in range(100):
        one = Records(records.values[[i]], records.classes[[i]], np.zeros(1, dtype=np.int64))
        added = generator.statistics(stage, one, state).astype(float)
        lengths.append(np.linalg.norm(added) / stage.l2)
    assert np.median(lengths) > 0.95
