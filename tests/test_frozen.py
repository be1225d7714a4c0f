"""A run with a frozen model: new references over all sites, the model as its bundle has it."""

import shutil
from dataclasses import replace

import anndata
import numpy as np
import pytest

from cli.run import execute
from client.joining import join
from common.alignment import covariance
from common.bundle import Bundle
from common.config import RunConfig
from common.correction import group_rows
from common.errors import ConfigError, GeneError, InputError, RunError, SiteFailure
from common.smoothing import smoothed
from server.frozen import frozen_model
from tests.in_process import Stopped, stopping
from tests.real_sites import real_sites, run
from tests.small_sites import federate, leftovers, lines, run_json, site, three_sites, write_sites

UNTRAINED = dict.fromkeys(("rounds", "hidden", "latent_dim", "n_top_genes", "batch_size"))
# More cells of A than any batch of the first run, and of N, which one earlier site holds too.
NEW = {("t", "A"): 90, ("t", "B"): 24, ("u", "C"): 26}


def frozen(out, data, n_sites, bundle, **settings):
    """A run with the settings of a frozen model, of which those of training are no part."""
    left_out = {key: RunConfig.model_fields[key].default for key in UNTRAINED}
    return federate(out, data, n_sites, **{**left_out, "model": str(bundle), **settings})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frozen")
    sites = three_sites()
    federate(folder / "first", write_sites(folder / "three", sites), 3, output="both")
    write_sites(folder / "four", [*sites, site(NEW, seed=9)])
    frozen(folder / "second", folder / "four", 4, folder / "first/bundle", output="both")
    return folder


def test_model_genes_and_scaling_are_the_bundles(folder):
    first, second = (Bundle.load(folder / name / "bundle") for name in ("first", "second"))
    for name, value in first.state.items():
        np.testing.assert_array_equal(second.state[name], value, err_msg=name)
    assert second.panel.genes == first.panel.genes
    assert second.panel.vocabulary == first.panel.vocabulary
    np.testing.assert_array_equal(second.panel.mean, first.panel.mean)
    np.testing.assert_array_equal(second.panel.sd, first.panel.sd)
    assert second.card["frozen"] == {"run": "7", "bundle": first.digest}
    assert second.digest != first.digest


def test_nothing_is_trained_and_nothing_of_genes_is_summed(folder):
    phases = {line["phase"] for line in lines(folder / "second/ledger.jsonl")}
    corrected = {"describe", "identities", "offers", "reveal", "peaks", "latents", "remainders"}
    evaluated = {f"evaluation_{what}" for what in ("axes", "moments", "features", "probe")}
    assert phases == {*corrected, "correct", *evaluated, "energy"}
    second = run_json(folder / "second")
    assert second["status"] == "finished"
    assert second["frozen"]["run"] == "7"
    assert "n_rounds" not in second
    assert second["n_genes"] == 40
    assert second["n_corrected"] == 298 + 140
    text = (folder / "second/report.html").read_text()
    assert "None: the model is that of run <code>7</code>" in text
    assert leftovers(folder / "second") == []


def test_the_new_site_may_be_dominant_and_bring_a_type_in(folder):
    first, second = (run_json(folder / name) for name in ("first", "second"))
    assert first["largest_batch"] == {"A": 60, "B": 50}
    assert second["largest_batch"] == {"A": 90, "B": 50, "C": 30}
    assert first["types_of_one_site"] == ["C"]
    assert "types_of_one_site" not in second


def test_references_are_those_of_the_pooled_cells_under_the_model(folder):
    """Means of the largest batches, and mean covariances, of the latents that the sites wrote."""
    bundle = Bundle.load(folder / "second/bundle")
    share = bundle.preset.smoothing
    assert share > 0
    parts = {}
    for number in (1, 2, 3, 4):
        data = anndata.read_h5ad(folder / f"second/sites/site-{number}/corrected.h5ad")
        batches = data.obs["batch"].astype(str).to_numpy()
        types = data.obs["cell_type"].astype(object).to_numpy()
        z = smoothed(data.obsm["X_latent"], batches, share, "cpu")
        for (batch, cell_type), rows in group_rows(batches, types).items():
            parts.setdefault(cell_type, {})[batch] = z[rows]
    assert list(bundle.references) == ["A", "B", "C"]
    for name, dominant in (("A", "t"), ("B", "q"), ("C", "p")):
        reference, batches = bundle.references[name], parts[name]
        np.testing.assert_allclose(reference.mean, batches[dominant].mean(axis=0), atol=1e-5)
        large = [covariance(z) for z in batches.values() if len(z) >= 20]
        np.testing.assert_allclose(reference.covariance, np.mean(large, axis=0), atol=1e-5)


