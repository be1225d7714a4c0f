"""A run that was stopped anywhere goes on to the same model, or says why it cannot."""

import json

import anndata
import numpy as np
import pytest

from common.bundle import Bundle
from common.errors import ConfigError, InputError, RunError, SecureSumError, SiteFailure
from strategies.records import values_of
from tests.in_process import Stopped, stopping
from tests.small_sites import federate, leftovers, lines, run_json, three_sites, write_sites

ROUNDS = 3
SETTINGS = {"rounds": ROUNDS, "output": "both"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("resume") / "data", three_sites())


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    runs = {}

    def run(strategy):
        if strategy not in runs:
            runs[strategy] = tmp_path_factory.mktemp("undisturbed") / "out"
            federate(runs[strategy], data, 3, strategy=strategy, **SETTINGS)
        return runs[strategy]

    return run


def stop(out, data, phase, times=1, **settings):
    with pytest.raises(Stopped):
        federate(out, data, 3, tamper=stopping(phase, times), **{**SETTINGS, **settings})


def resume(out, data, run_id=8, **settings):
    values = {**SETTINGS, **settings}
    return federate(out, data, 3, run_id=run_id, resume=True, **values)


def assert_same(out, other):
    one, two = Bundle.load(out / "bundle"), Bundle.load(other / "bundle")
    assert one.panel.genes == two.panel.genes
    for name, value in two.state.items():
        np.testing.assert_array_equal(one.state[name], value, err_msg=name)
    assert list(one.references) == list(two.references)
    for name, value in two.references.items():
        np.testing.assert_array_equal(one.references[name].mean, value.mean)
        np.testing.assert_array_equal(one.references[name].covariance, value.covariance)
        for key in ("mean", "variance"):
            kept, other_ = (getattr(r.remainder, key) for r in (one.references[name], value))
            np.testing.assert_array_equal(kept, other_)
    for site in ("site-1", "site-2", "site-3"):
        files = [anndata.read_h5ad(o / "sites" / site / "corrected.h5ad") for o in (out, other)]
        np.testing.assert_array_equal(*(file.obsm["decoded"] for file in files))
        np.testing.assert_array_equal(*(file.obsm["residual"] for file in files))


@pytest.mark.parametrize(
    ("phase", "times"),
    [
        ("describe", 2),
        ("offers", 3),
        ("moments", 2),
        ("principal_axes", 3),
        ("fit", 1),
        ("fit", 5),
        ("peaks", 4),
        ("latents", 1),
        ("remainders", 2),
        ("correct", 2),
        ("reveal", 3 * 8),
    ],
)
def test_a_stopped_run_ends_as_if_it_had_not(data, undisturbed, tmp_path, phase, times):
    out = tmp_path / "out"
    stop(out, data, phase, times)
    run = resume(out, data)
    assert run["status"] == "finished"
    assert run["run_id"] == "8"
    assert [entry["after_run"] for entry in run["resumed"]] == ["7"]
    assert "error" not in run
    assert_same(out, undisturbed(""))
    rounds = [line["round"] for line in lines(out / "metrics.jsonl")]
    assert rounds == list(range(1, ROUNDS + 1))
    assert leftovers(out) == []


@pytest.mark.parametrize("strategy", ["fedavg", "fedavgm", "fedadam", "fedadagrad"])
def test_momentum_goes_on(data, undisturbed, tmp_path, strategy):
    out = tmp_path / "out"
    stop(out, data, "fit", 3 * 2 + 1, strategy=strategy)
    resume(out, data, strategy=strategy)
    assert_same(out, undisturbed(strategy))


def test_a_run_may_be_stopped_again_and_again(data, undisturbed, tmp_path):
    out = tmp_path / "out"
    stop(out, data, "fit", 2)
    for run_id, (phase, times) in enumerate([("fit", 4), ("peaks", 1), ("correct", 1)], start=20):
        with pytest.raises(Stopped):
            resume(out, data, run_id, tamper=stopping(phase, times))
    run = resume(out, data, 30)
    assert [entry["after_run"] for entry in run["resumed"]] == ["7", "20", "21", "22"]
    assert_same(out, undisturbed(""))


def test_what_was_summed_is_not_summed_again(data, tmp_path):
    out = tmp_path / "out"
    stop(out, data, "fit", 4)
    before = len(lines(out / "ledger.jsonl"))
    resume(out, data)
    phases = {line["phase"] for line in lines(out / "ledger.jsonl")[before:]}
    assert phases.isdisjoint({"moments", "principal_axes"})
    assert {"describe", "identities", "offers", "fit"} <= phases


