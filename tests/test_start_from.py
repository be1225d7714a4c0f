"""A run of classify that starts from a bundle: its genes, classes and values, and what it took."""

import json
import shutil

import anndata
import numpy as np
import pytest
import torch

from cli.fine_tune import fine_tuning_settings
from client.labelling import label
from common.bundle import Bundle
from common.classification.extended_head import extended_state, head_names
from common.classification.extended_vocabulary import as_published, extended, untrained
from common.classification.published import PublishedClassifier
from common.classification.vocabulary import LabelVocabulary
from common.config import RunConfig
from common.errors import ConfigError, GeneError, InputError, RunError, SyncytiumError
from common.models.classifiers.build import build_classifier, restore_classifier, shape_of
from common.models.classifiers.registry import CLASSIFIERS
from common.models.state import state_of
from common.training_energy import all_of, amortised
from report.fine_tuning import fine_tuning
from server.starting_point import starting_point
from tests.classified import PooledCells, classify, labelled_sites, plan_of
from tests.in_process import Stopped, stopping
from tests.small_sites import leftovers, lines, run_json, site, write_sites

CPU = torch.device("cpu")
SITES = labelled_sites()
# Of types that the bundle has, and one that it has not.
NEW = {("t", "A"): 40, ("t", "B"): 30, ("t", "N"): 25}
NETWORKS = [name for name in CLASSIFIERS.names() if CLASSIFIERS.get(name).fitted == "network"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three sites' bundles of actinn and logistic, the files of a fourth site, and of two."""
    folder = tmp_path_factory.mktemp("start")
    data = write_sites(folder / "three", SITES)
    for name, rounds in (("actinn", 15), ("logistic", 40)):
        settings = {"classifier": name, "rare_labels": "leave-out", "n_top_genes": 30}
        classify(folder / name, data, 3, rounds=rounds, **settings)
    write_sites(folder / "new", [site(NEW, seed=9)])
    write_sites(folder / "two", [site(NEW, seed=9), site(NEW, seed=10)])
    return folder


def start(out, data, n_sites, bundle, **settings):
    """A run from a bundle; of one site, in the clear."""
    alone = {"min_sites": 1, "secure_sum": "off"} if n_sites == 1 else {}
    own = {"n_top_genes": 2000, "start_from": str(bundle), **alone}
    return classify(out, data, n_sites, **{**own, **settings})


def logits(bundle, sites):
    published = PublishedClassifier.load(bundle)
    genes = published.panel.genes
    config, _ = plan_of(classifier="actinn")
    known = replace_labels(sites, published.vocabulary.classes)
    pooled = PooledCells(known, published, config)
    assert list(genes) == list(published.panel.genes)
    rows = np.arange(len(pooled.y))
    return published, published.trained.logits(pooled.matrix, rows, CPU)


def replace_labels(sites, classes):
    """Copies whose labels are all among some classes."""
    copies = []
    for own in sites:
        own = own.copy()
        labels = own.obs["cell_type"].astype(str)
        own.obs["cell_type"] = labels.where(labels.isin(classes), classes[0])
        copies.append(own)
    return copies


@pytest.mark.parametrize("name", ["actinn", "logistic"])
@pytest.mark.parametrize("n_sites", [1, 2])
def test_before_training_it_answers_as_the_bundle(folder, tmp_path, name, n_sites):
    """A run whose first model has the target already keeps it: the bundle's, and an output."""
    data = folder / {1: "new", 2: "two"}[n_sites]
    settings = {"classifier": name, "target_f1": 1e-6}
    run = start(tmp_path / "out", data, n_sites, folder / name / "bundle", **settings)
    assert run["target_reached"] == 0
    assert run["classes"] == ["A", "B", "C", "N"]
    assert run["new_classes"] == ["N"]
    before, old = logits(folder / name / "bundle", SITES)
    after, new = logits(tmp_path / "out/bundle", SITES)
    assert before.vocabulary.classes == ("A", "B", "C")
    # As near as a product of other widths is.
    np.testing.assert_allclose(new[:, :3], old, atol=1e-5)
    for key, value in before.trained.state.items():
        rows = value.shape[0] if value.shape else None
        np.testing.assert_array_equal(after.trained.state[key][:rows], value)
    assert after.panel.genes == before.panel.genes
    np.testing.assert_array_equal(after.panel.mean, before.panel.mean)
    np.testing.assert_array_equal(after.panel.sd, before.panel.sd)
    # Genes are not chosen anew.
    phases = {line["phase"] for line in lines(tmp_path / "out/ledger.jsonl")}
    assert not phases & {"moments", "marker_genes"}
    assert leftovers(tmp_path / "out") == []


@pytest.mark.parametrize("name", ["actinn", "logistic"])
def test_with_no_new_class_it_is_the_bundle_to_the_bit(folder, tmp_path, name):
    data = write_sites(tmp_path / "data", [site({("t", "A"): 40, ("t", "B"): 30}, seed=9)])
    settings = {"classifier": name, "target_f1": 1e-6}
    start(tmp_path / "out", data, 1, folder / name / "bundle", **settings)
    old, new = (logits(f / "bundle", SITES)[1] for f in (folder / name, tmp_path / "out"))
    np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("name", ["actinn", "logistic"])
@pytest.mark.parametrize("n_sites", [1, 2])
def test_a_new_class_is_learned_and_later_answered(folder, tmp_path, name, n_sites):
    data = folder / {1: "new", 2: "two"}[n_sites]
    run = start(tmp_path / "out", data, n_sites, folder / name / "bundle", classifier=name)
    assert run["status"] == "finished"
    site(NEW, seed=11).write_h5ad(tmp_path / "later.h5ad")
    how = {"settings": {}, "reading": {"report": False}, "min_confidence": 0.0}
    label(tmp_path / "out/bundle", tmp_path / "later.h5ad", tmp_path / "labelled", **how)
    labelled = anndata.read_h5ad(tmp_path / "labelled/labelled.h5ad")
    answers = labelled.obs["syncytium_most_probable"].astype(str)
    truth = labelled.obs["cell_type"].astype(str)
    assert (answers == truth)[truth == "N"].mean() > 0.9
    assert (answers == truth).mean() > 0.9


def test_masked_training_is_the_plain_one(folder, tmp_path):
    made = []
    for sums in ("masked", "off"):
        settings = {"classifier": "actinn", "secure_sum": sums, "rounds": 3}
        start(tmp_path / sums, folder / "two", 2, folder / "actinn/bundle", **settings)
        made.append(PublishedClassifier.load(tmp_path / sums / "bundle").trained.state)
    masked, plain = made
    before = PublishedClassifier.load(folder / "actinn/bundle").trained.state
    for key, value in plain.items():
        np.testing.assert_allclose(masked[key], value, atol=1e-5)
    assert np.abs(plain["layers.0.weight"] - before["layers.0.weight"]).max() > 1e-3


@pytest.mark.parametrize("name", [*NETWORKS, "logistic", "svm"])
def test_every_network_gets_outputs_for_new_classes(name):
    """Its answers for known classes are as they were, in any order."""
    shape = shape_of(name)
    model = build_classifier(name, shape, 50, 3, seed=1)
    model.take_moments(np.full(50, 0.5), np.ones(50))
    if "selected" in state_of(model) and name == "scdlc":
        assert not (model.selected < 0).any()
    x = torch.rand(7, 50)
    before, after = ("A", "B", "other"), ("A", "B", "M", "N", "other")
    how = {"name": name, "shape": shape, "n_genes": 50, "seed": 2}
    state = extended_state(state_of(model), before, after, **how)
    longer = restore_classifier(name, shape, 50, 5, state)
    with torch.no_grad():
        old, new = model.eval()(x), longer.eval()(x)
    torch.testing.assert_close(new[:, [0, 1, 4]], old, rtol=1e-5, atol=1e-6)
    assert 1 <= len(head_names(name, shape, 50)) <= 2
    fresh = [state[key][2:4] for key in head_names(name, shape, 50)]
    assert any(np.abs(rows).max() > 0 for rows in fresh) == (name not in ("logistic", "svm"))
    assert all(
        np.array_equal(state[k], v)
        for k, v in state_of(model).items()
        if k not in head_names(name, shape, 50)
    )


@pytest.mark.parametrize(
    ("base", "held", "expected"),
    [
        # New labels pass by the usual rules, sorted after the bundle's.
        ({"labels": ("B", "A")}, {"A": 3, "Z": 2, "D": 2}, (("B", "A", "D", "Z"), (), (), ())),
        ({"labels": ("A", "B")}, {"A": 3, "Z": 1}, (("A", "B"), (), ("Z",), ())),
        # `other` stays the last class; its labels stay in it.
        (
            {"labels": ("A", "B"), "merged": ("R",)},
            {"A": 2, "R": 2, "N": 2, "S": 1},
            (("A", "B", "N", "other"), ("R", "S"), (), ()),
        ),
        # What the bundle left out may be a class now.
        ({"labels": ("A", "B"), "left_out": ("C",)}, {"C": 2}, (("A", "B", "C"), (), (), ())),
        ({"labels": ("A", "B"), "left_out": ("C",)}, {"C": 1}, (("A", "B"), (), ("C",), ())),
        # A class that a single site holds stays, and its cells do not count.
        ({"labels": ("A", "B")}, {"A": 1, "B": 2}, (("A", "B"), (), (), ("A",))),
    ],
)
def test_classes_are_the_bundles_and_new_ones(base, held, expected):
    rare = "other" if base.get("merged") else "leave-out"
    found = extended(LabelVocabulary(**base), held, min_holders=2, rare=rare)
    public = as_published(found)
    assert (public.classes, public.merged, public.left_out, tuple(untrained(found))) == expected


def test_cells_of_a_class_that_one_of_two_sites_holds_are_not_counted(folder, tmp_path):
    """Their number would be that site's; the class is kept as the bundle has it."""
    sites = [site(NEW, seed=9), site({("u", "B"): 30, ("u", "N"): 30}, seed=12)]
    data = write_sites(tmp_path / "data", sites)
    settings = {"classifier": "actinn", "rounds": 2}
    run = start(tmp_path / "out", data, 2, folder / "actinn/bundle", **settings)
    assert run["untrained_labels"] == ["A"]
    assert run["classes"] == ["A", "B", "C", "N"]
    # A share of .7 of B and N alone.
    assert run["n_train"] == pytest.approx(0.7 * (30 + 25 + 30 + 30), abs=4)
    assert PublishedClassifier.load(tmp_path / "out/bundle").vocabulary.left_out == ("D",)
    assert "Too few sites hold A" in " ".join(fine_tuning(run))


@pytest.mark.parametrize(
    ("name", "phase", "n"), [("actinn", "classifier_fit", 3), ("logistic", "linear_gradient", 4)]
)
def test_a_stopped_run_goes_on_with_the_same_bundle_alone(folder, tmp_path, name, phase, n):
    bundle = tmp_path / "bundle"
    shutil.copytree(folder / name / "bundle", bundle)
    settings = {"classifier": name, "rounds": 6}
    start(tmp_path / "whole", folder / "new", 1, bundle, **settings)
    with pytest.raises(Stopped):
        start(tmp_path / "out", folder / "new", 1, bundle, tamper=stopping(phase, n), **settings)
    again = {**settings, "resume": True, "run_id": 8}
    other = tmp_path / "whole/bundle"
    shutil.rmtree(bundle)
    shutil.copytree(other, bundle)
    with pytest.raises(RunError, match="is another one than when the run began: put it back"):
        start(tmp_path / "out", folder / "new", 1, bundle, **again)
    shutil.rmtree(bundle)
    shutil.copytree(folder / name / "bundle", bundle)
    run = start(tmp_path / "out", folder / "new", 1, bundle, **again)
    assert run["status"] == "finished"
    one, two = (PublishedClassifier.load(tmp_path / k / "bundle") for k in ("whole", "out"))
    tolerance = 0.0 if name == "actinn" else 0.1
    for key, value in one.trained.state.items():
        np.testing.assert_allclose(two.trained.state[key], value, atol=tolerance)


def without_genes(n):
    own = site(NEW, seed=9)
    return own[:, [g for g in own.var_names if int(g[1:]) >= n]].copy()


def spelled(name):
    own = site(NEW, seed=9)
    own.obs["cell_type"] = own.obs["cell_type"].astype(str).replace("A", name)
    return own


@pytest.mark.parametrize(
    ("made", "settings", "error", "match"),
    [
        (spelled("a"), {}, InputError, "'a' and 'A': rename 'a' to 'A'"),
        (without_genes(40), {}, GeneError, "of the bundle's model"),
        (
            None,
            {"classifier": "scsmd"},
            ConfigError,
            "classifier = 'scsmd', and the bundle .* 'actinn': set classifier",
        ),
        (
            None,
            {"classifier_form": "reduced"},
            ConfigError,
            "classifier-form = 'reduced', and the bundle",
        ),
        (None, {"n_top_genes": 30}, ConfigError, "n-top-genes = 30: with start-from"),
        (None, {"gene_join": "union"}, ConfigError, "gene-join = 'union': with start-from"),
        (
            None,
            {"start_from": "bundle"},
            ConfigError,
            "start-from = 'bundle': `flwr run` needs an absolute path",
        ),
        (None, {"start_from": "/nowhere"}, InputError, "/nowhere is not a bundle"),
        (
            None,
            {"start_from": "", "scratch_kwh": 1.0},
            ConfigError,
            "scratch-kwh = 1 without start-from",
        ),
    ],
)
def test_what_does_not_fit_the_bundle_is_refused(folder, tmp_path, made, settings, error, match):
    data = folder / "new" if made is None else write_sites(tmp_path / "data", [made])
    settings = {"classifier": "actinn", "rounds": 1, **settings}
    with pytest.raises(SyncytiumError, match=match) as caught:
        start(tmp_path / "out", data, 1, folder / "actinn/bundle", **settings)
    assert isinstance(caught.value, error)


def test_forests_and_corrections_are_no_start(folder, tmp_path):
    settings = {"classifier": "xgboost", "rounds": 2}
    classify(tmp_path / "trees", folder / "three", 3, **settings)
    with pytest.raises(ConfigError, match="is a forest, whose trees are of the bins"):
        start(tmp_path / "out", folder / "new", 1, tmp_path / "trees/bundle", classifier="xgboost")


def test_a_few_lacking_genes_count_as_zeros(folder, tmp_path):
    data = write_sites(tmp_path / "data", [without_genes(6)])
    settings = {"classifier": "actinn", "rounds": 1}
    run = start(tmp_path / "out", data, 1, folder / "actinn/bundle", **settings)
    genes = Bundle.load(folder / "actinn/bundle").panel.genes
    lacks = sum(int(gene[1:]) < 6 for gene in genes)
    assert run["padded"]["site-1"] == pytest.approx(max(lacks / len(genes), 6 / 60))


def test_the_card_says_what_its_training_and_those_before_it_took(folder, tmp_path):
    card = Bundle.load(folder / "actinn/bundle").card
    first, run = card["training_energy"], run_json(folder / "actinn")
    assert first["known"]
    assert first["earlier"] == []
    assert first["kwh"] == pytest.approx(first["sites"]["kwh"] + first["coordinator"]["kwh"])
    # Up to publication: less than the whole run, and nearly all of it.
    for who in ("sites", "coordinator"):
        assert 0 < first[who]["kwh"] <= run["energy"][who]["kwh"] * (1 + 1e-6)
    assert first["sites"]["kwh"] > 0.5 * run["energy"]["sites"]["kwh"]
    bundle, kwhs = folder / "actinn/bundle", [first["kwh"]]
    for number in (1, 2):
        out = tmp_path / str(number)
        settings = {"classifier": "actinn", "rounds": 1, "scratch_kwh": 1.0}
        run = start(out, folder / "new", 1, bundle, **settings)
        own = Bundle.load(out / "bundle").card
        assert own["started_from"]["bundle"] == Bundle.load(bundle).digest
        energy = own["training_energy"]
        assert [one["kwh"] for one in energy["earlier"]] == pytest.approx(kwhs)
        assert run["fine_tuning"]["bundle"]["kwh"] == pytest.approx(sum(kwhs))
        users = run["fine_tuning"]["users"]
        for n in (1, 10, 100):
            assert users[str(n)]["kwh"] == pytest.approx(sum(kwhs) / n + energy["kwh"])
        expected = sum(kwhs) / (1.0 - energy["kwh"])
        assert run["fine_tuning"]["break_even_users"] == pytest.approx(expected)
        text = (out / "report.html").read_text()
        assert "own training took" in text
        assert "saves energy from 1 user on" in text
        kwhs.append(energy["kwh"])
        bundle = out / "bundle"


def test_energy_that_is_not_known_ends_no_run_and_is_told(folder, tmp_path, monkeypatch):
    from common.errors import SecureSumError

    def fails(session, folder, *, last=True):
        if not last:
            raise SecureSumError("no sum")

    monkeypatch.setattr("server.training_energy.sum_of_sites", fails)
    settings = {"classifier": "actinn", "rounds": 1}
    run = start(tmp_path / "out", folder / "new", 1, folder / "actinn/bundle", **settings)
    assert run["status"] == "finished"
    said = Bundle.load(tmp_path / "out/bundle").card["training_energy"]
    assert (said["known"], said["reason"]) == (False, "no sum")
    assert "users" not in run["fine_tuning"]
    assert "what is not known (no sum)" in " ".join(fine_tuning(run))
    monkeypatch.undo()
    # A chain is known only whole.
    run = start(tmp_path / "next", folder / "new", 1, tmp_path / "out/bundle", **settings)
    assert not run["fine_tuning"]["bundle"]["known"]
    assert "that of run 7 is not known" in " ".join(fine_tuning(run))


def test_break_even_is_by_the_energy_saved():
    bundle = all_of([{"known": True, "kwh": 6.0, "kg": 2.0, "source": "measured", "run": "1"}])
    own = {"known": True, "kwh": 1.0, "kg": 0.5}
    figures = amortised(bundle, own, scratch_kwh=4.0)
    assert figures["break_even_users"] == 2.0
    assert figures["users"]["10"] == {"kwh": pytest.approx(1.6), "kg": pytest.approx(0.7)}
    assert amortised(bundle, own, scratch_kwh=1.0)["break_even_users"] is None
    assert "break_even_users" not in amortised(bundle, own)


def test_settings_of_the_command_are_those_of_a_run(folder):
    for name, strategy in (("actinn", "fedavg"), ("logistic", "fedavg")):
        values = fine_tuning_settings(folder / name / "bundle")
        config = RunConfig.parse(values, where="test")
        assert config.strategy_name == strategy
        assert starting_point(config).published.trained.plan.name == name
    card = json.loads((folder / "actinn/bundle/card.json").read_text())
    assert card["classifier"]["name"] == "actinn"
