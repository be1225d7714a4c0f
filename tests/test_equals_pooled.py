"""A federated run gives what pooled training gives, computed here with plain scanpy and torch."""

import contextlib
import dataclasses

import anndata
import numpy as np
import pytest
import torch

from common import gradient, presets
from common.bundle import Bundle
from common.config import RunConfig
from common.data.held_out import split_cells
from common.models.build import restore_model
from common.models.state import state_of
from common.presets import PRESETS, resolve
from tests.pooled import Pooled, corrected, references_of, residual_of, smoothed
from tests.small_sites import TINY, federate, site, three_sites, write_sites

SEED = 42
# Adam divides by the gradient's own size: where that is near zero, rounding decides a whole step.
PARAMETER_TOLERANCE = 2e-5
SMALL_STEPS = {"rounds": 3, "learning_rate": 5e-5, "output": "both"}
TRAININGS = [("default", "fedsgd"), ("default", "fedavg"), ("fedscgen", "fedavg")]
ONE_SITE = {("p", "A"): 60, ("p", "B"): 40, ("q", "A"): 50, ("q", "B"): 30, ("q", "C"): 20}


def preset_of(**settings):
    values = {key.replace("_", "-"): value for key, value in {**TINY, **settings}.items()}
    return resolve(RunConfig.parse(values, where="test"))


def results(out, name="site-1"):
    """The bundle, and one site's corrected file."""
    return Bundle.load(out / "bundle"), anndata.read_h5ad(out / f"sites/{name}/corrected.h5ad")


def assert_equal_to_pooled(pooled, model, out, names, atol=1e-5):
    """Latents, references and output of a run against the pooled ones, and its model."""
    bundle = Bundle.load(out / "bundle")
    assert list(bundle.panel.genes) == pooled.genes
    np.testing.assert_allclose(bundle.panel.mean, pooled.mean, atol=1e-5)
    np.testing.assert_allclose(bundle.panel.sd, pooled.sd, atol=1e-5)
    for name, value in state_of(model).items():
        if value.dtype.kind == "f":
            close = {"atol": PARAMETER_TOLERANCE, "err_msg": name}
            np.testing.assert_allclose(bundle.state[name], value, **close)
    files = [results(out, name)[1] for name in names]
    latent = pooled.latent(model)
    batch = np.concatenate(
        [[f"{n}/{b}" for b in f.obs["batch"]] for n, f in zip(names, files, strict=True)]
    )
    cell_type = np.concatenate([f.obs["cell_type"].astype(str) for f in files])
    smooth = smoothed(latent, batch, pooled.preset.smoothing)
    references = references_of(smooth, batch, cell_type, 20)
    assert list(references) == list(bundle.references)
    shifted = corrected(smooth, batch, cell_type, references, pooled.preset.alignment)
    decoded = pooled.decode(model, shifted)
    cells = (pooled.log, pooled.decode(model, smooth), decoded, batch, cell_type)
    for key, value in (
        ("X_latent", latent),
        ("X_latent_corrected", shifted),
        ("decoded", decoded),
        ("residual", residual_of(*cells, list(references), 20)),
    ):
        federated = np.concatenate([f.obsm[key] for f in files])
        np.testing.assert_allclose(federated, value, atol=atol, err_msg=key)


@pytest.mark.parametrize(("preset", "strategy"), TRAININGS)
def test_one_site_equals_pooled(tmp_path, preset, strategy):
    settings = {"preset": preset, "strategy": strategy, **SMALL_STEPS}
    data = site(ONE_SITE)
    federate(tmp_path / "out", write_sites(tmp_path / "data", [data]), 1, **settings)
    pooled = Pooled(data, preset_of(**settings), SEED)
    pooled.preprocess(TINY["n_top_genes"])
    model = pooled.initial()
    share = pooled.preset.training.validation_share
    rows = split_cells(data.obs["batch"].to_numpy(dtype=str), share, SEED).train
    assert len(rows) == 200 - 20
    before = state_of(model)["mean.weight"].copy()
    pooled.train(model, rows)
    least = 6e-5 if strategy == "fedsgd" else 3e-4
    assert np.abs(state_of(model)["mean.weight"] - before).max() > least
    if pooled.preset.refit_decoder:
        pooled.refit(model)
    assert_equal_to_pooled(pooled, model, tmp_path / "out", ["site-1"])


