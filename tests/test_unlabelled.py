"""Cells without a label in a run: left as they are, or shifted as their nearest labelled cells."""

import anndata
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from common.bundle import Bundle
from common.data.check import check_file
from common.data.split import split_file
from report import run_evaluation
from tests.small_sites import federate, site, write_sites

NAMES = ("site-1", "site-2", "site-3")


def hide(data, share, seed, batch=None):
    """Take the label of some cells, or of a whole batch, in the two ways in which files do."""
    types = data.obs["cell_type"].astype(object)
    hidden = np.random.default_rng(seed).random(data.n_obs) < share
    if batch:
        hidden |= (data.obs["batch"] == batch).to_numpy()
    types[hidden] = np.where(np.arange(hidden.sum()) % 2, "", None)
    data.obs["truth"] = data.obs["cell_type"].astype(str)
    data.obs["cell_type"] = types.astype("category")
    return data


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """run.json and corrected files of the same federation, by the setting."""
    folder = tmp_path_factory.mktemp("unlabelled")
    first, second, third = (
        site({("p", "A"): 60, ("p", "B"): 40, ("p", "C"): 30}, seed=1),
        site({("q", "A"): 30, ("q", "B"): 50, ("r", "A"): 25, ("r", "B"): 20}, seed=2),
        site({("s", "A"): 32, ("s", "B"): 31}, seed=3),
    )
    sites = [hide(first, 0.2, 1), hide(second, 0.2, 2, batch="r"), hide(third, 0.2, 3)]
    data, found = write_sites(folder / "data", sites), {}
    for setting in ("leave", "nearest"):
        out = folder / setting
        run = federate(out, data, 3, unlabelled=setting, alignment="mean", smoothing=0.0, rounds=1)
        files = [anndata.read_h5ad(out / f"sites/{name}/corrected.h5ad") for name in NAMES]
        found[setting] = out, run, files
    return found


def steering(data):
    types = data.obs["cell_type"].astype(object).to_numpy()
    return np.array([t if isinstance(t, str) and t else None for t in types], dtype=object)


def test_left_cells_are_left(runs):
    _, run, files = runs["leave"]
    for data in files:
        unlabelled = steering(data) == None  # noqa: E711
        assert 5 < unlabelled.sum() < data.n_obs
        assert not data.obs["syncytium_shifted"][unlabelled].any()
        assert set(data.obs["syncytium_not_shifted"][unlabelled]) == {"no label"}
        assert data.obs["syncytium_label"][unlabelled].isna().all()
        assert data.obs["syncytium_label_origin"][unlabelled].isna().all()
    assert run["n_nearest"] == 0
    assert run["n_unlabelled"] == sum((steering(f) == None).sum() for f in files)  # noqa: E711


def test_unlabelled_cells_steer_nothing(runs):
    """The bundle and every labelled cell are bit for bit those of the run that leaves the rest."""
    (left, _, before), (nearest, _, after) = runs["leave"], runs["nearest"]
    one, other = Bundle.load(left / "bundle"), Bundle.load(nearest / "bundle")
    assert list(one.references) == list(other.references) == ["A", "B"]
    for name in one.references:
        np.testing.assert_array_equal(one.references[name].mean, other.references[name].mean)
    for was, now in zip(before, after, strict=True):
        own = steering(was) != None  # noqa: E711
        np.testing.assert_array_equal(was.obsm["X_latent"], now.obsm["X_latent"])
        np.testing.assert_allclose(
            was.obsm["X_latent_corrected"][own], now.obsm["X_latent_corrected"][own], atol=1e-6
        )
        assert (was.obs["syncytium_shifted"][own] == now.obs["syncytium_shifted"][own]).all()


def by_scikit_learn(data):
    """Label and agreement of each unlabelled cell, from what the corrected file holds."""
    types, batches = steering(data), data.obs["batch"].to_numpy(dtype=str)
    found, latent = {}, data.obsm["X_latent"].astype(np.float64)
    for batch in np.unique(batches):
        known = np.flatnonzero((batches == batch) & (types != None))  # noqa: E711
        asked = np.flatnonzero((batches == batch) & (types == None))  # noqa: E711
        if len(known) and len(asked):
            model = NearestNeighbors(n_neighbors=5).fit(latent[known])
            for cell, near in zip(asked, model.kneighbors(latent[asked])[1], strict=True):
                labels = list(types[known[near]])
                label = max(labels, key=lambda name: (labels.count(name), -labels.index(name)))
                found[cell] = label, labels.count(label) / 5
    return found


