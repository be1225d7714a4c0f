"""A federated evaluation: equal to the pooled one, right about good and bad runs, harmless."""

import json

import numpy as np
import pytest

from client.kept_cells import KeptCells
from common.bundle import Bundle
from common.config import RunConfig
from common.models.build import restore_model
from common.presets import resolve
from strategies.records import values_of
from tests.in_process import Stopped, stopping
from tests.pooled_evaluation import pooled_figures
from tests.small_sites import TINY, federate, leftovers, lines, site, three_sites, write_sites

PHASES = ("evaluation_axes", "evaluation_moments", "evaluation_features", "evaluation_probe")


def result_of(out):
    return json.loads((out / "federated_evaluation.json").read_text())


def model_of(out, **settings):
    values = {key.replace("_", "-"): value for key, value in {**TINY, **settings}.items()}
    bundle = Bundle.load(out / "bundle")
    preset = resolve(RunConfig.parse(values, where="test"))
    return restore_model(preset, len(bundle.panel.genes), bundle.state)


def assert_close(found, expected, path=""):
    """Every number of ``expected``, to 1e-6."""
    for key, value in expected.items():
        if isinstance(value, dict):
            assert_close(found[key], value, f"{path}/{key}")
        else:
            assert found[key] == pytest.approx(value, abs=1e-6, rel=1e-6), f"{path}/{key}"


def unequal_sites():
    """Batches within sites, a batch of one cell, types of one site, unlabelled cells."""
    sites = three_sites()
    sites[2] = site(
        {("s", "A"): 22, ("s", "B"): 21, ("t", "A"): 9, ("t", "B"): 4, ("t", "D"): 1}, seed=3
    )
    cells = np.random.default_rng(0).choice(sites[0].n_obs, 17, replace=False)
    sites[0].obs.loc[sites[0].obs_names[cells], "cell_type"] = np.nan
    return sites


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder, asked = tmp_path_factory.mktemp("evaluated"), []

    def keep(reply):
        asked.append(reply)
        return reply

    data = write_sites(folder / "data", unequal_sites())
    federate(folder / "out", data, 3, tamper=keep, output="both")
    return folder / "out", asked


def test_it_equals_the_pooled_evaluation(evaluated):
    out, _ = evaluated
    result = result_of(out)
    expected = pooled_figures(out, model_of(out))
    assert set(expected["per_type"]) == {"A", "B"}
    assert set(result["overall"]["expression"]) == {"uncorrected", "decoded", "residual"}
    assert_close(result["overall"], expected["overall"])
    assert_close(result["per_type"], expected["per_type"])
    reconstruction = result["reconstruction"]
    for name in ("reconstruction", "means_reconstruction"):
        assert reconstruction[name] == pytest.approx(expected[name], abs=1e-6)
    assert 0 < reconstruction["validation_reconstruction"] < 1
    assert (result["n_cells"], result["n_sites"]) == (312, 3)
    # The batch of 4 cells of B is left out.
    assert result["per_type"]["B"]["n_batches"] == 4


def test_types_of_too_few_sites_are_not_summed(evaluated):
    out, replies = evaluated
    left_out = dict.fromkeys("CD", "fewer than 3 sites hold it")
    assert result_of(out)["types_left_out"] == left_out
    shapes = [
        values_of(reply.content)["shapes"]
        for reply in replies
        if reply.metadata.message_type == "query.evaluation_features"
    ]
    assert [shape["fourier"][0] for shape in shapes] == [2, 2, 2]


def test_a_type_that_two_sites_have_cells_enough_of_is_not_summed(tmp_path):
    """Though three have named it: with its reference the sum would show one batch's mean."""
    sites = [site({(b, "A"): 30, (b, "B"): 30}, seed=i) for i, b in enumerate("pqr")]
    sites[0] = site({("p", "A"): 30, ("p", "B"): 30, ("p", "E"): 30})
    sites[1] = site({("q", "A"): 30, ("q", "B"): 30, ("q", "E"): 4}, seed=1)
    sites[2] = site({("r", "A"): 30, ("r", "B"): 30, ("r", "E"): 30}, seed=2)
    data, asked = write_sites(tmp_path / "data", sites), []

    def keep(reply):
        if reply.metadata.message_type == "query.evaluation_moments":
            asked.append(values_of(reply.content)["shapes"]["n_batches"])
        return reply

    federate(tmp_path / "out", data, 3, tamper=keep)
    reason = "fewer than 3 sites have 5 cells of it in a batch"
    assert result_of(tmp_path / "out")["types_left_out"] == {"E": reason}
    assert asked == [[2], [2], [2]]