def as_of_one_copy(model, n_cells, n_steps):
    """Batch norm's running variance divides by n - 1: what 3 n cells gave, as n would have."""
    bessel = (n_cells / (n_cells - 1)) / (3 * n_cells / (3 * n_cells - 1))
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            rest = (1 - layer.momentum) ** n_steps
            layer.running_var.sub_(rest).mul_(bessel).add_(rest)


def without_dropout(monkeypatch, preset):
    """All cells train, without dropout."""
    base = PRESETS[preset]
    plain = dataclasses.replace(
        base,
        shape=dataclasses.replace(base.shape, dropout=0.0),
        training=dataclasses.replace(base.training, validation_share=0.0),
    )
    monkeypatch.setitem(PRESETS, preset, plain)
    local = dataclasses.replace(presets.LOCAL_TRAINING, validation_share=0.0)
    monkeypatch.setattr(presets, "LOCAL_TRAINING", local)


@pytest.mark.parametrize("n_cells", [1000, 150])
def test_fedsgd_over_unequal_sites_equals_pooled(tmp_path, monkeypatch, n_cells):
    """With all cells in a step, and so much without noise, to the rounding of a masked sum."""

    @contextlib.contextmanager
    def silent(device, seed, round_):
        yield None

    without_dropout(monkeypatch, "default")
    monkeypatch.setattr(gradient, "seeded", silent)
    monkeypatch.setattr(gradient, "CHUNK", n_cells)
    settings = {**SMALL_STEPS, "batch_size": 1000, "rounds": 4, "learning_rate": 1.5e-5}
    sites, names = three_sites(), ["site-1", "site-2", "site-3"]
    assert len({s.n_obs for s in sites}) == 3
    federate(tmp_path / "out", write_sites(tmp_path / "data", sites), 3, **settings)
    pooled = Pooled(anndata.concat(sites, index_unique="-"), preset_of(**settings), SEED)
    pooled.preprocess(TINY["n_top_genes"])
    model = pooled.initial()
    before = state_of(model)["mean.weight"].copy()
    pooled.steps(model, np.arange(len(pooled.x)), noisy=False)
    after = state_of(model)["mean.weight"]
    assert np.abs(after - before).max() > 3e-5
    own = Bundle.load(tmp_path / "out/bundle").state["mean.weight"]
    assert np.quantile(np.abs(own - after), 0.95) < 1e-7
    pooled.refit(model)
    assert_equal_to_pooled(pooled, model, tmp_path / "out", names, atol=2e-4)


@pytest.mark.parametrize(("preset", "strategy"), TRAININGS)
def test_sites_of_the_same_cells_with_full_batches_equal_pooled(
    tmp_path, preset, strategy, monkeypatch
):
    """The pooled cells are all copies; what is random per cell is dealt to each copy alike."""
    without_dropout(monkeypatch, preset)
    settings = {"preset": preset, "strategy": strategy, **SMALL_STEPS}
    settings |= {"batch_size": 1000, "learning_rate": 2e-5}
    data, names = site(ONE_SITE), ["site-1", "site-2", "site-3"]
    federate(tmp_path / "out", write_sites(tmp_path / "data", 3 * [data]), 3, **settings)
    pooled = Pooled(
        anndata.concat(3 * [data], index_unique="-"), preset_of(**settings), SEED, copies=3
    )
    pooled.preprocess(TINY["n_top_genes"])
    model = pooled.initial()
    before = state_of(model)["mean.weight"].copy()
    pooled.train(model, np.arange(data.n_obs))
    assert np.abs(state_of(model)["mean.weight"] - before).max() > 3e-5
    as_of_one_copy(model, data.n_obs, n_steps=6)
    if pooled.preset.refit_decoder:
        pooled.refit(model)
    assert_equal_to_pooled(pooled, model, tmp_path / "out", names)


