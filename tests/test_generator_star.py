import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, InputError
from common.synthesis.class_table import on_simplex
from common.synthesis.records import Records
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


def star(unit="record", counts=False, epsilon=1.0, **options):
    return GENERATORS.get("star")(schema(unit, counts), epsilon, 1e-5, options)


@pytest.mark.parametrize(("unit", "counts"), FORMS)
@pytest.mark.parametrize("edges", ["found", "public"])
@given(here=st.lists(st.booleans(), min_size=14, max_size=14))
@settings(max_examples=10, deadline=None)
def test_sites_add_up_to_the_pooled_statistics_bit_for_bit(unit, counts, edges, here):
    generator = star(unit, counts, edges=edges)
    assert_additive(generator, cohort(generator.schema, 14), np.array(here))


@pytest.mark.parametrize(("unit", "counts"), FORMS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_no_unit_changes_a_statistic_by_more_than_its_sensitivity(unit, counts, data):
    generator = star(unit, counts)
    base = cohort(generator.schema, 9)
    extra = data.draw(one_unit(generator.schema))
    assert_bounded(generator, states(generator, base), base, extra)
    assert_shares(generator)


def test_a_record_adds_one_to_one_bin_of_each_gene_in_its_class():
    generator = star()
    (stage, state), *_ = [
        s for s in states(generator, cohort(schema(), 20)) if s[0].name == "table"
    ]
    one = Records(np.full((1, 6), 9.0), np.array([1]), np.array([0]))
    table = generator.statistics(stage, one, state).reshape(3, 4, 6)
    assert stage.l2 == 1024 * math.sqrt(6)
    np.testing.assert_array_equal(table.sum(axis=1), [[0] * 6, [1024] * 6, [0] * 6])


def test_a_donor_with_a_thousand_cells_counts_no_more_than_one_with_a_few():
    generator = star("donor", True)
    base = cohort(generator.schema, 9)
    assert_bounded(generator, states(generator, base), base, many_cells(1000))


def test_without_noise_the_table_is_the_cohorts():
    generator = star(epsilon=math.inf, edges="public", bins=5)
    records = cohort(generator.schema, 600)
    state, values, classes = sampled(generator, records, [4000, 3000, 5000])
    bins, expected = np.digitize(records.values, [4, 8, 12, 16]), np.zeros((3, 6, 5))
    for c in range(3):
        for b in range(5):
            expected[c, :, b] = (bins[records.classes == c] == b).mean(axis=0)
    np.testing.assert_allclose(state["table"], expected, atol=1e-9)
    drawn = np.digitize(values[classes == 2], [4, 8, 12, 16])
    np.testing.assert_allclose((drawn == 2).mean(axis=0), expected[2, :, 2], atol=0.03)


def test_found_bins_without_noise_recover_means_and_spread():
    generator = star(epsilon=math.inf, bins=8)
    records = cohort(generator.schema, 900)
    _, values, classes = sampled(generator, records, [3000, 3000, 3000])
    for c in range(3):
        real = records.values[records.classes == c]
        np.testing.assert_allclose(values[classes == c].mean(axis=0), real.mean(axis=0), atol=0.12)
        np.testing.assert_allclose(values[classes == c].std(axis=0), real.std(axis=0), rtol=0.15)


@pytest.mark.parametrize("unit", ["record", "donor"])
def test_raw_counts_stay_whole_and_keep_their_zeros(unit):
    generator = star(unit, True, epsilon=math.inf)
    records = cohort(generator.schema, 500)
    _, values, classes = sampled(generator, records, [2000, 2000, 2000])
    for c in range(3):
        real = records.values[records.classes == c]
        np.testing.assert_allclose(
            (values[classes == c] == 0).mean(axis=0), (real == 0).mean(axis=0), atol=0.06
        )


def test_much_noise_leaves_a_cohort_that_can_be_used():
    generator = star("donor", True, epsilon=0.1)
    state, _, _ = sampled(generator, cohort(generator.schema, 12), [5, 0, 7])
    assert (state["table"] >= 0).all()
    np.testing.assert_allclose(state["table"].sum(axis=2), 1)


def test_a_class_that_only_one_site_has_and_a_site_without_units():
    generator = star()
    records = cohort(generator.schema, 16)
    only_here = records.classes == 2
    assert_additive(generator, records, only_here)
    assert_additive(generator, records, np.zeros(16, dtype=bool))


def test_probabilities_are_the_nearest_on_the_simplex():
    np.testing.assert_allclose(on_simplex(np.array([[0.9, 0.6, -0.5]])), [[0.65, 0.35, 0.0]])


def test_bad_input_is_refused():
    generator = star()
    bad = cohort(generator.schema, 4)
    bad.values[2, 3] = np.nan
    with pytest.raises(InputError, match="gene g3 of record 2 is nan"):
        generator.statistics(generator.stages[0], bad, {})
    with pytest.raises(InputError, match="two records are of one unit"):
        generator.statistics(
            generator.stages[0], Records(np.ones((2, 6)), np.zeros(2, int), np.zeros(2, int)), {}
        )
    with pytest.raises(InputError, match="class 3"):
        generator.statistics(
            generator.stages[0], Records(np.ones((1, 6)), np.array([3]), np.array([0])), {}
        )
    with pytest.raises(ConfigError, match="no option 'bin'"):
        star(bin=4)
    with pytest.raises(ConfigError, match="option bins = 1"):
        star(bins=1)
    with pytest.raises(ConfigError, match="must rise"):
        star(counts=True, **{"count-edges": (4, 2)})
