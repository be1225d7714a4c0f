"""The corrected file: the site's own entries bit for bit, and what was added beside them."""

import errno
import stat

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from client.corrected_file import write_corrected
from common.errors import DeviceError, DiskError, InputError
from common.panel import Panel
from tests.h5ad_files import annotated, old_format, simulate, write

COUNTS = simulate()
N_CELLS = len(COUNTS)
RNG = np.random.default_rng(7)
GENES = ("G7", "G0", "G31")
PANEL = Panel(tuple(f"G{i}" for i in range(40)), GENES, RNG.normal(size=3), RNG.uniform(1, 2, 3))
LATENT, MOVED = RNG.normal(size=(2, N_CELLS, 4)).astype(np.float32)
SHIFTED = np.arange(N_CELLS) % 4 > 0
LABELS = pd.Categorical(np.where(SHIFTED, "B/naïve", None), ["T cell", "B/naïve"])
OBS = {"syncytium_shifted": SHIFTED, "syncytium_label": LABELS}
DECODED, RESIDUAL = RNG.normal(size=(2, N_CELLS, 3)).astype(np.float32)
ABOUT = {"run": "r1", "types": ["T cell", "B/naïve"], "seed": 42}
ADDED = {
    *(f"obs/{name}" for name in OBS),
    "obsm/X_latent",
    "obsm/X_latent_corrected",
    "obsm/decoded",
    "obsm/residual",
    "uns/syncytium",
}


def chunks(values):
    return iter([values[:25], values[25:26], values[26:]])


def corrected(source, target, **changed):
    entries = {
        "latent": LATENT,
        "latent_corrected": MOVED,
        "obs": OBS,
        "panel": PANEL,
        "outputs": {"decoded": chunks(DECODED), "residual": chunks(RESIDUAL)},
        "about": ABOUT,
    }
    write_corrected(source, target, **(entries | changed))
    return anndata.read_h5ad(target)


def assert_added(after):
    np.testing.assert_array_equal(after.obsm["X_latent"], LATENT)
    np.testing.assert_array_equal(after.obsm["X_latent_corrected"], MOVED)
    np.testing.assert_array_equal(after.obsm["decoded"], DECODED)
    np.testing.assert_array_equal(after.obsm["residual"], RESIDUAL)
    np.testing.assert_array_equal(after.obs["syncytium_shifted"], SHIFTED)
    pd.testing.assert_series_equal(
        after.obs["syncytium_label"], pd.Series(LABELS, after.obs_names), check_names=False
    )
    about = after.uns["syncytium"]
    assert (about["run"], about["seed"]) == ("r1", 42)
    assert about["types"].tolist() == ABOUT["types"]
    assert about["genes"].tolist() == list(GENES)
    assert about["vocabulary"].tolist() == list(PANEL.vocabulary)
    assert about["outputs"].tolist() == ["decoded", "residual"]
    np.testing.assert_array_equal(about["scale_mean"], PANEL.mean)
    np.testing.assert_array_equal(about["scale_sd"], PANEL.sd)


def hospital(store=sparse.csr_matrix) -> anndata.AnnData:
    """A file with something in every place of an AnnData; neither cells nor genes are sorted."""
    rng = np.random.default_rng(3)
    raw = annotated(sparse.csr_matrix(COUNTS))
    order, genes = rng.permutation(N_CELLS), rng.permutation(40)[:30]
    data = raw[order, genes].copy()
    data.X = store(np.log1p(COUNTS[np.ix_(order, genes)]).astype(np.float32))
    data.layers["counts"] = sparse.csc_matrix(COUNTS[np.ix_(order, genes)])
    data.raw = raw[order].copy()
    data.obs["age"] = np.where(np.arange(N_CELLS) % 5, rng.normal(50, 9, N_CELLS), np.nan)
    data.obs["stage"] = pd.array([1, None, 3] * 20, dtype="Int64")
    data.var["symbol"] = [f"gène {i}" for i in genes]
    data.obsm["X_pca"] = rng.normal(size=(N_CELLS, 5))
    data.obsm["protein"] = pd.DataFrame({"CD3": rng.normal(size=N_CELLS)}, index=data.obs_names)
    data.varm["loadings"] = rng.normal(size=(30, 5))
    data.obsp["distances"] = sparse.random(N_CELLS, N_CELLS, 0.1, "csr", random_state=0)
    data.uns = {"study": "cohort", "colors": np.array(["#fff", "#000"]), "nested": {"k": 3.5}}
    return data


def stored(path) -> dict:
    """Everything in an HDF5 file by name: attributes, type, compression, and the exact bytes."""
    found = {}

    def visit(name, item):
        attributes = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}
        if name == "obs":
            attributes["column-order"] = [c for c in attributes["column-order"] if c not in OBS]
        value = None
        if isinstance(item, h5py.Dataset):
            content = np.asarray(item[()])
            content = content.tolist() if content.dtype == object else content.tobytes()
            value = (item.shape, str(item.dtype), item.compression, content)
        found[name] = (attributes, value)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_the_sites_own_entries_survive_bit_for_bit(tmp_path, store):
    source = tmp_path / "site.h5ad"
    hospital(store).write_h5ad(source, compression="gzip")
    bytes_before, before = source.read_bytes(), stored(source)
    corrected(source, tmp_path / "out" / "corrected.h5ad")
    assert source.read_bytes() == bytes_before
    after = stored(tmp_path / "out" / "corrected.h5ad")
    assert {name: after.get(name) for name in before} == before
    new = set(after) - set(before)
    assert {"/".join(name.split("/")[:2]) for name in new} == ADDED