@pytest.mark.parametrize(("kind", "settings"), [("crypten", {}), ("off", {"min_sites": 3})])
def test_other_sums_give_the_same(evaluated, tmp_path, kind, settings):
    data = write_sites(tmp_path / "data", unequal_sites())
    federate(tmp_path / "out", data, 3, output="both", secure_sum=kind, **settings)
    assert result_of(tmp_path / "out") | {"seconds": 0} == result_of(evaluated[0]) | {"seconds": 0}


def test_of_two_sites_no_type_is_compared(tmp_path):
    data = write_sites(tmp_path / "data", three_sites()[:2])
    federate(tmp_path / "out", data, 2)
    result = result_of(tmp_path / "out")
    assert set(result["types_left_out"]) == {"A", "B", "C"}
    assert result["scores"]["decoded"]["reason"] == "no cell type could be compared between batches"
    figures = result["overall"]["expression"]["decoded"]
    assert figures["type_separation"] > 0.5
    assert figures["type_share"] is figures["batch_probe"] is None
    assert result["reconstruction"]["reconstruction"] > 0.1
    assert not list((tmp_path / "out").rglob("cache"))
    assert "no cell type could be compared" in (tmp_path / "out/report.html").read_text()


def test_one_site_with_several_batches_is_evaluated(tmp_path):
    cells = {(b, t): 30 for b in "pq" for t in "AB"}
    federate(tmp_path / "out", write_sites(tmp_path / "data", [site(cells)]), 1)
    result = result_of(tmp_path / "out")
    figures = result["overall"]["expression"]
    assert figures["decoded"]["batch_share"] < figures["uncorrected"]["batch_share"] / 2


def test_an_untrained_and_a_collapsed_network_rank_last(tmp_path):
    """Both mix perfectly what they give; uncorrected cells are better."""
    data = write_sites(tmp_path / "data", three_sites())
    runs = {
        "default": {},
        "mean": {"alignment": "mean", "smoothing": 0.0},
        "uncorrected": {"min_reference_cells": 1000},
        "untrained": {"preset": "fedscgen", "learning_rate": 1e-9, "rounds": 1},
        "collapsed": {"preset": "fedscgen", "kl_weight": 100.0, "rounds": 8, "learning_rate": 1e-2},
    }
    scores = {}
    for name, settings in runs.items():
        federate(tmp_path / name, data, 3, **settings)
        scores[name] = result_of(tmp_path / name)["scores"]["decoded"]
    values = {name: score["value"] for name, score in scores.items()}
    assert values["default"] > values["uncorrected"] > 0
    assert values["mean"] > values["uncorrected"]
    assert values["untrained"] == values["collapsed"] == 0
    for name in ("untrained", "collapsed"):
        assert "it has learned nothing" in scores[name]["reason"]
        overall = result_of(tmp_path / name)["overall"]["expression"]
        assert overall["decoded"]["batch_share"] < overall["uncorrected"]["batch_share"]


