import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, InputError
from common.synthesis.negative_binomial import fitted
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

FORMS = [("record", False), ("donor", False), ("record", True), ("donor", True)]


def copula(unit="record", counts=False, epsilon=4.0, **options):
    options = {"copula-share": 0.25} | options
    return GENERATORS.get("copula")(schema(unit, counts), epsilon, 1e-5, options)


@pytest.mark.parametrize(("unit", "counts"), FORMS)
@given(here=st.lists(st.booleans(), min_size=14, max_size=14))
@settings(max_examples=8, deadline=None)
def test_sites_add_up_to_the_pooled_statistics_bit_for_bit(unit, counts, here):
    generator = copula(unit, counts)
    assert "copula" in [stage.name for stage in generator.stages]
    assert_additive(generator, cohort(generator.schema, 14), np.array(here))


@pytest.mark.parametrize(("unit", "counts"), FORMS)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_no_unit_changes_a_statistic_by_more_than_its_sensitivity(unit, counts, data):
    options = {"marginal": "zinb"} if counts else {}
    generator = copula(unit, counts, **options)
    base = cohort(generator.schema, 9)
    extra = data.draw(one_unit(generator.schema))
    assert_bounded(generator, states(generator, base), base, extra)
    assert_shares(generator)


def test_a_donor_with_a_thousand_cells_counts_no_more_than_one_with_a_few():
    generator = copula("donor", True)
    base = cohort(generator.schema, 9)
    assert_bounded(generator, states(generator, base), base, many_cells(1000))


def test_without_noise_log_values_keep_means_spread_and_correlations():
    generator = copula(epsilon=math.inf)
    records = cohort(generator.schema, 900)
    _, values, classes = sampled(generator, records, [3000, 3000, 3000])
    for c in range(3):
        real, made = records.values[records.classes == c], values[classes == c]
        np.testing.assert_allclose(made.mean(axis=0), real.mean(axis=0), atol=0.01)
        np.testing.assert_allclose(made.std(axis=0), real.std(axis=0), rtol=0.1)
        # Within a class one factor has 1 / (1 + 0.7^2) = 0.67 of the variance.
        np.testing.assert_allclose(np.corrcoef(made.T), np.corrcoef(real.T), atol=0.1)


@pytest.mark.parametrize("unit", ["record", "donor"])
@pytest.mark.parametrize("marginal", ["nb", "zinb"])
def test_without_noise_counts_keep_means_zeros_and_correlations(unit, marginal):
    generator = copula(unit, True, epsilon=math.inf, marginal=marginal)
    records = cohort(generator.schema, 700)
    _, values, classes = sampled(generator, records, [3000, 3000, 3000])
    off, differ, found = ~np.eye(6, dtype=bool), [], []
    for c in range(3):
        real, made = records.values[records.classes == c], values[classes == c]
        log_real, log_made = np.log1p(real), np.log1p(made)
        np.testing.assert_allclose(log_made.mean(axis=0), log_real.mean(axis=0), atol=0.08)
        np.testing.assert_allclose((made == 0).mean(axis=0), (real == 0).mean(axis=0), atol=0.08)
        found.append(np.corrcoef(log_real.T)[off])
        differ.append(np.abs(np.corrcoef(log_made.T)[off] - found[-1]))
    # Independent genes would differ by all that is found.
    assert np.mean(differ) < 0.4 * np.mean(found)


def test_negative_binomials_have_the_moments_asked_for():
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.negative_binomial(2, 2 / (2 + m), 40_000) for m in (0.3, 2, 20)], axis=1)
    drawn[rng.random(drawn.shape) < 0.3] = 0
    logs = np.log1p(drawn)
    weights, zeros = np.ones(1), (drawn == 0).mean(axis=0)
    fit = fitted(logs.mean(axis=0)[None], logs.var(axis=0), 0.0, weights, 500.0, zeros, 0.0)
    again = fit.quantiles(0, rng.random(drawn.shape))
    np.testing.assert_allclose(np.log1p(again).mean(axis=0), logs.mean(axis=0), rtol=0.03)
    np.testing.assert_allclose((again == 0).mean(axis=0), zeros, atol=0.04)
    np.testing.assert_allclose(np.log1p(again).var(axis=0), logs.var(axis=0), rtol=0.1)


def test_much_noise_leaves_a_cohort_that_can_be_used():
    for unit, counts in FORMS:
        generator = copula(unit, counts, epsilon=0.1)
        sampled(generator, cohort(generator.schema, 12), [5, 0, 9])


def test_a_class_that_only_one_site_has_and_a_site_without_units():
    generator = copula()
    records = cohort(generator.schema, 16)
    assert_additive(generator, records, records.classes == 2)
    assert_additive(generator, records, np.zeros(16, dtype=bool))


def test_correlations_are_released_where_they_pay_by_public_settings_alone():
    def names(epsilon, unit="record", **options):
        generator = GENERATORS.get("copula")(schema(unit), epsilon, 1e-5, options)
        return [stage.name for stage in generator.stages]

    assert "copula" not in names(2.0)
    assert "copula" in names(4.0)
    assert "copula" not in names(10.0, "donor")
    assert "copula" not in names(10.0, rank=0)
    assert "copula" in names(1.0, **{"copula-share": 0.2})
    assert "norms" in names(1.0)
    assert "norms" not in names(1.0, clip=1.0)
    assert "norms" not in names(1.0, "donor")
    assert math.fsum(s.share for s in copula(clip=1.0).stages) == pytest.approx(1)


def test_bad_input_is_refused():
    generator = copula()
    bad = cohort(generator.schema, 4)
    bad.values[1, 0] = np.inf
    with pytest.raises(InputError, match="gene g0 of record 1 is inf"):
        generator.statistics(generator.stages[0], bad, {})
    with pytest.raises(ConfigError, match="zinb is for counts"):
        copula(marginal="zinb")
    with pytest.raises(ConfigError, match="did you mean 'rank'"):
        copula(rnak=3)
    with pytest.raises(ConfigError, match="too many to sum"):
        GENERATORS.get("copula")(schema(n_genes=4001), 4.0, 1e-5, {})
