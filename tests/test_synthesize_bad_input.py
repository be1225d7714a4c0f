"""What is wrong with a run of synthesize is said by name, before anything is paid."""

import math

import anndata
import numpy as np
import pytest

from cli.run import prepared
from common.config import RunConfig
from common.errors import ConfigError, GeneError, InputError, SiteFailure
from common.synthesis.of_run import generator_of, schema_of
from common.synthesis.published import counts_of
from tests.small_cohorts import OFF, cohort, cohorts, config_of, pooled_state, synthesize
from tests.small_cohorts import published_state as state_of
from tests.small_sites import lines, write_sites


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epsilon": 0.0}, "epsilon = 0: give the privacy of the whole run"),
        ({"epsilon": -1.0}, r"epsilon = -1.0 must be above 0"),
        ({"epsilon": 1e6}, "must be above 0 and at most 100"),
        (
            {"epsilon": 99.0},
            "epsilon = 99 at delta = 1e-05: the greatest that can be stated is 91.8",
        ),
        ({"epsilon": 100.0}, "epsilon = 100 at .* moves the sums by 10 standard deviations"),
        ({"epsilon": 80.0, "delta": 0.01}, "epsilon = 80 at delta = 0.01: the greatest .* is 72.3"),
        (
            {"epsilon": 1e-6},
            "epsilon = 1e-06: it must be above 2e-06, which noise in whole numbers",
        ),
        ({"epsilon": 5e-324}, "epsilon = .*e-324: it must be above 2e-06"),
        ({"epsilon": math.nan}, "epsilon = nan must be above 0"),
        ({"epsilon": math.inf}, "epsilon = inf: a run without privacy says so by noise = off"),
        ({"delta": 0.0}, r"delta = 0.0 must be of 1e-15 \.\.\. 0.01"),
        ({"delta": 0.5}, r"delta = 0.5 must be of"),
        ({"noise": "off"}, "epsilon = 2 with noise = off"),
        ({"value_low": 5.0, "value_high": 5.0}, "the public bounds must be numbers"),
        ({"value_high": math.inf}, "the public bounds must be numbers"),
        ({"value_low": math.nan}, "the public bounds must be numbers"),
        ({"value_low": 7.0, "value_high": 7.000001}, "public bounds are too close"),
        ({"most_records": 2**25, "privacy_unit": "donor"}, "less than or equal to 16777216"),
        ({"expression": "counts", "value_low": 1.0}, "counts begin at 0"),
        ({"most_records": 5}, "most-records = 5 with privacy-unit = record"),
        ({"classes": "A"}, "a cohort needs two"),
        ({"classes": "A,B,A"}, "'A' is listed twice"),
        ({"generator_options": "bins = "}, "generator-options = 'bins = ': write them as"),
        ({"generator_options": "bins = 4, bins = 8"}, r"bins = 8': write .*key 'bins'"),
        ({"n_sites": 3, "noise_lost": 2, "noise_colluding": 1}, "of 3 sites leave none"),
        ({"gene_join": "union"}, "gene-join = union"),
        ({"classifier": "svm"}, "classifier = 'svm' is not of task = synthesize"),
    ],
)
def test_settings_that_are_no_privacy_or_no_sense_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        config_of(**settings)


def test_other_tasks_know_nothing_of_epsilon():
    with pytest.raises(ConfigError, match=r"epsilon = 1.0 is not of task = correct; leave it out"):
        RunConfig.parse({"epsilon": 1.0}, where="test")


def test_too_few_units_for_the_epsilon_are_said_before_any_is_spent(tmp_path):
    match = r"epsilon = 2 for 60 expected-units of 2 classes: .*it takes epsilon.*nothing is spent"
    with pytest.raises(ConfigError, match=match):
        synthesize(tmp_path / "out", cohorts(3), expected_units=60)
    log = lines(tmp_path / "out/sites/site-1/outbox.jsonl")
    assert not any(line["phase"] == "noised_sums" for line in log)
    run = synthesize(tmp_path / "more", cohorts(3), expected_units=6000)
    assert run["usefulness"]["grade"] == "good"
    # Without a guess it is told of the noisy counts, in the end.
    run = synthesize(tmp_path / "untold", cohorts(3))
    assert (run["usefulness"]["grade"], run["status"]) == ("none", "finished")


def test_a_simulation_by_donors_without_a_donor_key_does_not_start(tmp_path):
    folder = write_sites(tmp_path / "data", cohorts(2))
    values = {"task": "synthesize", "epsilon": 1.0, "privacy-unit": "donor", "data": str(folder)}
    with pytest.raises(ConfigError, match="privacy-unit = donor: name the obs column"):
        prepared(values, tmp_path / "out")
    assert prepared({**values, "donor-key": "donor"}, tmp_path / "out")[0].n_sites == 2