def test_it_can_be_left_out(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    federate(tmp_path / "out", data, 3, evaluate=False)
    assert not (tmp_path / "out/federated_evaluation.json").exists()
    phases = {line["phase"] for line in lines(tmp_path / "out/ledger.jsonl")}
    assert phases.isdisjoint(PHASES)
    assert not list((tmp_path / "out").rglob("cache"))


def losing(phase):
    """The second site's answers of a phase do not arrive."""

    def tamper(reply):
        name = reply.metadata.message_type.partition(".")[2]
        return None if (name, reply.metadata.src_node_id) == (phase, 2) else reply

    return tamper


@pytest.mark.parametrize("phase", [PHASES[0], PHASES[2]])
@pytest.mark.parametrize("policy", ["stop", "continue", "wait"])
def test_a_site_that_is_lost_costs_the_evaluation_and_not_the_run(tmp_path, phase, policy):
    data = write_sites(tmp_path / "data", three_sites())
    settings = {"deadlines": f"{phase}=0.3,describe=0.3", "on_site_error": policy, "wait": 0.5}
    run = federate(tmp_path / "out", data, 3, tamper=losing(phase), **settings)
    assert run["status"] == "finished"
    assert run["n_sites_corrected"] == 3
    result = result_of(tmp_path / "out")
    assert result["evaluated"] is False
    reason = {
        "stop": f"phase {phase} failed at site-2: no answer within 0.3 s",
        "continue": f"{phase}: 2 of 3 sites answered, and beside earlier sums",
        "wait": "site-2 cannot be waited for",
    }[policy]
    assert reason in result["reason"]
    assert set(run["lost_sites"]) == {"site-2"}
    # Nothing of the phase was opened.
    sent = [line["phase"] for line in lines(tmp_path / "out/ledger.jsonl")]
    if "energy" in sent:
        sent = sent[: sent.index("energy")]
    assert sent[-1] != "reveal"
    assert not list((tmp_path / "out").rglob("cache"))


def test_of_a_site_that_fails_midway_no_cache_is_left(tmp_path, monkeypatch):
    data, kept = write_sites(tmp_path / "data", three_sites()), KeptCells.keep

    def full(own, name, cells):
        if own.site.name == "site-2" and name == "decoded-expression":
            raise OSError(28, "No space left on device", str(own.folder))
        kept(own, name, cells)
        assert own.folder.is_dir()

    monkeypatch.setattr(KeptCells, "keep", full)
    run = federate(tmp_path / "out", data, 3)
    assert (run["status"], run["n_sites_corrected"]) == ("finished", 3)
    reason = result_of(tmp_path / "out")["reason"]
    assert "phase evaluation_moments failed at site-2" in reason
    assert "No space left on device" in reason
    assert not list((tmp_path / "out").rglob("cache"))
    assert leftovers(tmp_path / "out") == []


def test_a_site_that_comes_back_is_waited_for(tmp_path):
    data, turns = write_sites(tmp_path / "data", three_sites()), []

    def tamper(reply):
        name = reply.metadata.message_type.partition(".")[2]
        if (name, reply.metadata.src_node_id) == (PHASES[2], 2):
            turns.append(name)
            return None if len(turns) == 1 else reply
        return reply

    federate(tmp_path / "plain", data, 3)
    settings = {"deadlines": f"{PHASES[2]}=0.3", "on_site_error": "wait"}
    federate(tmp_path / "out", data, 3, tamper=tamper, **settings)
    assert len(turns) == 2
    found, plain = (result_of(tmp_path / name) | {"seconds": 0} for name in ("out", "plain"))
    assert found == plain


def test_after_a_loss_in_training_the_others_are_not_summed(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    settings = {"deadlines": "fit=0.3", "on_site_error": "continue", "readmit": False}
    federate(tmp_path / "out", data, 3, tamper=losing("fit"), **settings)
    result = result_of(tmp_path / "out")
    assert (result["evaluated"], "a site was lost" in result["reason"]) == (False, True)
    phases = {line["phase"] for line in lines(tmp_path / "out/ledger.jsonl")}
    assert phases.isdisjoint(PHASES)
    assert not list((tmp_path / "out").rglob("cache"))


def test_of_a_run_that_is_not_evaluated_a_lost_sites_cache_goes_too(tmp_path):
    data = write_sites(tmp_path / "data", three_sites())
    settings = {"deadlines": "fit=0.3", "on_site_error": "continue", "readmit": False}
    federate(tmp_path / "out", data, 3, tamper=losing("fit"), evaluate=False, **settings)
    assert not list((tmp_path / "out").rglob("cache"))


@pytest.mark.parametrize("phase", PHASES)
def test_a_stopped_evaluation_is_made_when_the_run_goes_on(evaluated, tmp_path, phase):
    data = write_sites(tmp_path / "data", unequal_sites())
    with pytest.raises(Stopped):
        federate(tmp_path / "out", data, 3, tamper=stopping(phase), output="both")
    federate(tmp_path / "out", data, 3, resume=True, run_id=8, output="both")
    assert result_of(tmp_path / "out") | {"seconds": 0} == result_of(evaluated[0]) | {"seconds": 0}
    assert leftovers(tmp_path / "out") == []
    assert not list((tmp_path / "out").rglob("cache"))
