"""Settings of a generator: refused before the first stage is paid, or all stages can be made."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, SecureSumError, SiteFailure
from common.privacy.composition import LARGEST_MU, check_stated, composed_epsilon
from common.synthesis.contributions import MOST_UNITS
from common.synthesis.gaussian_options import GaussianOptions
from common.synthesis.of_run import generator_of, require_generator, schema_of
from common.synthesis.records import Records
from common.synthesis.release import noise_of, require_possible, whole_spend
from common.synthesis.state_check import require_state
from tests.small_cohorts import OFF, config_of
from tests.test_synthesize_rules import real_sites, run, spent

GENES, CLASSES, N_SITES = [f"g{j}" for j in range(5)], ["A", "B", "C"], 3


def records_for(schema, n=12):
    """Of all classes but the last, at the bounds and between."""
    rng = np.random.default_rng(3)
    values = rng.uniform(schema.low, schema.high, (n, schema.n_genes))
    values[0], values[1] = schema.low, schema.high
    values = np.floor(values) if schema.counts else values
    units = np.arange(n) // 3 if schema.unit == "donor" else np.arange(n)
    return Records(values, np.arange(n) % (schema.n_classes - 1), units)


def refused(config):
    """The reason why a run is refused before its first stage; None if it is not."""
    try:
        require_generator(config)
        made = generator_of(config, schema_of(config, GENES, CLASSES))
        require_possible(config, made, N_SITES)
    except ConfigError as error:
        return str(error)
    return None


def run_all(config, loud=1.0):
    """All stages with noise, and a sample: whatever is raised here, sites have paid before.

    ``loud``: noise as it may come out by bad luck.
    """
    schema = schema_of(config, GENES, CLASSES)
    made, state = generator_of(config, schema), {}
    for stage in made.stages:
        require_state(made, stage, state)
        records = records_for(schema)
        total = made.statistics(stage, records, state)
        assert np.abs(total).max(initial=0) * (MOST_UNITS / records.n_units) <= stage.bound
        sd = 0.0
        if config.private:
            noise = noise_of(config, stage, N_SITES)
            sd = math.sqrt(noise.seen_variance(N_SITES))
            drawn = [noise.draw() for _ in range(N_SITES)]
            total = total + np.trunc(loud * sum(drawn)).astype(np.int64)
        assert np.abs(total).max(initial=0) < 2**53
        state = made.take(stage, total.astype(np.float64), sd, state)
    assert all(np.isfinite(value).all() for value in state.values())
    values, classes = made.sample(state, np.array([3, 0, 9]), np.random.default_rng(1))
    assert classes.tolist() == [0] * 3 + [2] * 9
    assert ((values >= schema.low) & (values <= schema.high)).all()


ANY = st.one_of(
    st.floats(0.0, 1.0),
    st.floats(-320, 320).map(lambda e: 10.0**e if e < 308 else 1e308),
    st.sampled_from(
        [0.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1e-160, 10, 0, 2**62, 10**30]
    ),
)
USUAL = st.floats(0.05, 1.0)
SMALL = st.sampled_from([0, 1, 2, 3, 8, 200, 10**30, -1, 1.5])
CLIPS = ("clip", "usual", "coarse-clip")
NUMBERS = {
    "gaussian": (
        *("coarse-share", "center-share", "classes-share", "contrast-share", "scatter-share"),
        *("coarse-clip", "spread", "clip", "count-weight", "absolute-weight"),
    ),
    "star": ("shrink", "table-clip", *CLIPS),
    "copula": ("copula-share", "donor-clip", *CLIPS),
    "cvae": ("steps-share", "learning-rate", *CLIPS),
}
WHOLE = {"star": ("bins",), "copula": ("rank",), "cvae": ("latent", "hidden"), "gaussian": ()}
OTHERS = {
    "star": {
        "edges": st.sampled_from(["found", "public", "none"]),
        "count-edges": st.lists(st.sampled_from([1, 2, 5, 0, 10**10, 10**400]), max_size=3),
    },
    "copula": {"marginal": st.sampled_from(["nb", "zinb"])},
    "cvae": {"marginal": st.sampled_from(["nb", "zinb"])},
    "gaussian": {"class-genes": st.lists(st.sampled_from(["g0", "g3", "g9"]), max_size=2)},
}


def as_toml(value):
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    return repr(value)


@st.composite
def settings_of(draw, name):
    """Mostly usual options, with a few of any value."""
    numbers = {key: draw(ANY) for key in draw(st.sets(st.sampled_from(NUMBERS[name]), max_size=2))}
    if draw(st.booleans()):
        numbers |= {key: draw(USUAL) for key in draw(st.sets(st.sampled_from(CLIPS), max_size=2))}
        numbers = {key: value for key, value in numbers.items() if key in NUMBERS[name]}
    if name == "gaussian" and draw(st.booleans()):
        numbers = {"contrast-share": 0.1, "classes-share": 0.45} | numbers
    for key in WHOLE[name]:
        if draw(st.booleans()):
            numbers[key] = draw(SMALL)
    for key, values in OTHERS[name].items():
        if draw(st.booleans()):
            numbers[key] = draw(values)
    if name == "cvae":
        numbers["steps"] = draw(st.sampled_from([1, 2, 3]))
    unit = draw(st.sampled_from(["record", "donor"]))
    found = {
        "generator": name,
        "generator_options": ", ".join(f"{k} = {as_toml(v)}" for k, v in numbers.items()),
        "privacy_unit": unit,
        "expression": draw(st.sampled_from(["log", "counts"])),
        "most_records": draw(st.sampled_from([0, 1, 2, 2**24])) if unit == "donor" else 0,
        "noise_colluding": draw(st.sampled_from([0, 1])),
    }
    if draw(st.integers(0, 5)) == 0:
        return found | OFF
    epsilon = st.one_of(st.floats(-8, 2.1).map(lambda e: 10.0**e), st.floats(0.1, 10))
    bounds = [(0.0, 20.0), (-5.0, 5.0), (0.0, 1e-6), (-9e8, 9e8), (0.0, 1.0), (8e8, 9e8)]
    low, high = draw(st.sampled_from(bounds))
    return found | {
        "epsilon": draw(epsilon),
        "delta": draw(st.sampled_from([1e-15, 1e-5, 1e-2])),
        "value_low": low,
        "value_high": high,
    }


def refused_or_made(found):
    try:
        config = config_of(**found)
    except ConfigError:
        return "no settings"
    if refused(config) is not None:
        return "refused"
    run_all(config)
    return "made"


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_options_are_refused_before_the_first_stage_or_all_stages_run(name):
    told = {"no settings": 0, "refused": 0, "made": 0}

    @given(settings_of(name))
    @settings(max_examples=25 if name == "cvae" else 120, deadline=None, derandomize=True)
    def tried(found):
        told[refused_or_made(found)] += 1

    tried()
    assert min(told["refused"], told["made"]) > 3


ABSURD = [
    ("gaussian", {}, "count-weight = 1e-9", "option count-weight = 1e-09 .*greater than or equal"),
    ("gaussian", {}, "count-weight = 11", "option count-weight = 11 .*less than or equal to 10"),
    ("gaussian", {}, "absolute-weight = 1e-320", "option absolute-weight = 1e-320"),
    ("gaussian", {}, "clip = 1e-200", "option clip = 1e-200"),
    (
        "gaussian",
        {"privacy_unit": "donor"},
        "count-weight = 0.0001",
        r"count-weight = 0.0001 .*one of 2 classes' units is 968 grid steps, at least 1024",
    ),
    (
        "gaussian",
        {},
        "scatter-share = 1e-25",
        r"release scatter with 1e-25 of the privacy needs noise of .*raise epsilon",
    ),
    (
        "gaussian",
        {"epsilon": 1e-5},
        "",
        r"release coarse .*less than 2\^40 can be drawn.*raise eps",
    ),
    ("star", {}, "clip = 1e300", r"option clip = 1e\+300 .*must be 0 or of 1e-06 \.\.\. 1e\+09"),
    ("star", {}, "coarse-clip = 1e300", "option coarse-clip = 1e.300"),
    ("star", {"expression": "counts"}, "table-clip = 1e-120", "option table-clip = 1e-120"),
    ("star", {"expression": "counts"}, "count-edges = [5, 2]", "must rise"),
    ("copula", {}, "usual = 1e-300", "option usual = 1e-300"),
    ("copula", {"privacy_unit": "donor"}, "donor-clip = 1e-9", "option donor-clip = 1e-09"),
    ("cvae", {}, "learning-rate = 1e300", r"option learning-rate = 1e\+300"),
    ("star", {}, "usual = nan", "option usual = nan"),
    ("star", {}, "bin = 8", "has no option 'bin': did you mean 'bins'"),
]


@pytest.mark.parametrize(("generator", "others", "options", "said"), ABSURD)
def test_an_absurd_option_is_refused_before_any_site_is_asked(generator, others, options, said):
    config = config_of(generator=generator, generator_options=options, **others)
    with pytest.raises(ConfigError, match=said):
        require_generator(config)


@pytest.mark.parametrize("option", ["count_weight", "absolute_weight", "clip"])
def test_without_the_check_a_later_stage_fails(monkeypatch, option):
    """What the property above is to find: the first stage can be made, and is paid."""
    config, unchecked = config_of(generator="gaussian"), {option: 1e-200}
    made = lambda *_: GaussianOptions.model_construct(**unchecked)  # noqa: E731
    monkeypatch.setattr("common.synthesis.generators.gaussian.options_of", made)
    if option == "count_weight":
        assert "grid steps, at least 1024" in refused(config)
        monkeypatch.setattr("common.synthesis.generators.gaussian.COUNTED", 0)
    with pytest.raises((ConfigError, ArithmeticError, RuntimeWarning)):
        run_all(config)


def test_the_greatest_epsilon_that_can_be_stated_is_made_and_more_is_refused():
    for delta, greatest in ((1e-2, 72.3), (1e-5, 91.8), (1e-15, 100)):
        made = config_of(epsilon=greatest, delta=delta)
        assert refused(config_of(epsilon=greatest, delta=delta, generator="gaussian")) is None
        assert composed_epsilon([whole_spend(made)], delta) <= greatest
        said = (
            f"epsilon = {greatest + 0.2:g} at delta = .*greatest that can be stated is {greatest}"
        )
        said = said if greatest < 100 else "must be above 0 and at most 100"
        with pytest.raises(ConfigError, match=said):
            config_of(epsilon=greatest + 0.2, delta=delta)


@given(st.floats(-7, 2.1).map(lambda e: 10.0**e), st.floats(-15, -2).map(lambda e: 10.0**e))
@settings(max_examples=200, deadline=None)
def test_every_epsilon_that_is_taken_can_be_paid(epsilon, delta):
    """No run fails at the budget that its settings promised to keep to."""
    try:
        check_stated(epsilon, delta)
    except ConfigError:
        return
    config = config_of(epsilon=epsilon, delta=delta)
    spends = [whole_spend(config)]
    assert composed_epsilon(spends, delta) <= epsilon
    assert spends[0].mu <= LARGEST_MU


# The second stage has next to nothing of the privacy: its noise would be too wide to draw.
TOO_LITTLE = {"epsilon": 0.2, "generator_options": "counts-share = 0.9999999999999999"}


@pytest.mark.parametrize("where", ["coordinator", "describe", "stage"])
def test_neither_coordinator_nor_site_begins_what_cannot_be_ended(tmp_path, monkeypatch, where):
    def nothing(*_):
        return None

    if where != "coordinator":
        monkeypatch.setattr("server.workflows.synthesize.require_generator", nothing)
        monkeypatch.setattr("server.noised_stages.require_possible", nothing)
        monkeypatch.setattr("server.noised_stages.noise_of", nothing)
    if where == "stage":
        monkeypatch.setattr("client.release.require_generator", nothing)
    with pytest.raises((ConfigError, SiteFailure, SecureSumError), match=r"release sums .*can be"):
        run(tmp_path / "out", real_sites(tmp_path), **TOO_LITTLE)
    assert [spent(tmp_path, number) for number in (1, 2, 3)] == [0, 0, 0]


def test_the_greatest_epsilon_is_paid_by_real_sites(tmp_path):
    made = run(tmp_path / "out", real_sites(tmp_path, max_epsilon=100.0), epsilon=91.8)
    assert made["status"] == "finished"
    assert 91 < spent(tmp_path, 1) <= 91.8