def test_a_later_site_may_join_by_its_bundle(folder, tmp_path):
    """The frozen run's sites and a site that joins by its bundle have one decoder."""
    file = folder / "four/site-4.h5ad"
    settings = {"settings": {}, "reading": {"report": False}}
    join(folder / "second/bundle", file, tmp_path / "out", **settings)
    one = anndata.read_h5ad(tmp_path / "out/corrected.h5ad")
    other = anndata.read_h5ad(folder / "second/sites/site-4/corrected.h5ad")
    np.testing.assert_array_equal(one.obsm["residual"], other.obsm["residual"])


def test_the_same_sites_again_have_the_same_references(folder, tmp_path):
    """Under the model that was refitted and published, not the one before."""
    frozen(tmp_path / "out", folder / "three", 3, folder / "first/bundle", output="both")
    first, again = Bundle.load(folder / "first/bundle"), Bundle.load(tmp_path / "out/bundle")
    for name, reference in first.references.items():
        np.testing.assert_array_equal(again.references[name].mean, reference.mean)
        np.testing.assert_array_equal(again.references[name].covariance, reference.covariance)
    for number in (1, 2, 3):
        one, other = (
            anndata.read_h5ad(out / f"sites/site-{number}/corrected.h5ad")
            for out in (folder / "first", tmp_path / "out")
        )
        np.testing.assert_array_equal(one.obsm["decoded"], other.obsm["decoded"])


def test_the_network_is_the_bundles_and_alignment_the_runs(folder, tmp_path):
    """Five latents where the preset has more; means alone where the run says so."""
    frozen(
        tmp_path / "out",
        folder / "four",
        4,
        folder / "first/bundle",
        alignment="mean",
        smoothing=0.0,
    )
    bundle = Bundle.load(tmp_path / "out/bundle")
    assert bundle.preset.shape.latent_dim == 5
    assert (bundle.preset.alignment, bundle.preset.smoothing) == ("mean", 0.0)
    assert {reference.covariance is None for reference in bundle.references.values()} == {True}
    assert bundle.references["A"].mean.shape == (5,)


def test_a_site_that_lacks_genes_is_padded_up_to_a_share(folder, tmp_path):
    sites = [*three_sites(), site(NEW, seed=9)]
    genes = Bundle.load(folder / "first/bundle").panel.genes
    sites[3] = sites[3][:, [g for g in sites[3].var_names if g not in genes[:10]]].copy()
    data = write_sites(tmp_path / "data", sites)
    padded = frozen(tmp_path / "out", data, 4, folder / "first/bundle")
    assert padded["padded"] == {"site-1": 0, "site-2": 0, "site-3": 0, "site-4": 0.25}
    about = anndata.read_h5ad(tmp_path / "out/sites/site-4/corrected.h5ad").uns["syncytium"]
    assert list(about["padded_genes"]) == list(genes[:10])
    with pytest.raises(GeneError, match=r"site 'site-4' lacks 10 of the 40 .*max-padded = 0\.2"):
        frozen(tmp_path / "less", data, 4, folder / "first/bundle", max_padded=0.2)
    assert run_json(tmp_path / "less")["status"] == "failed"


@pytest.mark.parametrize(("phase", "times"), [("describe", 2), ("latents", 3), ("correct", 2)])
def test_a_stopped_run_goes_on(folder, tmp_path, phase, times):
    out, bundle = tmp_path / "out", folder / "first/bundle"
    with pytest.raises(Stopped):
        frozen(out, folder / "four", 4, bundle, output="both", tamper=stopping(phase, times))
    settings = {"run_id": 8, "resume": True, "output": "both"}
    assert frozen(out, folder / "four", 4, bundle, **settings)["status"] == "finished"
    one, two = (Bundle.load(path / "bundle") for path in (out, folder / "second"))
    for name, reference in two.references.items():
        np.testing.assert_array_equal(one.references[name].mean, reference.mean)
    for number in (1, 2, 3, 4):
        files = [
            anndata.read_h5ad(path / f"sites/site-{number}/corrected.h5ad")
            for path in (out, folder / "second")
        ]
        np.testing.assert_array_equal(*(file.obsm["residual"] for file in files))