def test_early_stopping_counts_on(data, tmp_path):
    settings = {"rounds": 12, "patience": 2, "learning_rate": 0.3}
    whole, out = tmp_path / "whole", tmp_path / "out"
    plain = federate(whole, data, 3, output="both", **settings)
    assert plain["stopped_early"] < 12
    stop(out, data, "fit", 3 * (plain["stopped_early"] - 1) + 1, **settings)
    run = resume(out, data, **settings)
    assert run["stopped_early"] == plain["stopped_early"]
    assert run["kept_round"] == plain["kept_round"]
    assert_same(out, whole)


def test_a_lost_site_does_not_end_a_run_for_good(data, undisturbed, tmp_path):
    out = tmp_path / "out"

    def silent(reply):
        gone = reply.metadata.message_type == "train.fit" and reply.metadata.src_node_id == 2
        return None if gone else reply

    with pytest.raises(SiteFailure, match=r"site-2: no answer within 0\.2 s"):
        federate(out, data, 3, tamper=silent, deadlines="fit=0.2", **SETTINGS)
    run = resume(out, data, deadlines="fit=100", on_site_error="wait")
    assert run["status"] == "finished"
    assert [loss["site"] for loss in run["losses"]] == ["site-2"]
    assert "lost_sites" not in run
    assert_same(out, undisturbed(""))


def test_other_settings_are_refused(data, tmp_path):
    out = tmp_path / "out"
    stop(out, data, "fit")
    with pytest.raises(ConfigError, match=r"had other settings: rounds = 3, now 4; resume it"):
        resume(out, data, rounds=4)
    assert run_json(out)["run_id"] == "7"


def test_other_sites_are_refused(data, tmp_path):
    out = tmp_path / "out"
    stop(out, data, "fit")
    sites = three_sites()
    sites[1].obs["cell_type"] = sites[1].obs["cell_type"].cat.rename_categories({"A": "Z"})
    sites[1].write_h5ad(tmp_path / "other.h5ad")
    first = data / "site-2.h5ad"
    kept = first.read_bytes()
    try:
        first.write_bytes((tmp_path / "other.h5ad").read_bytes())
        with pytest.raises(InputError, match="genes or cell types of site-2 changed"):
            resume(out, data)
    finally:
        first.write_bytes(kept)


def test_a_finished_run_is_not_resumed(data, undisturbed):
    with pytest.raises(RunError, match="is finished: there is nothing to resume"):
        resume(undisturbed(""), data)


def test_no_run_is_not_resumed(data, tmp_path):
    with pytest.raises(RunError, match="holds no run to resume; leave out --resume"):
        resume(tmp_path / "out", data)
    assert not (tmp_path / "out").exists()


def test_another_version_is_not_resumed(data, tmp_path):
    out = tmp_path / "out"
    stop(out, data, "fit")
    run = run_json(out)
    run["versions"]["syncytium"] = "0.0.9"
    (out / "run.json").write_text(json.dumps(run))
    with pytest.raises(RunError, match=r"was begun by version 0\.0\.9, and this is"):
        resume(out, data)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
def test_a_damaged_checkpoint_is_refused(data, tmp_path, damage):
    out = tmp_path / "out"
    stop(out, data, "fit")
    path = out / "checkpoints/state.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match="cannot be read"):
        resume(out, data)


def test_a_full_disk_leaves_the_last_checkpoint(data, tmp_path, monkeypatch, undisturbed):
    out = tmp_path / "out"
    stop(out, data, "fit", 5)
    path = out / "checkpoints/state.safetensors"
    before = path.read_bytes()
    with monkeypatch.context() as patched:

        def full(tensors, name, head):
            name.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        patched.setattr("safetensors.numpy.save_file", full)
        with pytest.raises(RunError, match=r"state\.safetensors cannot be written.*make room"):
            resume(out, data)
    assert path.read_bytes() == before
    assert leftovers(out) == []
    resume(out, data, 9)
    assert_same(out, undisturbed(""))


def test_keys_are_new(data, tmp_path):
    """A resumed run's masks come from keys that the stopped one never had."""
    out, keys = tmp_path / "out", []

    def watch(reply):
        if reply.metadata.message_type == "query.identities":
            keys.append(values_of(reply.content)["public"]["agreement_key"])
        return reply

    ending = stopping("fit")
    with pytest.raises(Stopped):
        federate(out, data, 3, tamper=lambda reply: ending(watch(reply)), **SETTINGS)
    resume(out, data, tamper=watch)
    assert len(keys) == len(set(keys)) == 6


def test_an_old_runs_id_is_not_taken_again(data, tmp_path):
    """The sites know it with other keys."""
    out = tmp_path / "out"
    stop(out, data, "fit", 4)
    with pytest.raises((SecureSumError, SiteFailure), match="begun with other keys"):
        resume(out, data, run_id=7)
