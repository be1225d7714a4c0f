import json
from dataclasses import replace

import anndata
import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from common.data import simulator
from common.data.h5ad import H5ad
from common.data.pbmc_profiles import pbmc_profiles, read_pbmc
from common.data.simulator import SimulationPlan, simulate_site, simulate_sites
from common.errors import ConfigError, InputError

SMALL = SimulationPlan(n_cells=600, n_genes=60)


@pytest.fixture(scope="module")
def sites():
    """The default study."""
    plan = SimulationPlan()
    return [simulate_site(plan, index) for index in range(plan.n_sites)]


def same(one, other):
    assert one.X.shape == other.X.shape
    assert (one.X != other.X).nnz == 0
    assert one.obs.equals(other.obs)
    assert one.var.equals(other.var)
    for key in one.varm:
        np.testing.assert_array_equal(one.varm[key], other.varm[key])


def neighbour_codes(counts, codes):
    dense = counts.toarray()
    z = PCA(20, random_state=0).fit_transform(
        np.log1p(dense / dense.sum(axis=1, keepdims=True) * 1e4)
    )
    return codes[NearestNeighbors(n_neighbors=15).fit(z).kneighbors()[1]]


def mixing(counts, labels):
    """Entropy of batch mixing, 0 (apart) to 1."""
    names, codes = np.unique(labels, return_inverse=True)
    around = neighbour_codes(counts, codes)
    shares = [(around == code).mean(axis=1) for code in range(len(names))]
    return stats.entropy(shares, axis=0).mean() / np.log(len(names))


def truth_of_means(site):
    """Expected counts of every cell, recomputed from what the file says of itself."""
    notes = site.uns["simulation"]
    types = [list(notes["cell_types"]).index(name) for name in site.obs["cell_type"]]
    batches = [list(notes["batches"]).index(name) for name in site.obs["batch"]]
    log_effect = (
        site.var["site_effect"].to_numpy()[:, None]
        + site.varm["batch_effects"][:, batches]
        + site.varm["type_site_effects"][:, types]
    )
    means = site.varm["type_profiles"][:, types] * np.exp(log_effect)
    return means.T * site.obs["library_factor"].to_numpy()[:, None]


