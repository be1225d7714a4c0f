"""A whole run of ``synthesize``: what is fitted, what is written, and that it equals pooled."""

import json

import anndata
import numpy as np
import pytest

from cli.console import console
from cli.summaries import summarise
from common.errors import ConfigError, InputError, RunError
from common.privacy import distributed_noise
from common.privacy.composition import composed_epsilon
from common.privacy.spends import GaussianSpend
from common.synthesis.of_run import generator_of, schema_of
from common.synthesis.pooled import mu_of_run, variance_of
from common.synthesis.published import PublishedCohort
from common.synthesis.registry import GENERATORS
from common.synthesis.rule import generator_for
from tests.in_process import Stopped, stopping
from tests.small_cohorts import (
    GENES,
    OFF,
    cohort,
    cohorts,
    config_of,
    pooled_state,
    published_state,
    synthesize,
)
from tests.small_sites import leftovers, lines, write_sites
from tests.test_cli import call, refused


def same(state, expected):
    assert set(state) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


@pytest.mark.parametrize("n_sites", [2, 3, 7])
def test_without_noise_the_state_is_that_of_the_pooled_records(tmp_path, n_sites):
    sites = cohorts(n_sites)
    synthesize(tmp_path / "out", sites, **OFF)
    same(published_state(tmp_path / "out"), pooled_state(sites, ["A", "B"], **OFF))


@pytest.mark.parametrize("unit", ["record", "donor"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, "steps = 3" if name == "cvae" else "") for name in GENERATORS.names()),
        ("gaussian", "contrast-share = 0.05, classes-share = 0.5"),
    ],
)
def test_every_generator_is_fitted_as_pooled(tmp_path, name, options, unit):
    sites = cohorts(3)
    settings = {**OFF, "generator": name, "privacy_unit": unit, "donor_key": "donor"}
    settings["generator_options"] = options
    synthesize(tmp_path / "out", sites, **settings)
    same(published_state(tmp_path / "out"), pooled_state(sites, ["A", "B"], **settings))


def test_the_rule_names_the_generator_of_a_run_that_names_none(tmp_path):
    run = synthesize(tmp_path / "out", cohorts(2), generator="auto")
    assert run["generator"] == run["privacy"]["generator"] == "gaussian"
    assert PublishedCohort.load(tmp_path / "out/bundle").generator.name == "gaussian"
    for told, reckoned in ((0, 1000), (60, 60)):
        config = config_of(generator="auto", expected_units=told)
        made = generator_of(config, schema_of(config, GENES, ("A", "B")))
        assert made.options == generator_for(reckoned, len(GENES), 2, 2.0, config.delta)[1]
    counted = config_of(generator="auto", expression="counts", generator_options="rank = 3")
    made = generator_of(counted, schema_of(counted, GENES, ("A", "B")))
    assert (made.name, made.options["rank"]) == ("copula", 3)


@pytest.mark.parametrize("generator", ["auto", "gaussian"])
def test_classes_differ_in_the_genes_that_a_run_names(tmp_path, generator):
    named = [GENES[4], GENES[1]]
    # Noise would hide the few units' differences in these, too.
    settings = {**OFF, "generator": generator}
    settings["generator_options"] = f"class-genes = {json.dumps(named)}"
    run = synthesize(tmp_path / "out", cohorts(2), **settings)
    assert run["privacy"]["options"]["class-genes"] == named
    means = PublishedCohort.load(tmp_path / "out/bundle").state["means"]
    differ = [gene for gene, of_class in zip(GENES, means.T, strict=True) if np.ptp(of_class) > 0]
    assert differ == sorted(named, key=GENES.index)


def test_a_gene_that_no_site_has_is_named_before_anything_is_spent(tmp_path):
    settings = {"generator": "gaussian", "generator_options": 'class-genes = ["ESR1"]'}
    with pytest.raises(ConfigError, match=r"none of the run's \d+ genes: 'ESR1'"):
        synthesize(tmp_path / "out", cohorts(2), **settings)
    log = lines(tmp_path / "out/sites/site-1/outbox.jsonl")
    assert log
    assert not any(line["phase"] == "noised_sums" for line in log)


def test_donors_are_whole_in_every_block(tmp_path, monkeypatch):
    """However small the blocks are in which a site reads its records."""
    monkeypatch.setattr("client.units.BLOCK", 4)
    sites = cohorts(3)
    unit = {**OFF, "privacy_unit": "donor", "donor_key": "donor"}
    synthesize(tmp_path / "out", sites, **unit)
    expected = pooled_state(sites, ["A", "B"], **unit)
    same(published_state(tmp_path / "out"), expected)
    by_record = pooled_state(sites, ["A", "B"], **OFF)
    assert not np.array_equal(expected["class_units"], by_record["class_units"])


