"""What is wrong with a run of classify is said by name, and ends it before anything is trained."""

import re

import numpy as np
import pytest

from common.boosting.site import BoostingSite
from common.bundle import Bundle
from common.classification.published import PublishedClassifier
from common.config import RunConfig
from common.errors import (
    ConfigError,
    InputError,
    PolicyError,
    SecureSumError,
    SiteFailure,
    WireError,
)
from common.policy import SitePolicy
from server.frozen import frozen_model
from tests.classified import classify, labelled_sites, plan_of
from tests.small_sites import federate, lines, run_json, site, three_sites, write_sites


def renamed(sites, number, before, after):
    """Sites of which one has another name for a type."""
    types = sites[number].obs["cell_type"].astype(object)
    sites[number].obs["cell_type"] = types.where(types != before, after)
    return sites


def fails(tmp_path, sites, error, match, **settings):
    data = write_sites(tmp_path / "data", sites)
    with pytest.raises(error, match=match):
        classify(tmp_path / "out", data, len(sites), **settings)
    run = run_json(tmp_path / "out")
    assert run["status"] == "failed"
    assert not (tmp_path / "out/metrics.jsonl").exists()
    return run


def test_a_site_without_labels_is_refused_by_name(tmp_path):
    sites = labelled_sites()
    sites[1].obs["cell_type"] = np.nan
    match = (
        r"site-2\.h5ad: no cell has a label in obs\['cell_type'\].*task = classify trains on labels"
    )
    fails(tmp_path, sites, SiteFailure, match)


def test_two_spellings_of_a_label_are_named_with_the_one_to_take(tmp_path):
    sites = renamed(labelled_sites(), 1, "B", "b ")
    match = r"differ only in case, spaces.*'b ' and 'B'.*rename 'b ' to 'B'"
    fails(tmp_path, sites, InputError, match)


def test_a_site_that_lacks_most_genes_is_named(tmp_path):
    sites = labelled_sites()
    sites[2] = sites[2][:, :15].copy()
    match = r"site 'site-3' lacks 75% of the 60 genes of the union .max-padded = 0.3."
    fails(tmp_path, sites, InputError, match, gene_join="union")
    sites[2].var_names = [f"other-{n}" for n in range(15)]
    fails(tmp_path / "none", sites, InputError, "no gene is shared")


def test_a_label_of_too_few_sites_is_refused_where_the_run_says_so(tmp_path):
    match = r"1 label\(s\) are held by fewer than 2 sites \('D' by 1\) and rare-labels = refuse"
    fails(tmp_path, labelled_sites(), InputError, match, rare_labels="refuse")


def test_sites_without_a_common_label_have_nothing_to_learn(tmp_path):
    sites = [site({("p", name): 60}, seed=n) for n, name in enumerate("ABC")]
    fails(tmp_path, sites, InputError, r"the sites agree on 1 class\(es\) \('other'\)")


def test_a_site_of_rare_labels_alone_takes_part_by_other_or_is_refused(tmp_path):
    sites = [*labelled_sites(), site({("t", "E"): 40}, seed=4)]
    run = classify(tmp_path / "with", write_sites(tmp_path / "d", sites), 4)
    assert run["classes"] == ["A", "B", "C", "other"]
    assert run["merged_labels"] == ["D", "E"]
    match = r"site-4: .*none of its labels is held by sites enough to be a class"
    fails(tmp_path, sites, SiteFailure, match, rare_labels="leave-out")


@pytest.mark.parametrize("name", ["logistic", "actinn", "xgboost"])
def test_a_site_of_one_class_trains_with_the_others(tmp_path, name):
    sites = [*labelled_sites(), site({("t", "A"): 40}, seed=4)]
    rounds = {} if name == "logistic" else {"rounds": 3}
    run = classify(
        tmp_path / "out", write_sites(tmp_path / "d", sites), 4, classifier=name, **rounds
    )
    assert run["status"] == "finished"
    assert run["test"]["accuracy"] > 0.6


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"classifier": "actin"}, r"unknown classifier 'actin': did you mean 'actinn'\? Known: "),
        ({"classifier": "svm", "classifier_form": "square"}, r"did you mean 'squared'"),
        ({"classifier": "actinn", "max_depth": 2}, "does not read max-depth = 2; leave it out"),
        ({"classifier": "xgboost", "strategy": "fedavg"}, "does not read strategy = fedavg"),
        ({"classifier": "logistic", "learning_rate": 0.1}, "does not read learning-rate"),
        ({"classifier": "actinn", "pseudo_count": 1.0}, "strategy = fedsgd.*pseudo-count = 1"),
        ({"patience": 3, "classifier": "actinn", "validation_share": 0.0}, "nothing tells when"),
    ],
)
def test_settings_that_a_classifier_does_not_read_are_refused(tmp_path, settings, match):
    with pytest.raises(ConfigError, match=match):
        plan_of(**settings)
    fails(tmp_path, labelled_sites(), ConfigError, match, **settings)