def test_a_run_does_not_go_on_with_another_bundle(folder, tmp_path):
    out, bundle = tmp_path / "out", tmp_path / "bundle"
    shutil.copytree(folder / "first/bundle", bundle)
    with pytest.raises(Stopped):
        frozen(out, folder / "four", 4, bundle, tamper=stopping("latents"))
    shutil.rmtree(bundle)
    shutil.copytree(folder / "second/bundle", bundle)
    with pytest.raises(RunError, match="is another one than when the run began: put it back"):
        frozen(out, folder / "four", 4, bundle, run_id=8, resume=True)
    # The settings name it as well.
    with pytest.raises(ConfigError, match=r"had other settings: model = "):
        frozen(out, folder / "four", 4, folder / "first/bundle", run_id=8, resume=True)
    shutil.rmtree(bundle)
    shutil.copytree(folder / "first/bundle", bundle)
    frozen(out, folder / "four", 4, bundle, run_id=8, resume=True)


def parse(**settings):
    values = {key.replace("_", "-"): value for key, value in settings.items()}
    return RunConfig.parse(values, where="test")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"latent_dim": 5}, "latent-dim: with model"),
        ({"rounds": 3, "hidden": "32"}, "hidden, rounds: with model"),
        ({"n_top_genes": 40}, "n-top-genes: with model"),
        ({"gene_join": "union"}, "gene-join: with model"),
        ({"strategy": "fedavgm", "server_momentum": 0.9}, "strategy, server-momentum: with"),
    ],
)
def test_settings_that_the_bundle_decides_are_refused(folder, settings, said):
    with pytest.raises(ConfigError, match=f"^{said}.*leave them out, or leave out model"):
        frozen_model(parse(model=str(folder / "first/bundle"), **settings))


def test_a_bundle_that_does_not_fit_is_refused_before_a_site_is_asked(folder, tmp_path):
    bundle = folder / "first/bundle"
    assert frozen_model(parse(model=str(bundle))).preset.refit_decoder is False
    with pytest.raises(ConfigError, match=r"preset = 'fedscgen', and the bundle .* 'default'"):
        frozen_model(parse(model=str(bundle), preset="fedscgen"))
    with pytest.raises(ConfigError, match="needs an absolute path"):
        frozen_model(parse(model="bundle"))
    with pytest.raises(InputError, match=r"is not a bundle: card\.json is missing"):
        frozen(tmp_path / "out", folder / "four", 4, folder)
    assert run_json(tmp_path / "out")["error_kind"] == "InputError"
    assert not (tmp_path / "out/ledger.jsonl").exists()
    loaded = Bundle.load(bundle)
    replace(loaded, card={**loaded.card, "task": "classify"}).save(tmp_path / "other")
    with pytest.raises(InputError, match="of the task 'classify'"):
        frozen_model(parse(model=str(tmp_path / "other")))


@pytest.fixture
def submitted(monkeypatch):
    """The settings that would go to Flower, which is not started."""
    seen = []

    def started(config, *_):
        seen.append(config)
        raise RunError("as far as this test goes")

    monkeypatch.setattr("cli.run._run", started)
    return seen


def test_the_command_takes_a_relative_path_and_checks_it_first(
    folder, tmp_path, monkeypatch, submitted
):
    monkeypatch.chdir(folder)
    settings = {"data": str(folder / "four"), "model": "first/bundle"}
    with pytest.raises(RunError, match="as far as this test goes"):
        execute(settings, tmp_path / "out")
    assert submitted[0].model == str(folder / "first/bundle")
    for wrong, error in (
        ({"model": "first"}, InputError),
        ({"preset": "fedscgen"}, ConfigError),
        ({"rounds": 2}, ConfigError),
    ):
        with pytest.raises(error):
            execute({**settings, **wrong}, tmp_path / "other")
    # Behind a SuperLink the bundle may be on another machine: what can be told is told.
    with pytest.raises(ConfigError, match="needs an absolute path"):
        execute({"model": "first/bundle"}, tmp_path / "other", superlink="here")
    assert len(submitted) == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("differences", ["refuse", "warn"])
def test_real_sites_decide_whether_a_new_one_may_be_summed_with_them(tmp_path, differences):
    """The sums over four, less those over three, would be the fourth's."""
    sites = real_sites(tmp_path, ["bern", "chur", "genf", "lugano"], differences=differences)
    configs = list(sites.values())
    run(tmp_path / "first", configs[:3])
    left_out = {key: RunConfig.model_fields[key].default for key in UNTRAINED}
    settings = {**left_out, "model": str(tmp_path / "first/bundle"), "run_id": 8}
    if differences == "warn":
        done = run(tmp_path / "second", configs, **settings)
        assert (done["status"], done["n_corrected"]) == ("finished", 4 * 60)
        return
    with pytest.raises(SiteFailure, match="policy rule differences: before peaks these cells were"):
        run(tmp_path / "second", configs, **settings)
