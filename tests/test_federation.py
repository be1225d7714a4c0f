"""A whole federation of `correct` on small simulated sites: the run folder and the sites' files."""

import anndata
import numpy as np
import pandas as pd
import pytest

from common.bundle import Bundle
from common.data.simulator import SimulationPlan, simulate_sites
from common.presets import PRESETS
from common.wire import PHASES
from tests.pooled import smoothed
from tests.small_sites import OPTIONAL, federate, leftovers, lines

N_SITES, ROUNDS = 3, 3
PLAN = SimulationPlan(n_sites=N_SITES, n_cells=400, n_genes=120, seed=1)
SETTINGS = {"rounds": ROUNDS, "n_top_genes": 60, "output": "both"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("federation") / "data"
    simulate_sites(PLAN, folder)
    return folder


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The run folder, its run.json and every reply of the sites."""
    out = tmp_path_factory.mktemp("run") / "out"
    replies = []

    def keep(reply):
        replies.append(reply)
        return reply

    return out, federate(out, data, N_SITES, tamper=keep, **SETTINGS), replies


def test_the_run_is_finished_and_described(finished):
    out, run, _ = finished
    assert run["status"] == "finished"
    assert run["n_cells"] == run["n_corrected"] == PLAN.n_cells
    assert run["n_vocabulary"] == 120
    assert run["n_genes"] == 60
    assert sorted(run["sites"]) == ["hospital-1", "hospital-2", "hospital-3"]
    assert not run["identity"]
    assert 0 < run["n_shifted"] <= PLAN.n_cells
    assert "error" not in run
    assert "lost_sites" not in run
    assert leftovers(out) == []


def test_metrics_have_a_line_per_round(finished):
    out, _, _ = finished
    metrics = lines(out / "metrics.jsonl")
    assert [line["round"] for line in metrics] == [1, 2, 3]
    for line in metrics:
        assert line["n_sites"] == N_SITES
        assert np.isfinite([line["train_loss"], line["validation_loss_before"]]).all()


def test_the_ledger_has_every_message_with_its_bytes(finished):
    out, _, replies = finished
    ledger = lines(out / "ledger.jsonl")
    expected = []
    for reply in replies:
        content = reply.content.array_records.values()
        n_bytes = sum(len(array.data) for record in content for array in record.values())
        expected.append((reply.metadata.message_type.partition(".")[2], n_bytes))
    answers = [line for line in ledger if line["to"] == "coordinator"]
    assert sorted((line["phase"], line["bytes"]) for line in answers) == sorted(expected)
    questions = [line for line in ledger if line["from"] == "coordinator"]
    assert len(questions) == len(answers)
    assert all(line["bytes"] > 0 for line in ledger)
    assert {line["phase"] for line in ledger} == set(PHASES) - OPTIONAL
    trained = [line["from"] for line in answers if line["phase"] == "fit"]
    assert sorted(trained) == sorted(ROUNDS * ["hospital-1", "hospital-2", "hospital-3"])
    assert all(line["masked"] == bool(PHASES[line["phase"]].masked()) for line in answers)
    assert not any(line["masked"] for line in questions)


def test_the_bundle_loads_and_agrees_with_the_run(finished):
    out, run, _ = finished
    bundle = Bundle.load(out / "bundle")
    assert len(bundle.panel.genes) == run["n_genes"]
    assert list(bundle.references) == list(run["largest_batch"])
    assert all(r.mean.shape == (5,) for r in bundle.references.values())
    assert sum(value.size for value in bundle.state.values()) == run["n_parameters"]


@pytest.mark.parametrize("name", ["hospital-1", "hospital-2", "hospital-3"])
def test_a_site_keeps_its_own_cells(finished, data, name):
    out, run, _ = finished
    before = anndata.read_h5ad(data / f"{name}.h5ad")
    after = anndata.read_h5ad(out / "sites" / name / "corrected.h5ad")
    for part in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(before.X, part), getattr(after.X, part))
    n_own = len(before.obs.columns)
    assert list(after.obs.columns[:n_own]) == list(before.obs.columns)
    assert all(column.startswith("syncytium_") for column in after.obs.columns[n_own:])
    pd.testing.assert_frame_equal(after.obs[before.obs.columns], before.obs, check_exact=True)
    pd.testing.assert_frame_equal(after.var, before.var, check_exact=True)
    assert before.uns["simulation"]["plan"] == after.uns["simulation"]["plan"]
    assert set(after.obsm) == {"X_latent", "X_latent_corrected", "decoded", "residual"}
    shifted = after.obs["cell_type"].isin(list(run["largest_batch"]))
    assert np.array_equal(after.obs["syncytium_shifted"], shifted)
    # Those that are not shifted are where their neighbours draw them.
    share = PRESETS["default"].smoothing
    drawn = smoothed(after.obsm["X_latent"], after.obs["batch"].to_numpy(str), share)
    corrected = after.obsm["X_latent_corrected"]
    np.testing.assert_allclose(corrected[~shifted], drawn[~shifted], atol=1e-5)
    assert (np.abs(corrected - drawn).max(axis=1) > 1e-3)[shifted].any()
    assert after.obsm["decoded"].shape == (after.n_obs, run["n_genes"])


def test_residual_keeps_cells_that_are_not_shifted(finished, data):
    out, _, _ = finished
    after = anndata.read_h5ad(out / "sites/hospital-1/corrected.h5ad")
    own = ~after.obs["syncytium_shifted"].to_numpy()
    counts = after.X.toarray().astype(np.float64)
    log = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    columns = after.var_names.get_indexer(after.uns["syncytium"]["genes"])
    assert own.any()
    np.testing.assert_allclose(after.obsm["residual"][own], log[own][:, columns], atol=1e-5)


def test_a_run_repeats_bit_for_bit_and_the_seed_matters(finished, data, tmp_path):
    out, _, _ = finished
    federate(tmp_path / "again", data, N_SITES, **SETTINGS)
    federate(tmp_path / "other", data, N_SITES, **SETTINGS, seed=43)
    files = ["bundle/model.safetensors"]
    first, again = ((folder / files[0]).read_bytes() for folder in (out, tmp_path / "again"))
    assert first == again
    assert first != (tmp_path / "other" / files[0]).read_bytes()
    for name in ("hospital-1", "hospital-3"):
        one, two = (
            anndata.read_h5ad(folder / "sites" / name / "corrected.h5ad")
            for folder in (out, tmp_path / "again")
        )
        for key in one.obsm:
            assert np.array_equal(one.obsm[key], two.obsm[key])


def test_early_stopping_keeps_the_best_model(data, tmp_path, monkeypatch):
    settings = {"n_top_genes": 60, "preset": "fedscgen", "patience": 2}
    federate(tmp_path / "short", data, N_SITES, **settings, rounds=2)
    # Losses per cell of the models that rounds 1, 2, ... start from: the third is the best.
    script, asked = [0.9, 0.8, 0.7, 0.75, 0.71], []

    def scripted(model, matrix, rows, training, device):
        asked.append(len(rows))
        return script[(len(asked) - 1) // N_SITES] * len(rows)

    monkeypatch.setattr("client.phases.fit.evaluation_loss", scripted)
    stopped = federate(tmp_path / "stopped", data, N_SITES, **settings, rounds=9)
    metrics = lines(tmp_path / "stopped/metrics.jsonl")
    np.testing.assert_allclose([m["validation_loss_before"] for m in metrics], script, rtol=1e-9)
    assert stopped["stopped_early"] == 5
    # The third round starts from the model after two.
    short = Bundle.load(tmp_path / "short/bundle").state
    kept = Bundle.load(tmp_path / "stopped/bundle").state
    assert all(np.array_equal(short[name], kept[name]) for name in short)


def test_patience_0_never_stops(data, tmp_path, monkeypatch):
    monkeypatch.setattr("client.phases.fit.evaluation_loss", lambda *_: 1.0)
    run = federate(tmp_path / "out", data, N_SITES, rounds=8, patience=0)
    assert "stopped_early" not in run
    assert len(lines(tmp_path / "out/metrics.jsonl")) == 8
