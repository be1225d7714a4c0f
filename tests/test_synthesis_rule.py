"""The rule that picks generator and settings, and what it says before a budget is spent."""

import math

import numpy as np
import pytest

from common.errors import ConfigError
from common.synthesis.generators.gaussian import Gaussian
from common.synthesis.registry import GENERATORS
from common.synthesis.rule import generator_for
from common.synthesis.schema import Schema
from common.synthesis.usefulness import usefulness

DELTA = 1e-5
EPSILONS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, math.inf)


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("n", [50, 871, 1e6])
def test_settings_are_valid_and_spend_the_whole_budget(n, epsilon):
    name, options = generator_for(n, 978, 5, epsilon, DELTA)
    assert name in GENERATORS.names()
    genes = tuple(map(str, range(978)))
    stages = Gaussian(Schema(genes, tuple("abcde"), 0, 24), epsilon, DELTA, options).stages
    assert sum(stage.share for stage in stages) == pytest.approx(1, abs=1e-12)


def test_a_covariance_is_released_only_where_noise_leaves_something_of_it():
    released = [generator_for(871, 978, 5, e, DELTA)[1]["scatter-share"] > 0 for e in EPSILONS]
    assert released == [False] * 4 + [True] * 3


def test_too_many_genes_have_no_covariance_and_keep_its_budget():
    _, options = generator_for(871, 20_000, 5, 10.0, DELTA)
    assert options["scatter-share"] == 0
    assert sum(v for k, v in options.items() if k.endswith("share")) == pytest.approx(1)


def test_the_second_cohort_is_told_of_no_use_at_epsilon_one():
    grades = {e: usefulness(237, 3, e, DELTA).grade for e in EPSILONS}
    assert [grades[e] for e in (0.25, 0.5, 1.0)] == ["none"] * 3
    assert grades[2.0] == "weak"
    assert grades[5.0] == grades[math.inf] == "good"
    assert usefulness(871, 5, 0.5, DELTA).grade == "weak"


def test_the_least_epsilon_is_where_the_grade_changes():
    least = usefulness(237, 3, 1.0, DELTA).least_epsilon
    assert f"{least:.2g}" in str(usefulness(237, 3, 1.0, DELTA))
    assert usefulness(237, 3, least * 1.001, DELTA).grade == "weak"
    assert usefulness(237, 3, least * 0.999, DELTA).grade == "none"
    assert math.isinf(usefulness(3, 3, 1.0, DELTA).least_epsilon)


def test_no_run_is_told_to_take_an_epsilon_that_is_refused():
    """Between what can be stated and 100 there was one to be had."""
    for n in range(4, 40):
        least = usefulness(n, 3, 1.0, DELTA).least_epsilon
        assert math.isinf(least) or least <= 91.9


def test_class_genes_have_less_noise_each_in_proportion_to_the_root_of_their_share():
    """As the docstring of usefulness has it: of the public numbers nothing else changes."""
    d, g = 400, 25
    genes = tuple(map(str, range(d)))
    about = Schema(genes, tuple("abc"), 0, 20)
    state = {"sd": np.ones(d), "center_error": np.array(0.0)}
    noise = []
    for options in ({}, {"class-genes": list(genes[:g])}):
        made = Gaussian(about, 1.0, DELTA, options)
        stage = next(stage for stage in made.stages if stage.name == "classes")
        noise.append(made._radius(stage, state) * stage.l2 / math.sqrt(stage.share))
    assert noise[1] / noise[0] == pytest.approx(math.sqrt(g / d))
    assert generator_for(871, d, 3, 1.0, DELTA)[1].get("class-genes") is None


@pytest.mark.parametrize(
    ("n", "k", "epsilon"), [(0, 3, 1.0), (-5, 3, 1.0), (10, 0, 1.0), (9, 3, 0.0)]
)
def test_absurd_numbers_are_refused(n, k, epsilon):
    with pytest.raises(ConfigError):
        usefulness(n, k, epsilon, DELTA)
