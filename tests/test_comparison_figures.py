"""What a comparison computes, against brute force and scipy, and of which runs."""

import itertools

import numpy as np
import pytest
from scipy import stats

from common.comparison.pareto import dominators, eaps
from common.comparison.schedule import blocks, seed_of
from common.comparison.statistics import interval, paired
from report.compared_run import figures_of_run
from report.comparison_rows import float32_text
from tests.compared import made_up


def on_front(points):
    """By the definition: no other point is as good in both and better in one."""
    return {
        name
        for name, (f1, kwh) in points.items()
        if not any(
            (f >= f1 and k <= kwh) and (f > f1 or k < kwh)
            for other, (f, k) in points.items()
            if other != name
        )
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_that_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    # Coarse, so that many are alike in one figure or in both.
    points = {str(i): (rng.integers(5) / 4, float(rng.integers(1, 6))) for i in range(12)}
    found = dominators(points)
    assert {name for name, others in found.items() if not others} == on_front(points)
    for name, others in found.items():
        for other in others:
            assert points[other][0] >= points[name][0]
            assert points[other][1] <= points[name][1]


def test_two_alike_do_not_beat_each_other():
    assert dominators({"a": (0.9, 1.0), "b": (0.9, 1.0)}) == {"a": [], "b": []}


def test_more_energy_for_the_same_quality_is_beaten():
    points = {"a": (0.9, 1.0), "b": (0.9, 2.0), "c": (0.8, 0.5)}
    assert dominators(points) == {"a": [], "b": ["a"], "c": []}


def test_eaps_ranks_the_published_variants_backwards():
    """scFL-Green, ACTINN on dataset A: weighted F1 and kg; ranked by F1 they are the other way."""
    published = {"reduced": (0.526, 3.4e-4), "baseline": (0.614, 6.3e-4), "small": (0.710, 1.45e-3)}
    rated = {name: eaps(*figures) for name, figures in published.items()}
    assert rated["reduced"] == pytest.approx(1532, rel=0.015)
    assert rated["small"] == pytest.approx(489, rel=0.015)
    assert sorted(rated, key=rated.get) == sorted(published, key=lambda n: -published[n][0])


@pytest.mark.parametrize("n", [2, 3, 7])
def test_intervals_are_those_of_students_test(n):
    rng = np.random.default_rng(n)
    values, others = rng.normal(3, 1, n), rng.normal(2, 1, n)
    found, expected = interval(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(values.mean())
    assert found.n == n
    found, expected = paired(values, others), stats.ttest_rel(values, others)
    bounds = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))


def test_an_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [i.low <= 5 <= i.high for i in map(interval, rng.normal(5, 2, (4000, 3)))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 values"):
        interval([1.0])


def test_every_block_has_every_method_once_in_an_order_of_its_own():
    names = ["a", "b", "c"]
    order = blocks(names, 60, seed=1)
    assert all(sorted(block) == names for block in order)
    assert {tuple(block) for block in order} == set(itertools.permutations(names))
    firsts = [block[0] for block in order]
    assert all(10 <= firsts.count(name) <= 30 for name in names)


def test_the_order_is_the_seeds_and_more_repeats_keep_it():
    assert blocks(list("abcd"), 5, seed=3)[:3] == blocks(list("abcd"), 3, seed=3)
    assert blocks(list("abcd"), 5, seed=3) != blocks(list("abcd"), 5, seed=4)


def test_seeds_of_repeats():
    assert [seed_of(42, repeat) for repeat in range(3)] == [42, 43, 44]
    assert seed_of(2**31 - 1, 1) == 0


@pytest.mark.parametrize(
    ("entries", "sites", "why"),
    [
        ({"losses": [{"site": "site-2"}]}, {}, "a site was lost"),
        ({}, {"n_gpu_unmetered": 1}, "1 sites used a GPU without a counter"),
        ({}, {"n_unmetered": 2}, "2 replies of sites were not metered"),
    ],
)
def test_a_part_of_the_energy_is_no_figure(tmp_path, entries, sites, why):
    run = made_up(tmp_path / "runs/one", **entries)
    run["energy"]["sites"] |= sites
    energy = figures_of_run(tmp_path / "runs/one", run)["energy"]
    assert not energy["known"]
    assert why in energy["reason"]


def test_bf16_that_was_none_is_told(tmp_path):
    run = made_up(tmp_path / "runs/one", float32_sites={"n": 2, "of": 2})
    figures = figures_of_run(tmp_path / "runs/one", run)
    record = {"runs": [{"method": "mixed-precision", **figures}, {"method": "baseline"}]}
    assert "in float32 in runs of mixed-precision," in float32_text(record)
    assert float32_text({"runs": [{"method": "baseline", "float32_sites": 0}]}) == ""