def test_remainders_equal_numpy_on_the_pooled_cells(tmp_path):
    """Small batches, one type that a site alone holds, cells of types without a reference."""
    names = ["site-1", "site-2", "site-3"]
    run = federate(
        tmp_path / "out", write_sites(tmp_path / "data", REFERENCED), 3, output="residual"
    )
    assert run["status"] == "finished"
    bundle = Bundle.load(tmp_path / "out/bundle")
    preset = preset_of()
    pooled = Pooled(anndata.concat(REFERENCED, index_unique="-"), preset, SEED)
    pooled.preprocess(TINY["n_top_genes"])
    model = restore_model(preset, len(pooled.genes), bundle.state)
    files = [results(tmp_path / "out", name)[1] for name in names]
    batch = np.concatenate(
        [[f"{n}/{b}" for b in f.obs["batch"]] for n, f in zip(names, files, strict=True)]
    )
    cell_type = np.concatenate([f.obs["cell_type"].astype(str) for f in files])
    smooth = smoothed(np.concatenate([f.obsm["X_latent"] for f in files]), batch, preset.smoothing)
    rest = pooled.log - pooled.decode(model, smooth)
    for name in ("A", "B", "tied"):
        rows = [rest[(batch == b) & (cell_type == name)] for b in np.unique(batch)]
        large = [x for x in rows if len(x) >= 20]
        assert len(large) >= 2
        found = bundle.references[name].remainder
        for value, of in ((found.mean, np.mean), (found.variance, np.var)):
            np.testing.assert_allclose(
                value, np.mean([of(x, axis=0) for x in large], axis=0), atol=1e-5
            )
    shifted = pooled.decode(model, np.concatenate([f.obsm["X_latent_corrected"] for f in files]))
    cells = (pooled.log, pooled.decode(model, smooth), shifted, batch, cell_type)
    expected = residual_of(*cells, ["A", "B", "tied", "alone"], 20)
    assert np.abs(expected - (shifted + rest)).max() > 0.1
    residual = np.concatenate([f.obsm["residual"] for f in files])
    np.testing.assert_allclose(residual, expected, atol=2e-5)
    # A type without a reference keeps its expression.
    kept = np.isin(cell_type, ["C", "few"])
    np.testing.assert_allclose(residual[kept], pooled.log[kept], atol=1e-5)


REFERENCED = [
    site({("p", "A"): 60, ("p", "B"): 30, ("p", "C"): 25, ("p", "tied"): 24}, seed=1),
    site(
        {
            **{("q", "A"): 30, ("q", "B"): 50, ("q", "tied"): 24, ("q", "few"): 5},
            **{("r", "tied"): 24, ("r", "A"): 3},
        },
        seed=2,
    ),
    # The same batch name at another site is another batch.
    site(
        {
            **{
                ("p", "A"): 22,
                ("p", "B"): 21,
                ("p", "tied"): 20,
                ("p", "few"): 19,
                ("o", "few"): 8,
            },
            # Two batches of a type that no other site has.
            **{("p", "alone"): 26, ("o", "alone"): 23},
        }
    ),
]


