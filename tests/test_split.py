"""One file into one per site."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from common.data.split import safe_name, split_file
from common.errors import InputError
from tests.h5ad_files import annotated, simulate, write

COUNTS = simulate()


def rich(**parts):
    data = annotated(sparse.csr_matrix(COUNTS), layers={"counts": COUNTS}, **parts)
    data.raw = annotated(COUNTS)
    data.obsm["X_pca"] = np.arange(120.0).reshape(60, 2)
    data.varm["loadings"] = np.arange(80.0).reshape(40, 2)
    data.obsp["distances"] = sparse.csr_matrix(np.outer(np.arange(60), np.arange(60)) * 1.0)
    data.uns["study"] = {"accession": "GSE0", "list": np.array([1, 2])}
    return data


def test_every_part_of_every_cell_survives(tmp_path):
    data = rich()
    paths = split_file(write(tmp_path, data), "batch", tmp_path / "sites")
    assert [path.name for path in paths] == ["a.h5ad", "b.h5ad"]
    assert sorted(path.name for path in (tmp_path / "sites").iterdir()) == ["a.h5ad", "b.h5ad"]
    for value, path in zip("ab", paths, strict=True):
        part, rows = anndata.read_h5ad(path), (data.obs["batch"] == value).to_numpy()
        assert part.obs_names.tolist() == data.obs_names[rows].tolist()
        np.testing.assert_array_equal(part.X.toarray(), COUNTS[rows])
        np.testing.assert_array_equal(part.layers["counts"], COUNTS[rows])
        np.testing.assert_array_equal(part.raw.X, COUNTS[rows])
        np.testing.assert_array_equal(part.obsm["X_pca"], data.obsm["X_pca"][rows])
        np.testing.assert_array_equal(part.varm["loadings"], data.varm["loadings"])
        expected = data.obsp["distances"].toarray()[np.ix_(rows, rows)]
        np.testing.assert_array_equal(part.obsp["distances"].toarray(), expected)
        assert part.uns["study"]["accession"] == "GSE0"
        pd.testing.assert_series_equal(
            part.obs["cell_type"].astype(str), data.obs["cell_type"][rows].astype(str)
        )


def test_names_fit_a_file_system(tmp_path):
    values = np.where(np.arange(60) % 2, "Köln / Süd", "../etc")
    path = write(tmp_path, annotated(COUNTS, obs={"site": values}))
    paths = split_file(path, "site", tmp_path / "sites")
    assert sorted(p.name for p in paths) == ["Koln_Sud.h5ad", "etc.h5ad"]
    assert all(p.parent == tmp_path / "sites" for p in paths)


@pytest.mark.parametrize("value", ["", "..", "///", "日本", "x" * 201])
def test_names_that_cannot_be(value):
    with pytest.raises(InputError):
        safe_name(value)


@pytest.mark.parametrize("pair", [("a b", "a_b"), ("Site", "site")])
def test_two_values_of_one_file_name(tmp_path, pair):
    values = np.where(np.arange(60) % 2, *pair)
    path = write(tmp_path, annotated(COUNTS, obs={"site": values}))
    with pytest.raises(InputError, match="both make the file name"):
        split_file(path, "site", tmp_path / "sites")
    assert not (tmp_path / "sites").exists()


def test_a_gap_names_how_many(tmp_path):
    values = pd.Categorical([None] * 7 + ["a"] * 53)
    path = write(tmp_path, annotated(COUNTS, obs={"site": values}))
    with pytest.raises(InputError, match=r"7 of 60 cell\(s\) have no value in obs\['site'\]"):
        split_file(path, "site", tmp_path / "sites")


def test_nothing_is_overwritten_and_nothing_half_done(tmp_path):
    path = write(tmp_path, annotated(COUNTS))
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "b.h5ad").write_text("mine")
    with pytest.raises(InputError, match=r"1 of 2 files exist already"):
        split_file(path, "batch", tmp_path / "sites")
    assert (tmp_path / "sites" / "b.h5ad").read_text() == "mine"
    assert not (tmp_path / "sites" / "a.h5ad").exists()


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    path = write(tmp_path, annotated(COUNTS))
    write_h5ad = anndata.AnnData.write_h5ad

    def fail_on_b(self, target, **options):
        if target.name == "b.h5ad":
            raise OSError("disk full")
        write_h5ad(self, target, **options)

    monkeypatch.setattr(anndata.AnnData, "write_h5ad", fail_on_b)
    with pytest.raises(OSError, match="disk full"):
        split_file(path, "batch", tmp_path / "sites")
    assert list((tmp_path / "sites").iterdir()) == []


def test_missing_column(tmp_path):
    path = write(tmp_path, annotated(COUNTS))
    with pytest.raises(InputError, match="did you mean 'batch'"):
        split_file(path, "batches", tmp_path / "sites")