def test_a_listed_class_that_no_file_of_a_simulation_has_is_refused_before_it_starts(tmp_path):
    folder = write_sites(tmp_path / "data", cohorts(2))
    values = {"task": "synthesize", "epsilon": 1.0, "data": str(folder)}
    with pytest.raises(ConfigError, match=r"no file has 'Bb' in obs\['cell_type'\]: .*Known: A, B"):
        prepared({**values, "classes": "A,Bb"}, tmp_path / "out")
    assert prepared({**values, "classes": "A,B"}, tmp_path / "out")[0].n_sites == 2
    sexes = {**values, "classes": "A|f,B|m", "covariate-keys": "sex"}
    assert prepared(sexes, tmp_path / "out")[0].n_sites == 2


def test_an_unknown_generator_is_named(tmp_path):
    with pytest.raises(ConfigError, match="unknown generator 'tinny': did you mean 'tiny'"):
        synthesize(tmp_path / "out", cohorts(2), generator="tinny")


@pytest.mark.parametrize(
    ("generator", "options", "said"),
    [
        ("gaussian", "cout-weight = 1", "no option 'cout-weight': did you mean 'count-weight'"),
        ("star", "bin = 8", "generator star has no option 'bin': did you mean 'bins'"),
        ("copula", "copula_share = 0.2", "option 'copula_share': did you mean 'copula-share'"),
        ("cvae", "step = 3", "generator cvae has no option 'step': did you mean 'steps'"),
        ("auto", "bins = 8", "generator gaussian has no option 'bins'"),
        ("star", "bins = 4, bins = 8", "write them as .*key 'bins'"),
    ],
)
def test_a_misspelt_or_doubled_option_is_named_and_no_site_is_asked(
    tmp_path, generator, options, said
):
    with pytest.raises(ConfigError, match=said):
        synthesize(tmp_path / "out", cohorts(2), generator=generator, generator_options=options)
    assert not (tmp_path / "out/sites").exists()


def test_more_units_than_a_sum_holds_are_refused_before_any_is_paid(tmp_path, monkeypatch):
    monkeypatch.setattr("client.units.MOST_UNITS", 36)
    with pytest.raises(SiteFailure, match=r"site-3.*more than 36 units, which no sum holds"):
        synthesize(tmp_path / "out", cohorts(3))
    assert not list(tmp_path.glob("out/sites/*/privacy_budget.json"))
    # Its donors are five.
    donors = {"privacy_unit": "donor", "donor_key": "donor"}
    assert synthesize(tmp_path / "donors", cohorts(3), **donors)["status"] == "finished"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_none_is_named_before_any_site_pays(tmp_path, value):
    sites = cohorts(3)
    sites[1].X[3, 2] = value
    match = r"phase describe.*site-2.*1 NaN or infinite value\(s\).*the first at .*G2"
    with pytest.raises(SiteFailure, match=match):
        synthesize(tmp_path / "out", sites)
    for number in (1, 3):
        assert not (tmp_path / f"out/sites/site-{number}/privacy_budget.json").exists()


def test_values_outside_the_bounds_are_clipped_and_counted_at_the_site_alone(tmp_path):
    sites = cohorts(3)
    sites[0].X[0, :3] = [-4.0, 30.0, 1e6]
    settings = {**OFF, "value_low": 4.0, "value_high": 8.0}
    run = synthesize(tmp_path / "out", sites, **settings)
    expected = pooled_state(sites, ["A", "B"], **settings)
    for name, value in state_of(tmp_path / "out").items():
        np.testing.assert_array_equal(value, expected[name])
    outside = [int(((s.X < 4) | (s.X > 8)).sum()) for s in sites]
    for number, n in enumerate(outside, start=1):
        log = lines(tmp_path / f"out/sites/site-{number}/outbox.jsonl")
        assert {line["n_clipped"] for line in log if line["phase"] == "noised_sums"} == {n}
    assert "n_clipped" not in str(run)
    made = anndata.read_h5ad(tmp_path / "out/synthetic.h5ad").X
    assert made.min() >= 4
    assert made.max() <= 8