def test_the_sum_holds_the_sites_shares_and_nothing_else(tmp_path, monkeypatch):
    drawn = []
    real = distributed_noise.discrete_gaussian

    def recorded(variance, n):
        drawn.append((variance, real(variance, n)))
        return drawn[-1][1]

    monkeypatch.setattr(distributed_noise, "discrete_gaussian", recorded)
    sites = cohorts(4)
    run = synthesize(tmp_path / "out", sites, noise_lost=1, noise_colluding=1, epsilon=8.0)
    assert len(drawn) == 2 * 4
    stages = run["privacy"]["stages"]
    for number, name in enumerate(stages):
        variances = {variance for variance, _ in drawn[4 * number : 4 * number + 4]}
        assert len(variances) == 1
        assert stages[name]["sigma"] ** 2 == pytest.approx(4 * float(variances.pop()))
    noise = sum(values for _, values in drawn[4:])
    state = published_state(tmp_path / "out")
    assert state["noise_sd"] == pytest.approx(stages["sums"]["sigma"])
    # The second release's statistics do not depend on the noise of the first.
    without = pooled_state(sites, ["A", "B"], **OFF)
    np.testing.assert_array_equal(state["total"], without["total"] + noise)
    assert (np.abs(noise) > 0).any()


@pytest.mark.parametrize("n_sites", [2, 5])
def test_the_noise_is_a_trusted_centres_whatever_the_number_of_sites(tmp_path, n_sites):
    run = synthesize(tmp_path / "out", cohorts(n_sites))
    mu = mu_of_run(2.0, 1e-5)
    schema = schema_of(config_of(), sorted(GENES), ["A", "B"])
    for stage in generator_of(config_of(), schema).stages:
        stated = run["privacy"]["stages"][stage.name]
        assert stated["sigma"] ** 2 == pytest.approx(float(variance_of(stage, mu)), rel=1e-12)
    assert run["privacy"]["epsilon_outsiders"] == pytest.approx(2.0, rel=1e-4)
    assert run["privacy"]["epsilon_outsiders"] <= 2.0


def test_the_statement_is_what_the_stages_compose_to(tmp_path):
    run = synthesize(tmp_path / "out", cohorts(4), noise_colluding=1)
    privacy = run["privacy"]
    assert (privacy["epsilon"], privacy["delta"], privacy["unit"]) == (2.0, 1e-5, "record")
    spends = [GaussianSpend(mu=stage["mu"]) for stage in privacy["stages"].values()]
    assert privacy["epsilon_outsiders"] == pytest.approx(composed_epsilon(spends, 1e-5), rel=1e-6)
    # Four shares where three suffice: outsiders meet more noise, one colluding site just enough.
    against = privacy["epsilon_colluding"]
    assert privacy["epsilon_outsiders"] < against["1"] <= 2.0 < against["2"] < against["3"]
    assert against["1"] == pytest.approx(2.0, rel=1e-4)
    assert any("which labels" in what for what in privacy["not_covered"])
    kept = anndata.read_h5ad(tmp_path / "out/synthetic.h5ad").uns["privacy"]
    assert float(kept["epsilon"]) == 2.0
    assert kept["epsilon_colluding"]["1"] == against["1"]
    assert kept["stages"]["sums"]["l2"] == 4096
    public = synthesize(tmp_path / "public", cohorts(4), classes="A,B")
    assert public["privacy"]["not_covered"] == []


def test_the_files_of_a_run(tmp_path):
    out = tmp_path / "out"
    run = synthesize(out, cohorts(3), samples_per_class=7)
    made = anndata.read_h5ad(out / "synthetic.h5ad")
    assert made.X.dtype == np.float32
    assert made.shape == (14, len(GENES))
    assert made.obs["cell_type"].value_counts().to_dict() == {"A": 7, "B": 7}
    assert list(made.var_names) == sorted(GENES)
    assert made.uns["privacy"]["generator"] == "tiny"
    assert "log" in made.uns["privacy"]["values"]
    assert run["synthetic"] == {"A": 7, "B": 7}
    assert run["energy"]["sites"]["known"]
    assert leftovers(out) == []
    assert not list(out.glob("sites/*/cache"))
    json.loads((out / "run.json").read_text(), parse_constant=pytest.fail)
    off = synthesize(tmp_path / "off", cohorts(3), **OFF)
    assert off["privacy"]["epsilon"] is None
    assert np.isinf(anndata.read_h5ad(tmp_path / "off/synthetic.h5ad").uns["privacy"]["epsilon"])


def test_as_many_records_as_the_noisy_counts_say(tmp_path):
    sites = cohorts(3)
    run = synthesize(tmp_path / "out", sites, **OFF)
    n = {c: sum(int((s.obs["cell_type"] == c).sum()) for s in sites) for c in "AB"}
    assert run["synthetic"] == n