def test_references_equal_numpy_on_the_pooled_latents(tmp_path):
    names = ["site-1", "site-2", "site-3"]
    run = federate(tmp_path / "out", write_sites(tmp_path / "data", REFERENCED), 3)
    files = [results(tmp_path / "out", name)[1] for name in names]
    latent = np.concatenate([f.obsm["X_latent"] for f in files])
    batch = np.concatenate(
        [[f"{n}/{b}" for b in f.obs["batch"]] for n, f in zip(names, files, strict=True)]
    )
    cell_type = np.concatenate([f.obs["cell_type"].astype(str) for f in files])
    latent = smoothed(latent, batch, PRESETS["default"].smoothing)
    expected = references_of(latent, batch, cell_type, 20)
    references = Bundle.load(tmp_path / "out/bundle").references
    assert list(references) == ["A", "B", "tied"]
    # What one site alone holds is shifted as the pooled cells would be, and not told.
    assert set(expected) == {"A", "B", "tied", "alone"}
    for name in references:
        np.testing.assert_allclose(references[name].mean, expected[name].mean, atol=1e-6)
        np.testing.assert_allclose(
            references[name].covariance, expected[name].covariance, atol=1e-6
        )
    assert run["largest_batch"] == {"A": 60, "B": 50, "tied": 24}
    assert run["unshifted_types"] == {"few": "no batch has 20 cells"}
    assert run["types_of_one_site"] == ["C", "alone"]
    about = files[2].uns["syncytium"]
    assert list(about["shifted_types"]) == ["A", "B", "tied", "alone"]
    assert list(about["unshifted_types"]) == ["few", "C"]
    # Three cells of A in batch r go three fifths of the way.
    shifted = np.concatenate([f.obsm["X_latent_corrected"] for f in files])
    pooled = corrected(latent, batch, cell_type, expected, "covariance")
    np.testing.assert_allclose(shifted, pooled, atol=1e-5)
    means = shifted[(batch == "site-2/r") & (cell_type == "A")].mean(axis=0)
    own = latent[(batch == "site-2/r") & (cell_type == "A")].mean(axis=0)
    np.testing.assert_allclose(means, own + 0.6 * (expected["A"].mean - own), atol=1e-5)


def test_min_reference_cells_is_obeyed(tmp_path):
    data = write_sites(tmp_path / "data", REFERENCED)
    run = federate(tmp_path / "out", data, 3, min_reference_cells=30, rounds=1)
    assert run["largest_batch"] == {"A": 60, "B": 50}
    assert run["unshifted_types"]["tied"] == "no batch has 30 cells"


@pytest.mark.parametrize("weighting", ["cells", "sites"])
def test_the_average_of_a_round_is_weighted_as_the_preset_says(tmp_path, monkeypatch, weighting):
    """Each site's model of the round is trained here anew, from its own corrected file's data."""
    assert {name: p.training.weighting for name, p in PRESETS.items()} == {
        "fedscgen": "sites",
        "default": "cells",
    }
    given = PRESETS["fedscgen"]
    training = dataclasses.replace(given.training, weighting=weighting)
    changed = dataclasses.replace(given, training=training)
    monkeypatch.setitem(PRESETS, "fedscgen", changed)
    settings = {"preset": "fedscgen", "rounds": 1, "n_top_genes": 40}
    sites = three_sites()
    federate(tmp_path / "out", write_sites(tmp_path / "data", sites), 3, **settings)
    bundle = Bundle.load(tmp_path / "out/bundle")
    preset = preset_of(**settings)
    pooled = Pooled(anndata.concat(sites), preset, SEED)
    pooled.preprocess(40)
    assert list(bundle.panel.genes) == pooled.genes
    states, sizes, first = [], [], 0
    initial = state_of(pooled.initial())
    for data in sites:
        own = Pooled(data, preset, SEED)
        own.genes, own.x = pooled.genes, pooled.x[first : first + data.n_obs]
        first += data.n_obs
        rows = split_cells(data.obs["batch"].to_numpy(dtype=str), 0.1, SEED).train
        model = own.initial()
        own.train(model, rows)
        states.append(state_of(model))
        sizes.append(len(rows))
    assert len(set(sizes)) == 3
    for name, value in bundle.state.items():
        parts = np.stack([state[name] for state in states])
        if value.dtype.kind != "f":
            assert value.ravel() == initial[name]
            continue
        means = {"cells": np.average(parts, axis=0, weights=sizes), "sites": parts.mean(axis=0)}
        np.testing.assert_allclose(value, means.pop(weighting), atol=1e-5, err_msg=name)
        assert np.abs(value - means.popitem()[1]).max() > 1e-4, name