def test_the_same_plan_gives_the_same_site_and_another_seed_another():
    same(simulate_site(SMALL, 1), simulate_site(SMALL, 1))
    assert (simulate_site(SMALL, 1).X != simulate_site(replace(SMALL, seed=1), 1).X).nnz
    one, two = (simulate_site(SMALL, index).var["site_effect"] for index in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.5


def test_a_site_does_not_depend_on_which_others_are_made():
    alone = simulate_site(SMALL, 2)
    for index in (3, 0, 1):
        simulate_site(SMALL, index)
    same(alone, simulate_site(SMALL, 2))


def test_sites_share_no_random_numbers():
    plan = SimulationPlan(n_cells=1000, n_genes=100, shares=(1, 1, 1, 1))
    residuals = []
    for index in (0, 2):
        site = simulate_site(plan, index)
        mu = truth_of_means(site)
        z = (site.X.toarray() - mu) / np.sqrt(mu + site.var["dispersion"].to_numpy() * mu**2)
        residuals.append(z.ravel())
    assert abs(np.corrcoef(residuals)[0, 1]) < 0.03


def test_effects_do_not_depend_on_the_number_of_sites_or_genes():
    few = simulate_site(SMALL, 1)
    for plan in (replace(SMALL, n_sites=7, n_cells=2000), replace(SMALL, n_genes=800)):
        many = simulate_site(plan, 1)[:, few.var_names]
        np.testing.assert_array_equal(many.var["site_effect"], few.var["site_effect"])
        for key in ("batch_effects", "type_site_effects", "type_profiles"):
            np.testing.assert_array_equal(many.varm[key], few.varm[key])


def test_counts_do_not_depend_on_the_size_of_a_chunk(monkeypatch):
    plan = replace(SMALL, n_sites=1)
    whole = simulate_site(plan, 0)
    monkeypatch.setattr("common.data.simulated_site._BLOCKS_PER_CHUNK", 1)
    same(whole, simulate_site(plan, 0))


def test_a_site_is_whole_counts_in_csr_with_real_names(sites):
    real = pbmc_profiles()
    for number, site in enumerate(sites, start=1):
        assert isinstance(site.X, sparse.csr_matrix)
        assert site.X.dtype == np.float32
        assert site.X.min() >= 0
        assert (site.X.data == np.rint(site.X.data)).all()
        assert (site.X.data > 0).all()
        assert tuple(site.var_names) == real.genes
        assert set(site.obs["cell_type"]) <= set(real.cell_types)
        assert all(batch.split("/")[0] == f"hospital-{number}" for batch in site.obs["batch"])
        assert site.obs_names.is_unique
        notes = site.uns["simulation"]
        assert notes["provenance"].startswith("semi-synthetic:")
        assert SimulationPlan(**json.loads(notes["plan"])) == SimulationPlan()
    names = np.concatenate([site.obs_names for site in sites])
    assert len(set(names)) == 4000
    depth = np.concatenate([np.asarray(site.X.sum(axis=1)).ravel() for site in sites])
    assert 1200 < np.median(depth) < 2000


def test_sites_differ_in_types_size_and_batches(sites):
    types = set(pbmc_profiles().cell_types)
    missing = [types - set(site.obs["cell_type"]) for site in sites]
    assert [len(names) for names in missing] == [0, 1, 0, 1]
    assert missing[1] != missing[3]
    for site, names in zip(sites, missing, strict=True):
        assert not names & set(site.obs["cell_type"].cat.categories)
    sizes = [site.n_obs for site in sites]
    assert sum(sizes) == 4000
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.5 * sizes[3]
    assert [site.obs["batch"].nunique() for site in sites] == [1, 2, 1, 1]
    fewest = min(site.obs["cell_type"].value_counts().min() for site in sites)
    assert 3 <= fewest < 20
    shares = [site.obs["cell_type"].value_counts(normalize=True) for site in sites]
    assert abs(shares[0]["Dendritic"] - shares[3]["Dendritic"]) > 0.05


@pytest.mark.parametrize("n_sites", [1, 2, 20])
def test_any_number_of_sites(n_sites):
    plan = SimulationPlan(n_sites=n_sites, n_cells=3000, n_genes=20, concentration=0.1)
    made = [simulate_site(plan, index) for index in range(n_sites)]
    assert sum(site.n_obs for site in made) == 3000
    assert min(site.n_obs for site in made) >= 50
    assert max(site.obs["batch"].nunique() for site in made) == 2
    assert any(site.obs["cell_type"].value_counts().min() < 20 for site in made)
    held = dict.fromkeys(pbmc_profiles().cell_types, 0)
    for site in made:
        for name in set(site.obs["cell_type"]):
            held[name] += 1
    assert min(held.values()) >= 1


def test_mean_and_variance_agree_with_the_stated_truth():
    plan = SimulationPlan(n_sites=2, n_cells=40_000, n_genes=40, shares=(1, 400))
    site = simulate_site(plan, 1)
    counts, mu = site.X.toarray().astype(float), truth_of_means(site)
    phi = site.var["dispersion"].to_numpy()
    error = np.sqrt((mu + phi * mu**2).sum(axis=0))
    for batch in site.obs["batch"].unique():
        rows = (site.obs["batch"] == batch).to_numpy()
        z = (counts[rows] - mu[rows]).sum(axis=0) / error
        assert np.abs(z).max() < 4
    measured = ((counts - mu) ** 2 - mu).sum(axis=0) / (mu**2).sum(axis=0)
    np.testing.assert_allclose(measured, phi, rtol=0.12)
    # The truth has to be the truth: with a site effect left out it fits no longer.
    wrong = mu / np.exp(site.var["site_effect"].to_numpy())
    assert np.abs((counts - wrong).sum(axis=0) / error).max() > 20


def test_a_gene_follows_scipys_negative_binomial():
    plan = SimulationPlan(n_sites=1, n_cells=20_000, n_genes=20)
    site = simulate_site(plan, 0)
    mu = truth_of_means(site)
    phi = site.var["dispersion"].to_numpy()
    rng = np.random.default_rng(3)
    counts = site.X.toarray()
    # The randomised probability integral transform of the right law is uniform.
    law = stats.nbinom(1 / phi, 1 / (1 + mu * phi))
    u = law.cdf(counts) - rng.random(counts.shape) * law.pmf(counts)
    p = [stats.kstest(u[:, gene], "uniform").pvalue for gene in range(20)]
    assert min(p) > 1e-4


def test_uncorrected_sites_lie_apart(sites):
    counts = sparse.vstack([site.X for site in sites])
    site_labels = np.repeat(np.arange(4), [site.n_obs for site in sites])
    batch_labels = np.concatenate([site.obs["batch"].astype(str) for site in sites])
    assert mixing(counts, site_labels) < 0.1
    assert mixing(counts, batch_labels) < 0.1
    # Batches of one site lie nearer to each other than sites do.
    two = sites[1]
    assert 0.15 < mixing(two.X, two.obs["batch"].astype(str)) < 0.7


def test_without_site_effects_the_sites_mix():
    plan = SimulationPlan(n_cells=2000, site_sigma=0)
    made = [simulate_site(plan, index) for index in range(4)]
    labels = np.repeat(np.arange(4), [site.n_obs for site in made])
    assert mixing(sparse.vstack([site.X for site in made]), labels) > 0.5


def test_types_are_visible_within_a_site(sites):
    for site in sites:
        codes = site.obs["cell_type"].cat.codes.to_numpy()
        alike = (neighbour_codes(site.X, codes) == codes[:, None]).mean(axis=1)
        assert alike.mean() > 0.9
        for name in ("CD19+ B", "CD14+ Monocyte", "Dendritic"):
            assert alike[(site.obs["cell_type"] == name).to_numpy()].mean() > 0.9


def test_site_effects_have_their_sizes():
    plan = SimulationPlan(n_genes=6000, site_sigma=0.6, batch_ratio=0.5, type_ratio=0.25)
    site = simulator.draw_site(plan, 1)
    assert site.site_effect.std() == pytest.approx(0.6, rel=0.05)
    assert site.batch_effects.std(axis=0) == pytest.approx([0.3, 0.3], rel=0.05)
    assert site.type_effects.std(axis=0) == pytest.approx([0.15] * 8, rel=0.05)
    assert np.exp(site.site_effect).mean() == pytest.approx(1, abs=0.04)
    assert np.abs(np.corrcoef(site.type_effects.T) - np.eye(8)).max() < 0.1


def test_depth_varies_within_and_between_sites():
    plan = SimulationPlan(n_sites=12, n_cells=12_000, n_genes=20, depth_sigma=1.0)
    logs = [np.log(simulator.draw_site(plan, index).library_factor) for index in range(12)]
    assert 0.6 < np.std([log.mean() for log in logs]) < 1.5
    within = np.mean([log.std() for log in logs])
    assert within == pytest.approx(pbmc_profiles().log_library_sd, rel=0.05)


def test_fewer_genes_are_those_of_highest_mean():
    counts, genes, _, _ = read_pbmc()
    plan = SimulationPlan(n_cells=600, n_genes=30)
    kept = list(simulate_site(plan, 0).var_names)
    top = {genes[column] for column in np.argsort(-counts.mean(axis=0))[:30]}
    assert len(top & set(kept)) >= 27
    assert kept == [gene for gene in genes if gene in kept]


def test_more_genes_are_named_apart_and_patterned_like_real_ones():
    site = simulate_site(SimulationPlan(n_cells=600, n_genes=1000), 0)
    assert list(site.var_names[:765]) == list(pbmc_profiles().genes)
    assert list(site.var_names[[765, 999]]) == ["SIM00001", "SIM00235"]
    log_profiles = np.log(site.varm["type_profiles"])
    patterns = log_profiles - log_profiles.mean(axis=1, keepdims=True)
    spread = patterns.std(axis=1)
    assert 0.7 < spread[765:].mean() / spread[:765].mean() < 1.5
    assert len({tuple(row) for row in log_profiles}) > 700
    expression = site.X.mean(axis=0).A1
    assert expression[765:].mean() < 0.6 * expression[:765].mean()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_sites": 0}, "n_sites = 0"),
        ({"n_sites": 2.0}, r"n_sites = 2\.0"),
        ({"n_sites": True}, "n_sites = True"),
        ({"n_cells": -5}, "n_cells = -5"),
        ({"n_genes": 19}, "n_genes = 19: give a whole number of 20 or more"),
        ({"seed": -1}, "seed = -1"),
        ({"site_sigma": -0.1}, r"site_sigma = -0\.1"),
        ({"site_sigma": float("nan")}, "site_sigma = nan"),
        ({"batch_ratio": 1.5}, r"batch_ratio = 1\.5"),
        ({"type_ratio": "high"}, "type_ratio = 'high'"),
        ({"median_counts": 0}, "median_counts = 0"),
        ({"concentration": 0}, "concentration = 0"),
        ({"shares": (1, 2)}, r"shares has 2 value\(s\) for n_sites = 4"),
        ({"shares": (1, 2, 3, 0)}, "shares = 0"),
        ({"n_cells": 200}, "hospital-4 36 cell"),
        ({"shares": (1, 1e-3, 1, 1)}, "hospital-2 1 cell"),
    ],
)
def test_bad_plans_are_refused(change, says):
    with pytest.raises(ConfigError, match=says):
        SimulationPlan(**change)