def test_more_is_sampled_for_free(tmp_path):
    out, more = tmp_path / "out", tmp_path / "more.h5ad"
    synthesize(out, cohorts(3))
    assert call("sample", out / "bundle", "--out", more, "--seed", 42).exit_code == 0
    first, again = anndata.read_h5ad(out / "synthetic.h5ad"), anndata.read_h5ad(more)
    np.testing.assert_array_equal(first.X, again.X)
    assert again.uns["privacy"]["epsilon"] == first.uns["privacy"]["epsilon"]
    assert "exists and is left as it is" in refused("sample", out / "bundle", "--out", more)
    more.unlink()
    called = call("sample", out / "bundle", "--out", more, "--n-per-class", 5, "--seed", 1)
    assert called.exit_code == 0
    assert anndata.read_h5ad(more).n_obs == 10
    assert "does not end with .h5ad" in refused("sample", out / "bundle", "--out", tmp_path / "x")
    card = out / "bundle/card.json"
    card.write_text(card.read_text().replace('"epsilon": 2.0', '"epsilon": 1.0'))
    with pytest.raises(InputError, match="differs from its own hash"):
        PublishedCohort.load(out / "bundle")


def test_what_is_said_in_the_end(tmp_path, capsys):
    run = synthesize(tmp_path / "out", [*cohorts(2), cohort({"A": 9, "C": 9}, seed=7)])
    capsys.readouterr()
    summarise(run, tmp_path / "out", console())
    said = capsys.readouterr().out
    for part in (
        "2 classes by tiny, from sums over 3 sites (8 genes)",
        "privacy epsilon 2 at delta 1e-05, for a record more or less",
        "against 1 colluding site: epsilon 2.",
        "left out C: too few sites hold it",
        "not covered which labels each site has",
        "synthetic.h5ad",
    ):
        assert part in said
    off = synthesize(tmp_path / "off", cohorts(2), **OFF)
    summarise(off, tmp_path / "off", console())
    said = capsys.readouterr().out
    assert "not covered anything: there is no noise" in said
    assert "privacy" not in said


def test_classes_of_label_and_covariates(tmp_path):
    sites = cohorts(3)
    run = synthesize(tmp_path / "out", sites, covariate_keys="sex", **OFF)
    assert run["classes"] == ["A|f", "A|m", "B|f", "B|m"]
    made = run["synthetic"]
    women = sum(int(((s.obs["cell_type"] == "A") & (s.obs["sex"] == "f")).sum()) for s in sites)
    assert made["A|f"] == women


def test_a_list_of_genes(tmp_path):
    listed = tmp_path / "genes.txt"
    listed.write_text("G5\nG1\n\nG2\n")
    run = synthesize(tmp_path / "out", cohorts(3), gene_list=str(listed))
    assert run["n_genes"] == 3
    assert list(anndata.read_h5ad(tmp_path / "out/synthetic.h5ad").var_names) == ["G5", "G1", "G2"]


def test_a_stopped_run_goes_on_with_the_releases_that_are_left(tmp_path):
    out, sites = tmp_path / "out", cohorts(3)
    data = write_sites(tmp_path / "data", sites)
    with pytest.raises(Stopped):
        synthesize(out, data, n=3, tamper=stopping("noised_sums", times=4))
    run = synthesize(out, data, n=3, resume=True, run_id=8)
    assert run["status"] == "finished"
    asked = [
        (line["run"], line["round"])
        for line in lines(out / "sites/site-1/outbox.jsonl")
        if line["phase"] == "noised_sums"
    ]
    # The second release was paid, and its sum never opened: it is paid once more.
    assert asked == [("7", 1), ("7", 2), ("8", 2)]
    with pytest.raises(RunError, match="is finished"):
        synthesize(out, data, n=3, resume=True, run_id=9)


def test_counts_are_read_as_counts(tmp_path):
    sites = cohorts(3)
    for data in sites:
        data.X = np.rint(data.X).astype(np.float32)
    settings = {**OFF, "expression": "counts", "value_high": 50.0}
    run = synthesize(tmp_path / "out", sites, **settings)
    assert run["privacy"]["values"] == "raw counts"
    same(published_state(tmp_path / "out"), pooled_state(sites, ["A", "B"], **settings))


def test_crypten_shares_add_up_to_the_same(tmp_path):
    sites = cohorts(3)
    synthesize(tmp_path / "out", sites, secure_sum="crypten", **OFF)
    same(published_state(tmp_path / "out"), pooled_state(sites, ["A", "B"], **OFF))


def test_one_class_of_a_site_is_read_by_name(tmp_path):
    """A site without B adds nothing to it, whatever its own order of labels is."""
    sites = [*cohorts(2), cohort({"A": 12}, seed=5)]
    synthesize(tmp_path / "out", sites, **OFF)
    same(published_state(tmp_path / "out"), pooled_state(sites, ["A", "B"], **OFF))
