import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from common.data.pbmc_profiles import MERGED, read_pbmc
from common.data.profiles import fit_profiles
from common.errors import InputError

ROOT = Path(__file__).parents[1]


def test_the_real_cells_are_whole_counts_with_merged_types():
    counts, genes, cell_types, library_size = read_pbmc()
    assert counts.shape == (700, 765)
    assert {"CD74", "LYZ", "NKG7"} <= set(genes)
    assert (counts == np.rint(counts)).all()
    assert (counts.sum(axis=1) < library_size).all()
    assert len(set(cell_types)) == 8
    assert (cell_types == "CD4+ T").sum() == 68 + 19 + 8
    assert not set(MERGED) & set(cell_types)


def test_reading_needs_neither_network_nor_scanpys_import():
    code = (
        "import socket, sys; socket.socket = None\n"
        "from common.data.pbmc_profiles import pbmc_profiles\n"
        "pbmc_profiles()\n"
        "print(sorted({'scanpy', 'anndata', 'pandas', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_scanpy_is_named(monkeypatch):
    monkeypatch.setattr("common.data.pbmc_profiles.find_spec", lambda name: None)
    with pytest.raises(InputError, match="scanpy is not installed"):
        read_pbmc()


def test_the_fit_recovers_known_parameters():
    rng = np.random.default_rng(0)
    means = np.array([[5.0, 0.5, 2.0], [1.0, 4.0, 2.0]])
    dispersions = np.array([0.2, 1.0, 0.5])
    types = np.repeat([0, 1], [12_000, 8_000])
    factor = np.exp(0.2 * rng.standard_normal(20_000))
    mu = means[types] * factor[:, None]
    # scipy's own negative binomial, not the simulator's gamma-Poisson.
    counts = stats.nbinom.rvs(1 / dispersions, 1 / (1 + mu * dispersions), random_state=rng).astype(
        float
    )
    fit = fit_profiles(counts, "xyz", np.array(["a", "b"])[types], 3000 * factor)
    np.testing.assert_allclose(fit.means, means, rtol=0.05)
    np.testing.assert_allclose(fit.dispersions, dispersions, rtol=0.1)
    np.testing.assert_allclose(fit.proportions, [0.6, 0.4])
    assert fit.log_library_sd == pytest.approx(0.2, rel=0.05)


def test_noise_alone_does_not_make_types_differ_but_a_marker_does():
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, (90, 200)).astype(float)
    types = np.repeat(["a", "b", "c"], 30)
    counts[types == "c", 0] += 20
    lineages = {"a": "one", "b": "one", "c": "one"}
    means = fit_profiles(counts, range(200), types, np.full(90, 1e3), lineages).means
    raw = np.array([counts[types == name].mean(axis=0) for name in "abc"])
    assert np.ptp(means[:, 1:], axis=0).mean() < 0.1 * np.ptp(raw[:, 1:], axis=0).mean()
    assert means[2, 0] - means[0, 0] > 15


def test_a_type_is_drawn_to_its_own_lineage_only():
    rng = np.random.default_rng(2)
    # Each type is within two standard errors of the whole, but the lineages differ.
    level = np.repeat([1.0, 1.0, 1.5, 1.5], 40)
    counts = rng.poisson(level[:, None], (160, 50)).astype(float)
    types = np.repeat(["a", "b", "c", "d"], 40)
    lineages = {"a": "low", "b": "low", "c": "high", "d": "high"}
    means = fit_profiles(counts, range(50), types, np.full(160, 1e3), lineages).means
    np.testing.assert_allclose(means.mean(axis=1), [1, 1, 1.5, 1.5], rtol=0.08)


def test_a_dispersion_is_not_lowered_by_fitting_the_means_of_few_cells():
    rng = np.random.default_rng(4)
    counts = rng.poisson(20 * rng.gamma(2, 0.5, (400, 50))).astype(float)
    types = np.repeat(np.arange(100), 4).astype(str)
    fit = fit_profiles(counts, range(50), types, np.full(400, 1e3))
    # With four cells, the square of a mean is too large by dispersion / 4; without n / (n - 1)
    # it would be 0.32.
    assert fit.dispersions.mean() == pytest.approx(0.5 / (1 + 0.5 / 4), rel=0.07)


def test_one_cell_of_a_type_is_refused():
    with pytest.raises(InputError, match="'b' has one cell"):
        fit_profiles(np.ones((3, 2)), "xy", np.array(["a", "a", "b"]), np.ones(3))