@pytest.mark.parametrize("n_sites", [2, 3, 20, 100])
def test_the_advised_number_of_cells_is_enough(n_sites):
    with pytest.raises(ConfigError) as refusal:
        SimulationPlan(n_sites=n_sites, n_cells=60)
    advised = int(str(refusal.value).split("n_cells to ")[1].split()[0].replace(",", ""))
    assert SimulationPlan(n_sites=n_sites, n_cells=advised).site_sizes.min() >= 50


@pytest.mark.parametrize("index", [-1, 4])
def test_a_site_outside_the_plan_is_refused(index):
    with pytest.raises(ConfigError, match="give 0 to 3"):
        simulate_site(SMALL, index)


def test_files_hold_what_simulate_site_gives(tmp_path, monkeypatch):
    monkeypatch.setattr("common.data.simulated_site._BLOCK", 32)
    monkeypatch.setattr("common.data.simulated_site._BLOCKS_PER_CHUNK", 2)
    folder = tmp_path / "new" / "data"
    paths = simulate_sites(SMALL, folder)
    assert [path.name for path in paths] == [f"hospital-{n}.h5ad" for n in (1, 2, 3, 4)]
    assert sorted(folder.iterdir()) == paths
    for index, path in enumerate(paths):
        stored, made = anndata.read_h5ad(path), simulate_site(SMALL, index)
        assert isinstance(stored.X, sparse.csr_matrix)
        assert stored.X.dtype == np.float32
        same(stored, made)
        assert stored.uns["simulation"]["plan"] == made.uns["simulation"]["plan"]
        np.testing.assert_allclose(truth_of_means(stored), truth_of_means(made))
        rows = H5ad.open(path).matrix("X").take(np.array([0, 3, 70]))
        assert (rows != made.X[[0, 3, 70]]).nnz == 0


def test_nothing_is_overwritten(tmp_path):
    there = tmp_path / "hospital-3.h5ad"
    there.write_text("precious")
    with pytest.raises(InputError, match=r"hospital-3\.h5ad exist"):
        simulate_sites(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hospital-3.h5ad"]
    assert there.read_text() == "precious"


def test_a_failure_leaves_no_file(tmp_path, monkeypatch):
    write = simulator._write

    def fail_late(plan, index, path):
        if index == 2:
            raise OSError("disk full")
        write(plan, index, path)

    monkeypatch.setattr(simulator, "_write", fail_late)
    with pytest.raises(OSError, match="disk full"):
        simulate_sites(SMALL, tmp_path)
    assert list(tmp_path.iterdir()) == []
