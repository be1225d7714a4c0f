"""A site's file: labels, genes, blocks of counts from every storage format, and its faults."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from common.data.counts import sample_rows
from common.data.reader import SiteFile
from common.errors import CountsError, GeneError, InputError
from tests.h5ad_files import annotated, old_format, simulate, write

COUNTS = simulate()


def test_labels_genes_and_counts(tmp_path):
    site = SiteFile.open(write(tmp_path, annotated(COUNTS)))
    assert (site.n_cells, site.gene_kind, len(site.genes)) == (60, "symbol", 40)
    assert site.obs_names[:2] == ["cell0", "cell1"]
    assert site.batches[:2].tolist() == ["a", "b"]
    assert site.cell_types[:2].tolist() == ["B", "T"]
    assert site.counts.kind == "integer"


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("place", ["X", "raw", "layer"])
@pytest.mark.parametrize("chunk_size", [1, 7, 60, 4096])
def test_blocks_give_the_matrix_in_every_format(tmp_path, store, place, chunk_size):
    x = store(COUNTS.astype(np.float32))
    data = annotated(x if place == "X" else -COUNTS)
    if place == "raw":
        data.raw = annotated(x)
    if place == "layer":
        data.layers["counts"] = x
    site = SiteFile.open(write(tmp_path, data))
    columns = np.array([5, -1, 0, 39, 7])
    expected = np.where(columns >= 0, COUNTS[:, columns], 0)
    blocks = list(site.iter_counts(columns, chunk_size))
    assert [first for first, _ in blocks] == list(range(0, 60, chunk_size))
    assert all(block.dtype == np.float32 and block.format == "csr" for _, block in blocks)
    assert all(len(np.unique(row.indices)) == row.nnz for _, block in blocks for row in block)
    np.testing.assert_array_equal(sparse.vstack([b for _, b in blocks]).toarray(), expected)
    whole = sparse.vstack([block for _, block in site.iter_counts(chunk_size=chunk_size)])
    np.testing.assert_array_equal(whole.toarray(), COUNTS)


def test_a_file_of_anndata_0_6_is_read(tmp_path):
    old_format(tmp_path / "old.h5ad", COUNTS)
    site = SiteFile.open(tmp_path / "old.h5ad", cell_type_key="")
    assert (site.counts.source, site.batches[1]) == ("raw/X", "b")
    np.testing.assert_array_equal(next(site.iter_counts())[1].toarray(), COUNTS)


def test_duplicate_and_unsorted_entries_of_a_row_are_summed(tmp_path):
    x = sparse.csr_matrix(COUNTS.astype(np.float32))
    path = write(tmp_path, annotated(x))
    with h5py.File(path, "r+") as file:
        start, stop = file["X/indptr"][1:3]
        indices = file["X/indices"][start:stop]
        indices[-1] = indices[0]
        file["X/indices"][start:stop] = indices[::-1]
    block = next(SiteFile.open(path).iter_counts())[1]
    assert block.nnz == np.count_nonzero(block.toarray())
    row = block.toarray()[1]
    expected = np.bincount(indices[::-1], weights=x.data[start:stop], minlength=40)
    np.testing.assert_array_equal(row, expected)


def test_raw_has_its_own_genes(tmp_path):
    data = annotated(-COUNTS[:, :10])
    data.raw = annotated(COUNTS)
    site = SiteFile.open(write(tmp_path, data))
    assert len(site.genes) == 40


def test_empty_keys(tmp_path):
    path = write(tmp_path, annotated(COUNTS), "hospital.h5ad")
    site = SiteFile.open(path, batch_key="", cell_type_key="")
    assert set(site.batches) == {"hospital"}
    assert site.cell_types.tolist() == [None] * 60


def test_what_counts_as_unlabelled(tmp_path):
    types = ["T"] * 60
    types[:5] = [None, "", "nan", " ", "<NA>"]
    site = SiteFile.open(write(tmp_path, annotated(COUNTS, obs={"cell_type": types})))
    assert [kind is None for kind in site.cell_types] == [True] * 5 + [False] * 55


def test_gene_column_and_versions(tmp_path):
    data = annotated(COUNTS)
    data.var["gene_id"] = [f"ENSG{i:011d}.{i + 1}" for i in range(40)]
    site = SiteFile.open(write(tmp_path, data), gene_column="gene_id")
    assert (site.genes[0], site.gene_kind) == ("ENSG00000000000", "ensembl")


def test_numeric_batches_are_named(tmp_path):
    path = write(tmp_path, annotated(COUNTS, obs={"batch": np.arange(60) // 30}))
    assert set(SiteFile.open(path).batches) == {"0", "1"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -3.0, 2.5])
@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_a_fault_past_the_sample_is_found_in_a_gene_that_is_not_asked_for(tmp_path, bad, store):
    counts = simulate(3000, 20)
    assert 1501 not in sample_rows(3000, np.arange(3000) % 2)
    counts[1501, 13] = bad
    site = SiteFile.open(write(tmp_path, annotated(store(counts.astype(np.float32)))))
    read = []
    with pytest.raises(CountsError, match="cell 'cell1501', gene 'G13'"):
        read.extend(first for first, _ in site.iter_counts(np.array([2, 4]), 100))
    assert read == list(range(0, 1500, 100))


def test_nan_is_counted_and_placed(tmp_path):
    x = COUNTS.copy()
    x[[4, 9], [2, 3]] = np.nan, -np.inf
    with pytest.raises(CountsError, match=r"2 NaN or infinite.*cell 'cell4', gene 'G2'"):
        SiteFile.open(write(tmp_path, annotated(x)))


def test_memory_stays_at_a_chunk(tmp_path):
    x = sparse.random(20_000, 400, density=0.1, format="csr", random_state=1, dtype=np.float32)
    x.data = np.ceil(x.data * 5)
    path = write(tmp_path, annotated(x))
    tracemalloc.start()
    site = SiteFile.open(path)
    total = sum(block.sum() for _, block in site.iter_counts(chunk_size=256))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == pytest.approx(x.sum())
    assert peak < (x.data.nbytes + x.indices.nbytes) * 0.75 + 6e6


def test_neither_scanpy_nor_torch_is_imported(tmp_path):
    path = write(tmp_path, annotated(COUNTS))
    code = (
        "import sys; from common.data.reader import SiteFile; from common.data.check import "
        f"check_file; s = SiteFile.open({str(path)!r}); list(s.iter_counts()); "
        f"check_file({str(path)!r}); assert not {{'scanpy', 'torch', 'jax'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_columns_out_of_range_or_twice(tmp_path):
    site = SiteFile.open(write(tmp_path, annotated(COUNTS)))
    for columns in ([40], [-2], [3, 3]):
        with pytest.raises(ValueError, match=r"column"):
            next(site.iter_counts(np.array(columns)))


def refused(path, match, error=InputError, **settings):
    with pytest.raises(error, match=match) as caught:
        SiteFile.open(path, **settings)
    # Every message ends in its fix.
    assert str(caught.value).rpartition(": ")[2].endswith(".")
    assert caught.value.public == error.generic


def test_a_file_that_is_none(tmp_path):
    refused(tmp_path / "no.h5ad", "no.h5ad does not exist")
    refused(tmp_path, "is a folder")
    (tmp_path / "text.h5ad").write_text("cell,gene\n")
    refused(tmp_path / "text.h5ad", "cannot be opened as .h5ad")
    with h5py.File(tmp_path / "ten.h5ad", "w") as file:
        file.create_group("matrix")
    refused(tmp_path / "ten.h5ad", r"lacks X, obs or var.*read_10x_h5")


def test_a_file_that_was_cut_off(tmp_path):
    path = write(tmp_path, annotated(COUNTS))
    path.write_bytes(path.read_bytes()[:-2000])
    refused(path, "copy it again")


def test_missing_columns_are_answered_with_those_there_are(tmp_path):
    path = write(tmp_path, annotated(COUNTS))
    refused(path, r"'bacth'.*did you mean 'batch'.*Known: batch, cell_type", batch_key="bacth")
    refused(path, r"'celltype'.*did you mean 'cell_type'", cell_type_key="celltype")
    refused(path, r"var has no column 'symbol'.*it has none at all", gene_column="symbol")


def test_a_cell_without_batch(tmp_path):
    batch = pd.Series(["a"] * 60, dtype=object)
    batch[[5, 6]] = None
    path = write(tmp_path, annotated(COUNTS, obs={"batch": pd.Categorical(batch)}))
    refused(path, r"2 cell\(s\) have no value in obs\['batch'\] \(first: 'cell5'\)")


def test_duplicate_genes_after_versions(tmp_path):
    data = annotated(COUNTS)
    data.var_names = ["ENSG00000000001.1", "ENSG00000000001.2", *data.var_names[2:]]
    refused(write(tmp_path, data), "1 gene name.*'ENSG00000000001'", GeneError)


def test_duplicate_genes_are_named_up_to_three(tmp_path):
    data = annotated(COUNTS)
    data.var["symbol"] = ["A", "A", "B", "B", "C", "C", "D", "D", *data.var_names[8:]]
    refused(
        write(tmp_path, data), r"4 gene.*'A', 'B', 'C', \.\.\.", GeneError, gene_column="symbol"
    )


def test_duplicate_cells(tmp_path):
    data = annotated(COUNTS)
    path = write(tmp_path, data)
    with h5py.File(path, "r+") as file:
        file["obs/_index"][1] = "cell0"
    refused(path, r"1 cell name\(s\) occur more than once \('cell0'\)")


@pytest.mark.parametrize("n_cells", [0, 1])
def test_too_few_cells(tmp_path, n_cells):
    refused(write(tmp_path, annotated(COUNTS[:n_cells])), rf"holds {n_cells} cell")


def test_one_gene(tmp_path):
    refused(write(tmp_path, annotated(COUNTS[:, :1])), "holds 1 gene", GeneError)
