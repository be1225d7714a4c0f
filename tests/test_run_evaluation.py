"""What of a run folder is scored: expression before and after, of the same cells."""

import json
import shutil

import anndata
import h5py
import numpy as np
import pytest
import scanpy as sc

from common.bundle import Bundle
from common.errors import InputError
from report import run_evaluation
from tests.small_sites import federate, leftovers, site, three_sites, write_sites

OUTPUTS = ("decoded", "residual")


def sites():
    """Of unequal genes; of G9 one cell of the second site has all there is, an outlier."""
    first, second, third = three_sites()
    for data in (first, second, third):
        x = data.X.toarray()
        x[:, 9] = 0
        if data is second:
            x[7, 9] = 30
        data.X = x
    return [first[:, :-4].copy(), second, third[:, ::-1].copy()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    data = write_sites(folder / "data", sites())
    federate(folder / "out", data, 3, output="both")
    return folder / "out"


@pytest.fixture
def run_dir(finished, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def scored(monkeypatch):
    """What is handed to the metrics, which are not computed; the last call's."""
    seen = {}

    def evaluate_embeddings(before, after, batch, cell_type, **settings):
        seen.update(before=before, after=after, batch=batch, cell_type=cell_type, **settings)
        return {"n_cells": len(before), "subsample": None}

    monkeypatch.setattr(run_evaluation, "evaluate_embeddings", evaluate_embeddings)
    return seen


def corrected(run_dir):
    return [
        anndata.read_h5ad(run_dir / f"sites/site-{number}/corrected.h5ad") for number in (1, 2, 3)
    ]


def by_scanpy(panel):
    """The pooled input's shared genes through scanpy, without a limit: (n_cells, n_genes)."""
    pooled = anndata.concat([data[:, list(panel.vocabulary)] for data in sites()])
    pooled.X = pooled.X.astype(np.float64)
    sc.pp.normalize_total(pooled, target_sum=1e4)
    sc.pp.log1p(pooled)
    sc.pp.scale(pooled)
    return pooled[:, list(panel.genes)].X


def test_before_is_scanpys_scaled_expression_of_the_pooled_input(run_dir, scored):
    panel = Bundle.load(run_dir / "bundle").panel
    run_evaluation.evaluate_run(run_dir)
    expected = by_scanpy(panel)
    assert len(panel.vocabulary) == 56
    assert scored["before"].shape == (298, 40)
    assert expected.max() > 12
    np.testing.assert_allclose(scored["before"], np.clip(expected, -10, 10), atol=2e-5)


def test_after_is_what_the_sites_wrote_scaled(run_dir, scored):
    panel = Bundle.load(run_dir / "bundle").panel
    run_evaluation.evaluate_run(run_dir)
    assert set(scored["after"]) == set(OUTPUTS)
    for output in OUTPUTS:
        written = np.concatenate([data.obsm[output] for data in corrected(run_dir)])
        expected = (written.astype(np.float64) - panel.mean) / panel.sd
        inside = np.abs(expected) < 10
        assert inside.mean() > 0.99
        np.testing.assert_allclose(scored["after"][output][inside], expected[inside], atol=1e-4)


def test_expression_that_was_not_corrected_is_scored_alike(tmp_path, scored):
    """No shared type: the output is the input, so before and after are one matrix."""
    data = [
        site({("p", "A"): 70, ("p", "B"): 60}),
        site({("q", "C"): 60, ("q", "D"): 60}, seed=1),
    ]
    for own in data:
        own.X = own.X.toarray()
        own.X[:, 9] = 0
    data[0].X[7, 9] = 30
    federate(tmp_path / "out", write_sites(tmp_path / "data", data), 2)
    run_evaluation.evaluate_run(tmp_path / "out")
    np.testing.assert_allclose(scored["after"]["decoded"], scored["before"], atol=2e-5)


def test_a_batch_is_a_sites_batch(tmp_path, scored):
    data = three_sites()
    for own in data:
        own.obs["batch"] = "1"
    federate(tmp_path / "out", write_sites(tmp_path / "data", data), 3)
    run_evaluation.evaluate_run(tmp_path / "out")
    names, sizes = np.unique(scored["batch"].astype(str), return_counts=True)
    expected = {f"site-{i}/1": own.n_obs for i, own in enumerate(data, start=1)}
    assert dict(zip(names, sizes, strict=True)) == expected
    types = np.concatenate([own.obs["cell_type"].astype(str) for own in data])
    assert list(scored["cell_type"]) == list(types)


@pytest.mark.parametrize(("max_cells", "seed"), [(100, 0), (100, 3), (2, 0)])
def test_a_subsample_is_the_same_cells_in_every_matrix(run_dir, scored, max_cells, seed):
    run_evaluation.evaluate_run(run_dir)
    whole = dict(scored)
    result = run_evaluation.evaluate_run(run_dir, max_cells=max_cells, seed=seed)
    assert (result["n_cells"], result["subsample"]["n_cells"]) == (298, max_cells)
    assert result["subsample"]["seed"] == seed
    # A cell is told by its row before; no two are alike.
    distances = np.abs(scored["before"][:, None] - whole["before"][None]).max(axis=2)
    rows = distances.argmin(axis=1)
    assert len(set(rows)) == len(rows) == max_cells
    assert (distances.min(axis=1) == 0).all()
    assert not np.array_equal(rows, np.arange(max_cells))
    for output in OUTPUTS:
        assert np.array_equal(scored["after"][output], whole["after"][output][rows])
    for label in ("batch", "cell_type"):
        assert list(scored[label]) == list(whole[label][rows])


def test_as_many_cells_as_are_allowed_are_no_subsample(run_dir, scored):
    assert run_evaluation.evaluate_run(run_dir, max_cells=298)["subsample"] is None
    assert len(scored["before"]) == 298


def test_the_result_is_written_as_it_is_returned(run_dir, scored):
    (run_dir / "evaluation.json").write_text("an old one")
    result = run_evaluation.evaluate_run(run_dir, max_cells=50)
    assert json.loads((run_dir / "evaluation.json").read_text()) == result
    assert leftovers(run_dir) == []


def refused(run_dir, *said):
    with pytest.raises(InputError) as caught:
        run_evaluation.evaluate_run(run_dir)
    for part in said:
        assert part in str(caught.value)
    assert not (run_dir / "evaluation.json").exists()
    assert leftovers(run_dir) == []


def test_a_corrected_file_of_a_run_with_other_genes_is_refused(run_dir, tmp_path, scored):
    data = write_sites(tmp_path / "data", sites())
    federate(tmp_path / "other", data, 3, output="both", n_top_genes=30)
    own = run_dir / "sites/site-2/corrected.h5ad"
    shutil.copy(tmp_path / "other/sites/site-2/corrected.h5ad", own)
    refused(run_dir, str(own), "other genes than the run's bundle", "another run's")
    assert not scored


def test_a_corrected_file_of_another_run_with_the_same_genes_is_refused(run_dir, scored):
    own = run_dir / "sites/site-2/corrected.h5ad"
    with h5py.File(own, "r+") as file:
        run = file["uns/syncytium/run"]
        assert run.asstr()[()] == "7"
        run[()] = "8"
    refused(run_dir, str(own), "run 8", "run 7")
    assert not scored


@pytest.mark.parametrize("text", [None, b"", b"not HDF5"])
def test_a_file_that_no_run_wrote_is_refused(run_dir, scored, text):
    own = run_dir / "sites/site-2/corrected.h5ad"
    if text is None:
        sites()[1].write_h5ad(own)
    else:
        own.write_bytes(text)
    refused(run_dir, str(own), "was not written by a run")
    assert not scored


@pytest.mark.parametrize("name", ["bundle", "bundle/card.json", "bundle/model.safetensors"])
def test_a_missing_bundle_is_refused(run_dir, scored, name):
    path = run_dir / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(run_dir, str(run_dir / "bundle"), "is missing")


def test_a_folder_without_corrected_files_is_refused(run_dir, scored):
    shutil.rmtree(run_dir / "sites")
    refused(run_dir, str(run_dir), "no corrected files", "finished simulation", "NAME.h5ad")