def test_a_donor_key_is_needed_where_donors_are_protected(tmp_path):
    donors = {"privacy_unit": "donor"}
    with pytest.raises(SiteFailure, match="privacy-unit = donor: name the obs column"):
        synthesize(tmp_path / "none", cohorts(2), **donors)
    with pytest.raises(SiteFailure, match=r"obs has no column 'patient'.*set donor-key"):
        synthesize(tmp_path / "other", cohorts(2), donor_key="patient", **donors)
    sites = cohorts(2)
    sites[0].obs.loc[sites[0].obs_names[4], "donor"] = None
    with pytest.raises(SiteFailure, match=r"1 record\(s\) have no donor in obs\['donor'\]"):
        synthesize(tmp_path / "gap", sites, donor_key="donor", **donors)


def test_a_class_at_one_site_only_is_left_out_and_said(tmp_path):
    sites = [*cohorts(2), cohort({"A": 9, "B": 9, "C": 30}, seed=7)]
    run = synthesize(tmp_path / "out", sites, **OFF)
    assert run["classes"] == ["A", "B"]
    assert run["left_out_labels"] == ["C"]
    log = lines(tmp_path / "out/sites/site-3/outbox.jsonl")
    assert {line["n_left_out"] for line in log if line["phase"] == "noised_sums"} == {30}
    # A public list is nobody's to hold.
    public = synthesize(tmp_path / "public", sites, classes="A,B,C", **OFF)
    assert public["synthetic"]["C"] == 30


def test_sites_without_a_common_class_have_nothing_to_make(tmp_path):
    sites = [cohort({"A": 9}, seed=1), cohort({"B": 9}, seed=2)]
    with pytest.raises(InputError, match="the sites agree on 0 class"):
        synthesize(tmp_path / "out", sites)


def test_fewer_records_than_classes_is_refused(tmp_path):
    sites = [cohort({"A": 1, "B": 1}, seed=s) for s in range(2)]
    with pytest.raises(InputError, match=r"the noisy counts tell of 4 records of 5 classes"):
        synthesize(tmp_path / "out", sites, classes="A,B,C,D,E", **OFF)
    # The releases are paid: they stay in the bundle.
    assert (tmp_path / "out/bundle/card.json").is_file()
    run = synthesize(tmp_path / "set", sites, classes="A,B,C,D,E", samples_per_class=2, **OFF)
    assert run["n_synthetic"] == 10


@pytest.mark.parametrize("name", ["gaussian", "star", "copula"])
def test_no_generator_makes_records_of_more_classes_than_it_has_seen_records(tmp_path, name):
    sites = [cohort({"A": 1, "B": 1}, seed=s) for s in range(2)]
    with pytest.raises(InputError, match=r"the noisy counts tell of 4 records of 5 classes"):
        synthesize(tmp_path / "out", sites, classes="A,B,C,D,E", generator=name, **OFF)


def test_genes_that_a_site_lacks_are_named(tmp_path):
    listed, sites = tmp_path / "genes.txt", cohorts(2)
    sites[1] = sites[1][:, :5].copy()
    listed.write_text("G1\nG7\n")
    with pytest.raises(GeneError, match=r"1 of 2 genes are not .* 'G7', which site-2 lacks"):
        synthesize(tmp_path / "out", sites, gene_list=str(listed))
    assert synthesize(tmp_path / "shared", sites, **OFF)["n_genes"] == 5
    for text, said in (("G1\n", "has 1 genes"), ("G1\nG1\n", "1 of them different")):
        listed.write_text(text)
        with pytest.raises(ConfigError, match=said):
            synthesize(tmp_path / f"few-{len(text)}", sites, gene_list=str(listed))
    with pytest.raises(ConfigError, match="needs an absolute path"):
        synthesize(tmp_path / "relative", sites, gene_list="genes.txt")


def test_a_label_with_the_sign_between_is_refused(tmp_path):
    sites = cohorts(2)
    sites[0].obs["cell_type"] = sites[0].obs["cell_type"].replace("A", "A|1")
    with pytest.raises(SiteFailure, match=r"'A\|1' holds '\|'"):
        synthesize(tmp_path / "out", sites, covariate_keys="sex")


def test_no_more_records_are_made_than_memory_holds():
    """At a tiny epsilon the noisy counts are noise, which may be of millions."""
    config = config_of(generator="star", epsilon=1e-5)
    made = generator_of(config, schema_of(config, [f"G{i}" for i in range(978)], ["A", "B"]))
    state = {"class_units": np.array([3e6, 1.0]), "n_counted": np.array(3e6)}
    with pytest.raises(InputError, match=r"3,000,001 records of 978 genes.*set samples-per-class"):
        counts_of(made, state, 0)
    assert counts_of(made, state, 3).tolist() == [3, 3]