def test_anndata_reads_the_same_cells_and_genes_and_the_added_entries(tmp_path):
    source = write(tmp_path, hospital())
    after = corrected(source, tmp_path / "corrected.h5ad")
    assert_added(after)
    before = anndata.read_h5ad(source)
    pd.testing.assert_frame_equal(after.obs.drop(columns=list(OBS)), before.obs)
    pd.testing.assert_frame_equal(after.var, before.var)
    pd.testing.assert_frame_equal(after.raw.var, before.raw.var)
    for one, other in (
        (after.X, before.X),
        (after.raw.X, before.raw.X),
        (after.layers["counts"], before.layers["counts"]),
        (after.obsp["distances"], before.obsp["distances"]),
    ):
        assert (one.format, one.dtype) == (other.format, other.dtype)
        np.testing.assert_array_equal(one.toarray(), other.toarray())
    np.testing.assert_array_equal(after.obsm["X_pca"], before.obsm["X_pca"])
    pd.testing.assert_frame_equal(after.obsm["protein"], before.obsm["protein"])
    assert {k: v for k, v in after.uns.items() if k in ("study", "nested")} == {
        "study": "cohort",
        "nested": {"k": 3.5},
    }


def test_a_corrected_file_can_be_corrected_again(tmp_path):
    source = write(tmp_path, hospital())
    first = tmp_path / "first.h5ad"
    corrected(
        source,
        first,
        latent=np.zeros((N_CELLS, 9), np.float32),
        obs={"syncytium_shifted": ~SHIFTED, "syncytium_label": pd.Categorical([None] * N_CELLS)},
        outputs={"decoded": iter([np.zeros((N_CELLS, 2), np.float32)])},
        panel=Panel(GENES, GENES[:2], np.zeros(2), np.ones(2)),
        about={"run": "r0", "stale": 1},
    )
    after = corrected(first, tmp_path / "second.h5ad")
    assert_added(after)
    assert "stale" not in after.uns["syncytium"]
    assert list(after.obs.columns).count("syncytium_shifted") == 1
    assert list(after.obs.columns[-2:]) == list(OBS)


def test_a_file_without_obsm_and_uns(tmp_path):
    source = write(tmp_path, annotated(COUNTS))
    with h5py.File(source, "r+") as file:
        del file["obsm"], file["uns"]
    assert_added(corrected(source, tmp_path / "corrected.h5ad"))


# It is anndata's to say that the site's own file is old; what is written must be silent.
@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_a_file_of_anndata_0_6(tmp_path):
    source = tmp_path / "old.h5ad"
    old_format(source, COUNTS)
    before = source.read_bytes()
    after = corrected(source, tmp_path / "corrected.h5ad")
    assert_added(after)
    assert source.read_bytes() == before
    np.testing.assert_array_equal(after.X, (COUNTS - COUNTS.mean(axis=0)).astype(np.float32))
    np.testing.assert_array_equal(after.raw.X.toarray(), COUNTS)
    assert after.obs_names.tolist() == [f"cell{i}" for i in range(N_CELLS)]
    assert after.obs["batch"].tolist() == ["a", "b"] * 30
    assert after.var_names.tolist() == after.raw.var_names.tolist() == [f"G{i}" for i in range(40)]


def faulty(error):
    yield DECODED[:25]
    raise error


@pytest.mark.parametrize(
    ("error", "becomes", "message"),
    [
        (OSError(errno.ENOSPC, "disk full"), DiskError, r"corrected.h5ad cannot be.*disk full.*;"),
        (DeviceError("out of memory"), DeviceError, "out of memory"),
    ],
)
@pytest.mark.parametrize("old", [None, b"the result of an earlier run"])
def test_a_fault_midway_leaves_what_was_there(tmp_path, error, becomes, message, old):
    source = write(tmp_path, hospital())
    target = tmp_path / "out" / "corrected.h5ad"
    target.parent.mkdir()
    if old:
        target.write_bytes(old)
    with pytest.raises(becomes, match=message) as caught:
        corrected(source, target, outputs={"decoded": faulty(error)})
    assert str(tmp_path) not in caught.value.public
    assert [path.read_bytes() for path in target.parent.iterdir()] == ([old] if old else [])


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_copy_is_as_private_as_the_source(tmp_path, mode):
    source = write(tmp_path, annotated(COUNTS))
    source.chmod(mode)
    corrected(source, tmp_path / "corrected.h5ad")
    assert stat.S_IMODE((tmp_path / "corrected.h5ad").stat().st_mode) == mode


@pytest.mark.parametrize(
    "wrong", [DECODED[:-1], np.vstack([DECODED, DECODED[:1]]), DECODED[:, :1], DECODED[:, [0] * 4]]
)
def test_chunks_that_do_not_cover_the_cells_write_nothing(tmp_path, wrong):
    source, target = write(tmp_path, annotated(COUNTS)), tmp_path / "out" / "corrected.h5ad"
    with pytest.raises(ValueError, match="decoded: "):
        corrected(source, target, outputs={"decoded": chunks(wrong)})
    assert list(target.parent.iterdir()) == []


def test_a_source_that_is_gone_is_named(tmp_path):
    target = tmp_path / "out" / "corrected.h5ad"
    with pytest.raises(InputError, match=r"gone\.h5ad can no longer be read"):
        corrected(tmp_path / "gone.h5ad", target)
    assert list(target.parent.iterdir()) == []
