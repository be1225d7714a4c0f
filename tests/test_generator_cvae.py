import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.errors import ConfigError, InputError
from common.synthesis.contributions import STEPS
from common.synthesis.private_steps import whole_steps
from common.synthesis.registry import GENERATORS
from tests.generator_cases import (
    assert_additive,
    assert_bounded,
    assert_shares,
    cohort,
    many_cells,
    one_unit,
    sampled,
    schema,
    states,
)

FORMS = [("record", False), ("donor", True)]


def cvae(unit="record", counts=False, epsilon=4.0, **options):
    options = {"steps": 2, "hidden": 4, "latent": 2} | options
    return GENERATORS.get("cvae")(schema(unit, counts), epsilon, 1e-5, options)


@pytest.mark.parametrize(("unit", "counts"), FORMS)
@given(here=st.lists(st.booleans(), min_size=10, max_size=10))
@settings(max_examples=5, deadline=None)
def test_sites_add_up_to_the_pooled_gradient_bit_for_bit(unit, counts, here):
    generator = cvae(unit, counts)
    assert_additive(generator, cohort(generator.schema, 10), np.array(here))


@pytest.mark.parametrize(("unit", "counts"), FORMS)
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_no_unit_changes_a_step_by_more_than_its_sensitivity(unit, counts, data):
    generator = cvae(unit, counts)
    base = cohort(generator.schema, 6)
    extra = data.draw(one_unit(generator.schema))
    assert_bounded(generator, states(generator, base), base, extra)
    assert_shares(generator)


def test_a_donor_with_hundreds_of_cells_counts_no_more_than_one_with_a_few():
    generator = cvae("donor", True)
    base = cohort(generator.schema, 6)
    assert_bounded(generator, states(generator, base), base, many_cells(200))


def test_gradients_that_overflow_are_bounded_too():
    rows = whole_steps(np.array([[1e300, -1e300], [np.nan, 1.0], [np.inf, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(rows[0] / STEPS, [0.5**0.5, -(0.5**0.5)], rtol=1e-6)
    assert not rows[1:3].any()
    np.testing.assert_allclose(rows[3] / STEPS, np.array([3.0, 4.0]) / 5.01, rtol=1e-6)


@given(
    npst.arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(1, 9)),
        elements=st.one_of(st.floats(width=64), st.floats(-2, 2)),
    )
)
def test_no_row_of_whole_steps_is_longer_than_the_radius(rows):
    found = whole_steps(rows.copy())
    for own, kept in zip(rows, found, strict=True):
        assert sum(int(x) ** 2 for x in kept) < STEPS**2
        np.testing.assert_array_equal(kept, whole_steps(own[None].copy())[0])
        assert (np.sign(own) * kept >= 0)[np.isfinite(own)].all()


def test_weights_of_a_huge_state_do_not_lift_the_bound():
    generator = cvae()
    base = cohort(generator.schema, 6)
    *_, (stage, state) = states(generator, base)
    state = state | {"weights": 1e3 * np.ones_like(state["weights"])}
    own = generator.statistics(stage, base, state)
    assert math.sqrt(sum(int(x) ** 2 for x in own)) <= 6 * stage.l2


def test_scores_kept_from_one_step_are_used_for_the_same_records_and_marginals_alone():
    kept, base, other = cvae(), cohort(schema(), 6), cohort(schema(), 6, seed=1)
    *_, (stage, state) = states(kept, base)
    moved = state | {"means": state["means"] + 1}
    for records, of in ((base, state), (other, state), (other, moved), (base, moved)):
        expected = cvae().statistics(stage, records, of)
        np.testing.assert_array_equal(kept.statistics(stage, records, of), expected)
        # And so do further steps, whose weights are others.
        later = of | {"weights": 2 * of["weights"]}
        expected = cvae().statistics(stage, records, later)
        np.testing.assert_array_equal(kept.statistics(stage, records, later), expected)


def test_without_noise_means_and_a_common_factor_are_learnt():
    generator = cvae(epsilon=math.inf, steps=60, hidden=8, **{"learning-rate": 4})
    records = cohort(generator.schema, 80)
    _, values, classes = sampled(generator, records, [1500, 1500, 1500])
    for c in range(3):
        real, made = records.values[records.classes == c], values[classes == c]
        np.testing.assert_allclose(made.mean(axis=0), real.mean(axis=0), atol=0.06)
        # The records' is about 0.67; independent genes would have 0.
        off = ~np.eye(6, dtype=bool)
        assert np.corrcoef(made.T)[off].mean() > 0.25


def test_raw_counts_of_donors_are_whole_even_under_much_noise():
    generator = cvae("donor", True, epsilon=0.5)
    sampled(generator, cohort(generator.schema, 10), [4, 0, 12])


def test_noise_alone_leaves_no_factor():
    generator = cvae(epsilon=0.2, steps=5)
    state, values, _ = sampled(generator, cohort(generator.schema, 40), [0, 2000, 0])
    assert float(state["weights_error"]) > 0
    off = ~np.eye(6, dtype=bool)
    assert np.abs(np.corrcoef(values.T)[off]).mean() < 0.3


def test_bad_input_is_refused():
    generator = cvae()
    bad = cohort(generator.schema, 4)
    bad.values[0, 5] = np.nan
    with pytest.raises(InputError, match="gene g5 of record 0 is nan"):
        generator.statistics(generator.stages[0], bad, {})
    with pytest.raises(ConfigError, match="steps = -1"):
        cvae(steps=-1)
    with pytest.raises(ConfigError, match="no option 'epochs'"):
        cvae(epochs=3)
