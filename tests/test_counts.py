"""Which matrix holds counts, of which kind, and counts per N turned back."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from common.data.counts import find_counts, judge, sample_rows
from common.data.h5ad import H5ad
from common.data.reader import SiteFile
from common.errors import CountsError
from tests.h5ad_files import annotated, scaled, simulate, write

COUNTS = simulate()
SIZES = COUNTS.sum(axis=1)


def opened(tmp_path, x, **parts):
    return SiteFile.open(write(tmp_path, annotated(x, **parts)))


def all_counts(site):
    return sparse.vstack([block for _, block in site.iter_counts(chunk_size=17)]).toarray()


def judged(x, **sizes):
    return judge(
        sparse.csr_matrix(x),
        source="X",
        cells=[f"cell{i}" for i in range(len(x))],
        genes=lambda: [f"G{i}" for i in range(x.shape[1])],
        sizes=sizes,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8, bool])
def test_whole_numbers_of_any_dtype_are_integer(dtype):
    assert judged(np.minimum(COUNTS, 200).astype(dtype)).kind == "integer"


@pytest.mark.parametrize("decimals", [2, 8])
def test_expected_counts_are_fractional_and_kept(tmp_path, decimals):
    expected = COUNTS.copy()
    shared = np.random.default_rng(1).random(COUNTS.shape) < 0.4
    expected[shared] *= 0.83
    expected = expected.round(decimals)
    site = opened(tmp_path, expected)
    assert site.counts.kind == "fractional"
    np.testing.assert_array_equal(all_counts(site), expected.astype(np.float32))


def test_counts_without_ambient_are_fractional_though_no_value_is_whole():
    rest = COUNTS * np.random.default_rng(2).uniform(0.6, 0.99, COUNTS.shape)
    assert judged(rest, n_counts=SIZES).kind == "fractional"


def test_halves_are_a_precision_not_a_depth():
    assert judged(COUNTS / 2, n_counts=SIZES).kind == "fractional"


@pytest.mark.parametrize("target", [1e3, 1e4, 1e6, 7_531.0, float(np.median(SIZES))])
@pytest.mark.parametrize("key", ["n_counts", "total_counts", "nCount_RNA", "nUMI", "n_umi"])
def test_log1p_is_undone_exactly_with_library_sizes(tmp_path, target, key):
    site = opened(tmp_path, np.log1p(scaled(COUNTS, target)), obs={key: SIZES})
    assert (site.counts.kind, site.counts.library_key) == ("log1p", key)
    assert site.counts.target_sum == pytest.approx(target, rel=1e-5)
    np.testing.assert_array_equal(all_counts(site), COUNTS)


@pytest.mark.parametrize("target", [1e4, 7_531.0])
def test_log1p_is_undone_after_genes_were_dropped(tmp_path, target):
    site = opened(tmp_path, np.log1p(scaled(COUNTS, target))[:, ::2], obs={"n_counts": SIZES})
    np.testing.assert_array_equal(all_counts(site), COUNTS[:, ::2])


def test_counts_are_never_doubled():
    # No cell has a count of one, so that N / 2, a usual target, also gives whole numbers.
    counts = np.where(COUNTS == 1, 3, COUNTS)
    sizes = 4 * SIZES
    x = np.log1p(counts * (20_000 / sizes[:, None]))
    with pytest.raises(CountsError, match="library size, and"):
        judged(x, n_counts=sizes)


def test_counts_per_n_without_log_are_undone_and_called_integer(tmp_path):
    site = opened(tmp_path, scaled(COUNTS, 1e4), obs={"total_counts": SIZES})
    assert (site.counts.kind, site.counts.library_key) == ("integer", "total_counts")
    np.testing.assert_array_equal(all_counts(site), COUNTS)


def test_the_right_one_of_two_size_columns_is_used():
    wrong = SIZES * np.random.default_rng(3).uniform(0.8, 1.2, len(SIZES))
    verdict = judged(np.log1p(scaled(COUNTS, 1e4)), n_counts=wrong, total_counts=SIZES)
    assert verdict.library_key == "total_counts"


def test_pbmc68k_reduced_is_undone_from_raw(tmp_path):
    scanpy = importlib.util.find_spec("scanpy")
    if scanpy is None:
        pytest.skip("scanpy is not installed")
    path = Path(scanpy.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    site = SiteFile.open(path, batch_key="", cell_type_key="bulk_labels")
    assert (site.counts.kind, site.counts.source) == ("log1p", "raw/X")
    assert (site.counts.library_key, site.counts.target_sum) == ("n_counts", 1e4)
    counts = all_counts(site)
    assert counts.shape == (700, 765)
    # The bundled values have three decimals: their smallest count per cell must come out as one.
    assert np.median(np.where(counts > 0, counts, np.inf).min(axis=1)) == 1


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.log1p(scaled(COUNTS, 1e4)), "log-normalised.*no complete column.*obs\\['n_counts'\\]"),
        (scaled(COUNTS, 1e4), "normalised to equal library sizes"),
        (scaled(COUNTS * np.linspace(0.3, 2.1, 40), 1e6), "normalised to equal library sizes"),
        (scaled(COUNTS, 1e6)[:, ::2], "normalised to equal library sizes"),
        (np.log2(np.maximum(COUNTS, 0.5) * 371.3 + 7.7), "variance-stabilised"),
        (COUNTS - COUNTS.mean(axis=0), r"looks z-scored \(sc.pp.scale\)"),
        (np.zeros((9, 5)), "only zeros"),
    ],
    ids=["log1p", "CP10k", "TPM", "CPM of some genes", "VST", "z-scored", "zeros"],
)
def test_what_is_not_counts_is_refused_with_its_reason(x, reason):
    with pytest.raises(CountsError, match=reason):
        judged(x)


def test_wrong_sizes_are_refused_with_the_distance():
    wrong = SIZES * np.random.default_rng(4).uniform(0.8, 1.2, len(SIZES))
    with pytest.raises(CountsError, match=r"obs\['n_counts'\] leaves values 0\.\d+ away"):
        judged(np.log1p(scaled(COUNTS, 1e4)), n_counts=wrong)


@pytest.mark.parametrize("base", ["whole", "expected"])
@pytest.mark.parametrize("transform", ["log1p", "CP10k"])
def test_one_transformed_batch_among_counts_is_refused(base, transform):
    # Against a background of whole counts, CP10k alone is told by the sizes that do not fit.
    x = simulate(60, 120, seed=5)
    part = scaled(x, 1e4)[50:]
    if base == "expected":
        x = np.where(np.random.default_rng(5).random(x.shape) < 0.4, x * 0.83, x)
    x[50:] = np.log1p(part) if transform == "log1p" else part
    with pytest.raises(CountsError, match=r"mixes cells|normalised"):
        judged(x)


@pytest.mark.parametrize("dtype", ["float64", "Int64"])
def test_a_size_column_with_a_gap_is_not_used(tmp_path, dtype):
    sizes = pd.array(SIZES.astype(int), dtype=dtype)
    sizes[7] = None
    with pytest.raises(CountsError, match="no complete column of library sizes"):
        opened(tmp_path, np.log1p(scaled(COUNTS, 1e4)), obs={"n_counts": sizes})


def test_one_wrong_library_size_is_found_while_reading(tmp_path):
    counts = simulate(3000, 20, seed=6)
    sizes = counts.sum(axis=1)
    row = np.setdiff1d(np.arange(3000), sample_rows(3000, np.arange(3000) % 2))[0]
    x = np.log1p(scaled(counts, 1e4))
    sizes[row] *= 1.3
    site = opened(tmp_path, x, obs={"n_counts": sizes})
    with pytest.raises(CountsError, match=f"cell 'cell{row}', gene 'G"):
        list(site.iter_counts())


def test_auto_order_and_first_usable(tmp_path):
    logged = np.log1p(scaled(COUNTS, 1e4))
    data = annotated(logged, layers={"spliced": COUNTS, "counts": COUNTS + 1})
    data.raw = annotated(COUNTS + 2)
    file = H5ad.open(write(tmp_path, data))
    assert file.sources == ("layers/counts", "X", "raw/X", "layers/spliced")
    assert find_counts(file).source == "layers/counts"
    del data.layers["counts"]
    file = H5ad.open(write(tmp_path, data))
    assert find_counts(file).source == "raw/X"
    data.raw = None
    assert find_counts(H5ad.open(write(tmp_path, data))).source == "layers/spliced"


def test_layer_names_one_matrix_and_is_not_overruled(tmp_path):
    data = annotated(np.log1p(scaled(COUNTS, 1e4)), layers={"spliced": COUNTS})
    data.raw = annotated(COUNTS)
    file = H5ad.open(write(tmp_path, data))
    assert find_counts(file, "raw").source == "raw/X"
    assert find_counts(file, "spliced").source == "layers/spliced"
    with pytest.raises(CountsError, match="log-normalised"):
        find_counts(file, "X")
    with pytest.raises(CountsError, match="did you mean 'spliced'"):
        find_counts(file, "splced")


def test_when_none_is_usable_every_matrix_gets_its_reason(tmp_path):
    data = annotated(COUNTS - 5, layers={"tpm": scaled(COUNTS, 1e6)})
    with pytest.raises(CountsError) as caught:
        find_counts(H5ad.open(write(tmp_path, data)))
    message = str(caught.value)
    assert "X looks z-scored" in message
    assert "layers/tpm looks normalised" in message
    assert message.count("put raw counts into") == 1


def test_small_batches_are_among_the_sampled_cells():
    batches = np.array(["big"] * 50_000 + ["small"] * 9 + ["big"] * 50_000)
    rows = sample_rows(len(batches), batches)
    assert (batches[rows] == "small").sum() >= 8
    assert len(rows) == len(set(rows)) < 1200
    assert (np.diff(rows) > 0).all()