def test_labels_are_those_of_the_nearest_cells_in_the_uncorrected_latents(runs):
    _, run, files = runs["nearest"]
    n_shifted, right = 0, []
    for data in files:
        expected = by_scikit_learn(data)
        obs = data.obs.reset_index()
        for cell, (label, agreement) in expected.items():
            row = obs.loc[cell]
            assert (row["syncytium_label"], row["syncytium_label_origin"]) == (label, "nearest")
            assert row["syncytium_neighbours_agree"] == pytest.approx(agreement)
            assert row["syncytium_shifted"] == (label in ("A", "B"))
            right.append(label == row["truth"])
        others = np.setdiff1d(np.arange(data.n_obs), list(expected))
        assert obs["syncytium_neighbours_agree"][others].isna().all()
        assert "nearest" not in set(obs["syncytium_label_origin"][others])
        n_shifted += sum(label in ("A", "B") for label, _ in expected.values())
    assert run["n_nearest"] == n_shifted > 40
    # The types of these sites lie apart.
    assert np.mean(right) > 0.9


def test_a_cell_goes_where_the_labelled_cells_of_its_type_go(runs):
    """Without smoothing and by means alone, a type's cells of a batch all move alike."""
    compared, longest = 0, 0.0
    for data in runs["nearest"][2]:
        moved = data.obsm["X_latent_corrected"] - data.obsm["X_latent"]
        columns = ("batch", "syncytium_label", "syncytium_label_origin")
        batches, labels, origins = (data.obs[c].astype(object).to_numpy() for c in columns)
        nearest = origins == "nearest"
        for batch, label in set(zip(batches[nearest], labels[nearest], strict=True)):
            group = (batches == batch) & (labels == label)
            own, given = group & (origins == "curated"), group & nearest
            expected = np.broadcast_to(moved[own].mean(axis=0), moved[given].shape)
            np.testing.assert_allclose(moved[given], expected, atol=1e-5)
            compared += given.sum()
            longest = max(longest, np.linalg.norm(expected[:1]))
    assert compared > 40
    assert longest > 0.5


def test_a_batch_without_labels_is_left_and_said(runs):
    _, _, files = runs["nearest"]
    for data in files:
        in_batch = data.obs["batch"] == "r"
        said = data.obs["syncytium_not_shifted"] == "no labelled cell in the batch"
        assert (said == in_batch).all()
        assert not data.obs["syncytium_shifted"][in_batch].any()
    assert sum((data.obs["batch"] == "r").sum() for data in files) == 45


def test_every_cell_that_is_not_shifted_has_its_reason(runs):
    for setting in runs:
        for data in runs[setting][2]:
            reasons = data.obs["syncytium_not_shifted"]
            assert (reasons.isna() == data.obs["syncytium_shifted"]).all()
            other = data.obs["syncytium_label"] == "C"
            assert set(reasons[other]) <= {"type without a reference"}


def test_unlabelled_cells_pass_through_split_check_and_evaluation(tmp_path, monkeypatch):
    """NaN, None and an empty string are read as no label all the way."""
    whole = hide(site({("p", "A"): 40, ("p", "B"): 40, ("q", "A"): 40, ("q", "B"): 30}), 0.3, 5)
    n_hidden = int(whole.obs["cell_type"].isin([""]).sum() + whole.obs["cell_type"].isna().sum())
    assert whole.obs["cell_type"].isna().any()
    assert whole.obs["cell_type"].isin([""]).any()
    whole.write_h5ad(tmp_path / "whole.h5ad")
    paths = split_file(tmp_path / "whole.h5ad", "batch", tmp_path / "sites")
    said = [finding.text for finding in check_file(paths[0]).findings if finding.level != "ok"]
    n_first = int((steering(anndata.read_h5ad(paths[0])) == None).sum())  # noqa: E711
    assert f"{n_first} of 80 cells have no cell type" in said
    out = tmp_path / "out"
    run = federate(out, tmp_path / "sites", 2, unlabelled="nearest", rounds=1)
    assert run["n_unlabelled"] == run["n_nearest"] == n_hidden
    scored = []
    monkeypatch.setattr(
        run_evaluation, "evaluate_embeddings", lambda *given, **_: scored.append(given) or {}
    )
    run_evaluation.evaluate_run(out)
    # What the neighbours say scores nothing.
    assert sum(cell_type is None for cell_type in scored[0][3]) == n_hidden