def test_a_bundle_of_another_task_is_refused(tmp_path):
    data = write_sites(tmp_path / "data", labelled_sites())
    classify(tmp_path / "classified", data, 3)
    federate(tmp_path / "corrected", write_sites(tmp_path / "three", three_sites()), 3)
    asked = "is a bundle of the task 'correct', and one of 'classify' is asked for; give the bundle"
    with pytest.raises(InputError, match=asked):
        PublishedClassifier.load(tmp_path / "corrected/bundle")
    bundle = tmp_path / "classified/bundle"
    match = "is a bundle of the task 'classify', and one of 'correct' is asked for; give the bundle"
    with pytest.raises(InputError, match=match):
        Bundle.load(bundle, "correct")
    with pytest.raises(InputError, match=match):
        frozen_model(RunConfig.parse({"model": str(bundle)}, where="test"))


def test_a_policy_wants_its_number_of_sites_behind_every_class():
    policy = SitePolicy()
    config = RunConfig.parse({"task": "classify"}, where="test")
    with pytest.raises(PolicyError, match=r"min-label-sites = 3.*of 2 sites; set label-sites"):
        policy.allow(config)
    policy.allow(RunConfig.parse({"task": "classify", "label-sites": 3}, where="test"))
    policy.allow(RunConfig.parse({"task": "correct"}, where="test"))


def dropping(phase, number):
    """A ``tamper`` that loses site 3 at its so-manieth reply of a phase."""
    seen = [0]

    def tamper(reply):
        if reply.metadata.message_type.endswith(phase) and reply.metadata.src_node_id == 3:
            seen[0] += 1
            if seen[0] >= number:
                return None
        return reply

    return tamper


@pytest.mark.parametrize(
    ("name", "phase"), [("logistic", "linear_gradient"), ("xgboost", "tree_sums")]
)
def test_exact_training_does_not_go_on_without_a_lost_site(tmp_path, name, phase):
    data = write_sites(tmp_path / "data", labelled_sites())
    settings = {"on_site_error": "continue", "deadlines": f"{phase}=0.5", "classifier": name}
    with pytest.raises(SecureSumError, match="2 of 3 sites answered"):
        classify(tmp_path / "out", data, 3, tamper=dropping(phase, 3), **settings)
    with pytest.raises(SecureSumError, match=r"a site was lost|sites were lost"):
        classify(
            tmp_path / "plain", data, 3, tamper=dropping(phase, 3), secure_sum="off", **settings
        )


def test_rounds_of_a_network_go_on_without_a_lost_site_and_no_test_shows_it(tmp_path):
    data = write_sites(tmp_path / "data", labelled_sites())
    settings = {"on_site_error": "continue", "deadlines": "classifier_fit_of_some=0.5"}
    settings |= {"classifier": "actinn", "rounds": 3, "readmit": False}
    tamper = dropping("classifier_fit_of_some", 2)
    run = classify(tmp_path / "out", data, 3, tamper=tamper, **settings)
    assert [line["n_sites"] for line in lines(tmp_path / "out/metrics.jsonl")] == [3, 2, 2]
    assert "test" not in run
    assert "validation" not in run
    text = (tmp_path / "out/classification.json").read_text()
    assert re.search("a site was lost; beside the counts of classes", text)


def test_a_site_that_answers_for_other_cells_is_found_out(tmp_path, monkeypatch):
    own = BoostingSite.answer

    def answer(self, request):
        sums = own(self, request)
        # Below the root one cell's part is missing.
        if request.slot_node.max() > 0 and len(self.labels) < 60:
            sums[0, -1] += np.uint64(1)
        return sums

    monkeypatch.setattr(BoostingSite, "answer", answer)
    data = write_sites(tmp_path / "data", labelled_sites())
    with pytest.raises(WireError, match="not of the cells that the round began with"):
        classify(tmp_path / "out", data, 3, classifier="xgboost", rounds=2)


def test_a_round_that_diverges_does_not_count(tmp_path):
    data = write_sites(tmp_path / "data", labelled_sites())
    settings = {"classifier": "actinn", "strategy": "fedavg", "learning_rate": 1e20, "rounds": 1}
    with pytest.raises((SecureSumError, SiteFailure), match="training diverged in round 1"):
        classify(tmp_path / "out", data, 3, **settings)


def test_labels_without_a_term_end_the_run_and_the_path_is_absolute(tmp_path):
    terms = tmp_path / "terms.csv"
    terms.write_text("label,cell_ontology_id,name\nA,CL:0000236,B cell\nB,CL:0000084,T cell\n")
    match = r"1 label\(s\) have no Cell Ontology term \('C'\)"
    settings = {"rare_labels": "leave-out"}
    fails(tmp_path, labelled_sites(), InputError, match, ontology=str(terms), **settings)
    with pytest.raises(ConfigError, match=r"ontology = 'terms\.csv': `flwr run` needs an absolute"):
        classify(tmp_path / "relative", tmp_path / "data", 3, ontology="terms.csv")
    terms.write_text(terms.read_text() + "C,CL:0000576,monocyte\n")
    classify(tmp_path / "good", tmp_path / "data", 3, ontology=str(terms), **settings)
    card = PublishedClassifier.load(tmp_path / "good/bundle").card
    assert card["terms"]["C"] == {"id": "CL:0000576", "name": "monocyte"}
