"""Corrected files gathered from sites into a plain folder are scored as in their run's folder."""

import json
import shutil
from dataclasses import replace

import anndata
import h5py
import numpy as np
import pytest

from common.bundle import Bundle
from common.errors import InputError
from report.corrected_files import corrected_files
from report.run_evaluation import evaluate_run
from tests.small_sites import federate, leftovers, three_sites, write_sites

NUMBERS = (1, 2, 3)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gathered")
    data = write_sites(folder / "data", three_sites())
    federate(folder / "out", data, 3)
    return folder / "out"


def corrected(run_dir, number):
    return run_dir / f"sites/site-{number}/corrected.h5ad"


def as_files(run_dir, folder):
    folder.mkdir()
    for number in NUMBERS:
        shutil.copy(corrected(run_dir, number), folder / f"site-{number}.h5ad")
    return folder


def as_folders(run_dir, folder):
    for number in NUMBERS:
        (folder / f"site-{number}").mkdir(parents=True)
        shutil.copy(corrected(run_dir, number), folder / f"site-{number}/corrected.h5ad")
    return folder


@pytest.fixture
def folder(run_dir, tmp_path):
    """Three files that a test may spoil."""
    return as_files(run_dir, tmp_path / "gathered")


@pytest.mark.parametrize("gather", [as_files, as_folders])
def test_scores_are_those_of_the_run(run_dir, tmp_path, gather):
    folder = gather(run_dir, tmp_path / "gathered")
    found, expected = evaluate_run(folder), evaluate_run(run_dir)
    for key in ("overall", "per_type", "settings", "n_cells", "n_batches"):
        assert found[key] == expected[key]
    assert found["overall"]["decoded"]["ilisi"]["value"] is not None
    assert json.loads((folder / "evaluation.json").read_text()) == found
    assert leftovers(folder) == []
    assert len(found["files"]) == 3
    assert all((folder / name).is_file() for name in found["files"])


def test_a_bundle_beside_them_must_be_theirs(run_dir, folder, tmp_path):
    shutil.copytree(run_dir / "bundle", folder / "bundle")
    assert len(corrected_files(folder)) == 3
    bundle = Bundle.load(folder / "bundle")
    shutil.rmtree(folder / "bundle")
    replace(bundle, card=bundle.card | {"run": "8"}).save(folder / "bundle")
    refused(folder, "site-1.h5ad", "run 7", "the run's bundle by run 8")


def test_a_file_of_another_bundle_of_the_run_is_refused(folder):
    with h5py.File(folder / "site-3.h5ad", "r+") as file:
        file["uns/syncytium/bundle"][()] = "0" * 64
    refused(folder, "site-3.h5ad was corrected with another bundle than", "site-1.h5ad", "run 7")


def refused(folder, *said):
    with pytest.raises(InputError) as caught:
        evaluate_run(folder)
    for part in said:
        assert part in str(caught.value)
    assert not (folder / "evaluation.json").exists()
    assert leftovers(folder) == []


@pytest.mark.parametrize("entry", ["genes", "vocabulary"])
def test_a_file_of_a_run_with_other_names_is_refused(folder, entry):
    with h5py.File(folder / "site-2.h5ad", "r+") as file:
        names = file[f"uns/syncytium/{entry}"]
        names[0] = "another"
    refused(folder, "site-2.h5ad holds", f"other {entry} than", "site-1.h5ad", "another run's")


def test_a_file_of_another_run_is_refused(folder):
    with h5py.File(folder / "site-3.h5ad", "r+") as file:
        file["uns/syncytium/run"][()] = "8"
    refused(folder, "site-3.h5ad was written by run 8", "site-1.h5ad by run 7")


@pytest.mark.parametrize("entry", ["mean", "sd"])
def test_a_file_of_another_scaling_is_refused(folder, entry):
    with h5py.File(folder / "site-3.h5ad", "r+") as file:
        values = file[f"uns/syncytium/scale_{entry}"]
        values[0] = 1.001 * values[0]
    refused(folder, "site-3.h5ad", f"another {entry}", "site-1.h5ad")


def test_a_file_with_other_outputs_is_refused(folder):
    data = anndata.read_h5ad(folder / "site-2.h5ad")
    data.obsm["residual"] = data.obsm["decoded"]
    data.uns["syncytium"]["outputs"] = np.array(["decoded", "residual"], dtype=object)
    data.write_h5ad(folder / "site-2.h5ad")
    refused(folder, "site-2.h5ad holds decoded, residual", "the same outputs")


def test_the_same_cells_twice_are_refused(folder):
    shutil.copy(folder / "site-2.h5ad", folder / "site-2 (copy).h5ad")
    refused(folder, "site-2 (copy).h5ad", "site-2.h5ad", "the same cells")


def test_two_files_of_one_site_are_refused(folder):
    (folder / "site-2").mkdir()
    shutil.copy(folder / "site-3.h5ad", folder / "site-2/corrected.h5ad")
    refused(folder, "site-2.h5ad", "site-2/corrected.h5ad", "both of a site 'site-2'")


def test_a_sites_own_file_among_them_is_refused(folder):
    three_sites()[0].write_h5ad(folder / "input.h5ad")
    refused(folder, "input.h5ad was not written by a run", "corrected files alone")


@pytest.mark.parametrize("entry", ["uns/syncytium/vocabulary", "obsm/X_latent"])
def test_a_file_of_another_version_is_refused(folder, entry):
    with h5py.File(folder / "site-1.h5ad", "r+") as file:
        del file[entry]
    refused(folder, "site-1.h5ad was not written by this version", entry.split("/")[-1])


def test_hidden_files_are_passed_over(folder):
    (folder / "._site-1.h5ad").write_bytes(b"left by another system")
    assert [file.site for file in corrected_files(folder)] == ["site-1", "site-2", "site-3"]


def test_an_absent_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="absent: there are no corrected files"):
        evaluate_run(tmp_path / "absent")
