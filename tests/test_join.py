"""A later site corrects itself from a published bundle, as a site of the run would, or is told."""

import json
import shutil
from dataclasses import replace

import anndata
import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from client.joining import join
from common.bundle import Bundle
from common.correction import CELLS_FOR_A_MEAN
from common.errors import ConfigError, CountsError, DeviceError, DiskError, GeneError, InputError
from report.corrected_files import corrected_files
from report.page import NAME
from report.run_evaluation import evaluate_run
from report.site_page import is_site, write_site_page
from tests.small_sites import federate, leftovers, site, three_sites, write_sites

# Two batches of a type that all share, one of a type of one batch only, cells without a label.
LATE = {("t", "A"): 33, ("t", "B"): 24, ("u", "A"): 26, ("u", "N"): 9}
OUTPUTS = ("decoded", "residual")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("join")
    data = write_sites(folder / "data", three_sites())
    federate(folder / "out", data, 3, output="both")
    return folder / "out"


@pytest.fixture(scope="module")
def bundle(run_dir):
    return run_dir / "bundle"


def late_site(**cells):
    data = site({**LATE, **cells}, seed=9)
    data.obs.loc[data.obs_names[:4], "cell_type"] = None
    return data


@pytest.fixture
def late(tmp_path):
    late_site().write_h5ad(tmp_path / "late.h5ad")
    return tmp_path / "late.h5ad"


def joined(bundle, file, out, **given):
    reading = {"report": False, **given.pop("reading", {})}
    return join(bundle, file, out, settings=given, reading=reading)


def test_residual_wants_a_bundle_that_has_its_references(bundle, late, tmp_path):
    plain = Bundle.load(bundle)
    references = {name: replace(r, remainder=None) for name, r in plain.references.items()}
    replace(plain, references=references).save(tmp_path / "decoded-only")
    with pytest.raises(ConfigError, match="output = 'both': the bundle's run made 'decoded' alone"):
        joined(tmp_path / "decoded-only", late, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    joined(tmp_path / "decoded-only", late, tmp_path / "out", output="decoded")


def test_a_site_of_the_run_gets_what_the_run_gave_it(run_dir, bundle, tmp_path):
    """The same code, with the references of the bundle: to the last bit."""
    file = run_dir.parent / "data/site-2.h5ad"
    done = joined(bundle, file, tmp_path / "out")
    own = anndata.read_h5ad(tmp_path / "out/corrected.h5ad")
    of_run = anndata.read_h5ad(run_dir / "sites/site-2/corrected.h5ad")
    for key in ("X_latent", "X_latent_corrected", *OUTPUTS):
        np.testing.assert_array_equal(own.obsm[key], of_run.obsm[key], err_msg=key)
    np.testing.assert_array_equal(own.obs["syncytium_shifted"], of_run.obs["syncytium_shifted"])
    assert (done.counts["n_cells"], done.counts["n_shifted"], done.run) == (125, 125, "7")
    assert (done.unshifted, done.by_own_batches, done.padded_genes) == ({}, [], ())
    assert leftovers(tmp_path / "out") == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["corrected.h5ad"]


def test_its_batches_are_brought_to_the_bundles_references(bundle, late, tmp_path):
    done = joined(bundle, late, tmp_path / "out")
    data = anndata.read_h5ad(tmp_path / "out/corrected.h5ad")
    references = Bundle.load(bundle).references
    after, before = data.obsm["X_latent_corrected"], data.obsm["X_latent"]
    shifted = data.obs["syncytium_shifted"].to_numpy()
    known = data.obs["cell_type"].isin(["A", "B"]).to_numpy()
    np.testing.assert_array_equal(shifted, known)
    for batch, cell_type in (("t", "A"), ("t", "B"), ("u", "A")):
        rows = known & (data.obs["batch"] == batch) & (data.obs["cell_type"] == cell_type)
        assert rows.sum() >= CELLS_FOR_A_MEAN
        wanted = references[cell_type].mean
        np.testing.assert_allclose(after[rows].mean(axis=0), wanted, atol=1e-4)
        assert np.abs(before[rows].mean(axis=0) - wanted).max() > 0.01
    # What was not shifted was smoothed, as at the sites of the run, and nothing else.
    n_new = int((data.obs["cell_type"] == "N").sum())
    assert done.unshifted == {"N": n_new}
    assert done.counts["n_unlabelled"] == 4
    assert done.counts["n_shifted"] == shifted.sum() == len(data) - n_new - 4
    # Everything else of the file is as it was.
    source = anndata.read_h5ad(late)
    assert (data.X != source.X).nnz == 0
    assert list(data.obs_names) == list(source.obs_names)


def test_the_file_says_where_it_comes_from(bundle, late, tmp_path):
    joined(bundle, late, tmp_path / "out", output="residual")
    about = anndata.read_h5ad(tmp_path / "out/corrected.h5ad").uns["syncytium"]
    assert (about["run"], bool(about["joined"])) == ("7", True)
    assert about["bundle"] == Bundle.load(bundle).digest
    assert list(about["outputs"]) == ["residual"]
    assert list(about["unshifted_types"]) == ["N"]
    assert list(about["padded_genes"]) == []


@pytest.mark.parametrize("output", ["decoded", "residual"])
def test_one_output_is_one_of_both(bundle, late, tmp_path, output):
    joined(bundle, late, tmp_path / "both")
    joined(bundle, late, tmp_path / "one", output=output)
    both, one = (anndata.read_h5ad(tmp_path / name / "corrected.h5ad") for name in ("both", "one"))
    assert set(both.obsm) >= set(OUTPUTS)
    assert set(one.obsm).isdisjoint(set(OUTPUTS) - {output})
    np.testing.assert_array_equal(one.obsm[output], both.obsm[output])


def test_a_new_type_of_two_batches_is_shifted_by_these_alone(bundle, tmp_path):
    """As in a run a type that one site alone holds."""
    data = site({**LATE, ("t", "N"): 25, ("u", "N"): 21}, seed=9)
    data.write_h5ad(tmp_path / "late.h5ad")
    done = joined(bundle, tmp_path / "late.h5ad", tmp_path / "out")
    assert (done.by_own_batches, done.unshifted) == (["N"], {})
    data = anndata.read_h5ad(tmp_path / "out/corrected.h5ad")
    z = data.obsm["X_latent_corrected"]
    t, u = (z[(data.obs["cell_type"] == "N") & (data.obs["batch"] == b)].mean(0) for b in "tu")
    np.testing.assert_allclose(t, u, atol=1e-4)


def test_lacking_genes_count_as_zeros(bundle, tmp_path):
    """As if the file had them, with no count; and they are told."""
    whole = late_site()
    genes = Bundle.load(bundle).panel.genes
    lacking = [*genes[:5], next(g for g in whole.var_names if g not in genes)]
    whole[:, [g for g in whole.var_names if g not in lacking]].copy().write_h5ad(
        tmp_path / "few.h5ad"
    )
    x = whole.X.toarray()
    x[:, whole.var_names.isin(lacking)] = 0
    whole.X = x
    whole.write_h5ad(tmp_path / "zero.h5ad")
    few = joined(bundle, tmp_path / "few.h5ad", tmp_path / "few")
    zero = joined(bundle, tmp_path / "zero.h5ad", tmp_path / "zero")
    assert (few.padded_genes, few.n_padded_vocabulary) == (genes[:5], 6)
    assert (zero.padded_genes, zero.n_padded_vocabulary) == ((), 0)
    one, other = (anndata.read_h5ad(tmp_path / n / "corrected.h5ad") for n in ("few", "zero"))
    for key in OUTPUTS:
        np.testing.assert_allclose(one.obsm[key], other.obsm[key], atol=1e-5)
    assert list(one.uns["syncytium"]["padded_genes"]) == list(genes[:5])


@pytest.fixture
def kept(tmp_path):
    """Nothing is written where a site is refused."""
    yield
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("kept")
def test_too_many_lacking_genes_are_refused(bundle, tmp_path):
    """Of the model's genes or of the vocabulary, whichever it lacks more of."""
    whole, genes = late_site(), Bundle.load(bundle).panel.genes
    without = [g for g in whole.var_names if g not in genes[:13]]
    whole[:, without].copy().write_h5ad(tmp_path / "few.h5ad")
    with pytest.raises(GeneError, match=r"lacks 13 of the 40 genes .* and 13 of the 60 .*= 0\.3"):
        joined(bundle, tmp_path / "few.h5ad", tmp_path / "out")
    assert joined(bundle, tmp_path / "few.h5ad", tmp_path / "more", **{"max-padded": 0.35})
    others = [g for g in whole.var_names if g in genes]
    whole[:, others].copy().write_h5ad(tmp_path / "model.h5ad")
    with pytest.raises(GeneError, match=r"lacks 0 of the 40 genes .* and 20 of the 60"):
        joined(bundle, tmp_path / "model.h5ad", tmp_path / "out")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (str.lower, "differ only in upper and lower case: are they of different species"),
        (lambda gene: f"ENSG{int(gene[1:]):011d}", "Ensembl ids such as 'ENSG.*Set gene-column"),
        (lambda gene: f"Q{gene}", "symbols such as 'QG0'.*set gene-column"),
    ],
)
def test_other_genes_are_told_apart(bundle, tmp_path, rename, said):
    data = late_site()
    data.var_names = [rename(gene) for gene in data.var_names]
    data.write_h5ad(tmp_path / "late.h5ad")
    for most in (0.3, 0.99):
        with pytest.raises(GeneError, match=f"lacks 40 of the 40 genes.*{said}"):
            joined(bundle, tmp_path / "late.h5ad", tmp_path / "out", **{"max-padded": most})


@pytest.mark.usefixtures("kept")
def test_a_file_that_a_run_would_refuse_is_refused(bundle, tmp_path):
    file, out = tmp_path / "late.h5ad", tmp_path / "out"
    logged = late_site()
    logged.X = np.log1p(logged.X.toarray() * np.linspace(0.7, 1.3, 60))
    logged.write_h5ad(file)
    with pytest.raises(CountsError):
        joined(bundle, file, out)
    unlabelled = late_site()
    unlabelled.obs["cell_type"] = np.nan
    unlabelled.write_h5ad(file)
    with pytest.raises(InputError, match=r"no cell has a label in obs\['cell_type'\]"):
        joined(bundle, file, out)
    del unlabelled.obs["cell_type"]
    unlabelled.write_h5ad(file)
    with pytest.raises(InputError, match="no column 'cell_type'"):
        joined(bundle, file, out)
    file.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"late\.h5ad"):
        joined(bundle, file, out)
    with pytest.raises(InputError, match=r"there is no file .*absent.h5ad"):
        joined(bundle, tmp_path / "absent.h5ad", out)


def changed(bundle, folder, **card):
    """A whole bundle with another card."""
    loaded = Bundle.load(bundle)
    card = {key: value for key, value in {**loaded.card, **card}.items() if value is not None}
    replace(loaded, card=card).save(folder)
    return folder


@pytest.mark.usefixtures("kept")
def test_another_bundle_is_refused(bundle, late, tmp_path):
    copy, out = tmp_path / "bundle", tmp_path / "out"
    with pytest.raises(InputError, match=r"is not a bundle: card.json is missing; give the folder"):
        joined(tmp_path, late, out)
    other = changed(bundle, tmp_path / "other", task="classify")
    with pytest.raises(InputError, match="of the task 'classify', and one of 'correct' is asked"):
        joined(other, late, out)
    network = Bundle.load(bundle).card["network"]
    for number, unknown in enumerate(
        ({**network, "model": 3}, {**network, "more": 1}, {**network, "alignment": None}, "x")
    ):
        other = changed(bundle, tmp_path / f"unknown-{number}", network=unknown)
        with pytest.raises(InputError, match="the network that a bundle names is not one that"):
            joined(other, late, out)
    shutil.copytree(bundle, copy)
    card = json.loads((copy / "card.json").read_text())
    for key, value in (("run", "8"), ("settings", {"output": "residual"}), ("types", ["B", "A"])):
        (copy / "card.json").write_text(json.dumps({**card, key: value}))
        with pytest.raises(InputError, match=r"card\.json differs from its own hash"):
            joined(copy, late, out)
    (copy / "card.json").write_text(json.dumps({**card, "format": 2}))
    with pytest.raises(InputError, match=r"bundle format 2 \(made by version .*reads 3: use the"):
        joined(copy, late, out)
    (copy / "card.json").write_text(json.dumps(card))
    blob = bytearray((copy / "model.safetensors").read_bytes())
    blob[len(blob) // 2] ^= 1
    (copy / "model.safetensors").write_bytes(blob)
    with pytest.raises(InputError, match=r"model\.safetensors differs from the hash"):
        joined(copy, late, out)


@pytest.mark.usefixtures("kept")
def test_wrong_settings_are_refused(bundle, late, tmp_path):
    with pytest.raises(ConfigError, match="output = 'both '"):
        joined(bundle, late, tmp_path / "out", output="both ")
    with pytest.raises(ConfigError, match="max-padded = 1"):
        joined(bundle, late, tmp_path / "out", **{"max-padded": 1})
    with pytest.raises(InputError, match="no column 'lane'"):
        joined(bundle, late, tmp_path / "out", reading={"batch-key": "lane"})
    with pytest.raises(DeviceError, match="device = 'cuda:99'"):
        joined(bundle, late, tmp_path / "out", reading={"device": "cuda:99"})


def test_a_result_is_not_overwritten(bundle, late, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/corrected.h5ad").write_text("an earlier one")
    with pytest.raises(InputError, match=r"corrected.h5ad exists and is left as it is"):
        joined(bundle, late, tmp_path / "out")
    assert (tmp_path / "out/corrected.h5ad").read_text() == "an earlier one"


def test_a_folder_that_cannot_be_written_is_told_first(bundle, late, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"cannot be written.*give another folder$"):
        joined(bundle, late, tmp_path / "file/out")

    def full(*_, **__):
        raise DiskError(tmp_path / "out/corrected.h5ad", OSError(28, "No space left on device"))

    monkeypatch.setattr("client.joining.correct_site", full)
    with pytest.raises(DiskError, match=r"No space left on device; make room or give another"):
        joined(bundle, late, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def scored(monkeypatch):
    """What is handed to the metrics, which are not computed."""
    seen = {}

    def evaluate_embeddings(before, after, batch, cell_type, **_):
        seen.update(before=before, after=after, batch=batch, cell_type=cell_type)
        return {}

    monkeypatch.setattr("report.run_evaluation.evaluate_embeddings", evaluate_embeddings)
    return seen


def test_joined_files_are_scored_beside_the_runs(run_dir, bundle, late, tmp_path, scored):
    gathered = tmp_path / "gathered"
    gathered.mkdir()
    for number in (1, 2, 3):
        shutil.copy(run_dir / f"sites/site-{number}/corrected.h5ad", gathered / f"s{number}.h5ad")
    joined(bundle, late, gathered / "late")
    evaluate_run(gathered)
    assert len(scored["before"]) == 298 + 92
    assert len(set(scored["batch"])) == 4 + 2
    late_rows = np.array([str(batch).startswith("late/") for batch in scored["batch"]])
    assert late_rows.sum() == 92
    written = anndata.read_h5ad(gathered / "late/corrected.h5ad").obsm["decoded"]
    panel = Bundle.load(bundle).panel
    expected = np.clip((written - panel.mean) / panel.sd, -10, 10)
    np.testing.assert_allclose(scored["after"]["decoded"][late_rows], expected, atol=1e-4)
    # In the run's own folder as well.
    whole = shutil.copytree(run_dir, tmp_path / "run")
    joined(bundle, late, whole / "sites/late")
    assert next(file.site for file in corrected_files(whole)) == "late"
    # A file that joined by another bundle does not.
    other = changed(bundle, tmp_path / "other", versions={"syncytium": "0"})
    joined(other, late, tmp_path / "by-other")
    shutil.copy(tmp_path / "by-other/corrected.h5ad", gathered / "late/corrected.h5ad")
    with pytest.raises(InputError, match=r"another bundle than .*late.* of the same run 7"):
        evaluate_run(gathered)


def test_its_page_says_that_nothing_left(bundle, late, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("client.correction.try_site_page", lambda out: drawn.append(out) or "why")
    assert joined(bundle, late, tmp_path / "out", reading={"report": True}).page_fault == "why"
    assert drawn == [tmp_path / "out"]
    with h5py.File(tmp_path / "out/corrected.h5ad", "r+") as file:
        # Without pictures, which take their time and are another test's.
        del file["uns/syncytium/vocabulary"]
    (tmp_path / "out/outbox.jsonl").write_text("")
    assert is_site(tmp_path / "out")
    assert write_site_page(tmp_path / "out") == tmp_path / "out" / NAME
    text = " ".join((tmp_path / "out" / NAME).read_text().split())
    assert "Nothing: it corrected itself with a published bundle" in text
    assert "By the bundle of run <code>7</code>" in text
    assert "outbox.jsonl</code>, where" not in text


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_says_what_it_did(bundle, tmp_path):
    data = late_site()
    genes = Bundle.load(bundle).panel.genes
    data[:, [g for g in data.var_names if g not in genes[:2]]].copy().write_h5ad(
        tmp_path / "late.h5ad"
    )
    out = tmp_path / "out"
    done = call("join", bundle, tmp_path / "late.h5ad", "--out", out, "--no-report")
    assert done.exit_code == 0, done.output
    said = done.stdout
    for part in (
        "s] reading ",
        "s] preprocessing 92 cells",
        "s] correcting",
        "done: 92 cells of late corrected, ",
        "of them shifted to the references of run 7 (40 genes)",
        f"not in the file: 2 of the 40 genes of the model, 2 of the 60 of its vocabulary; they "
        f"count as zeros ({genes[0]}, {genes[1]}; all in",
        "not shifted N: ",
        "4 cells have no label: they were not shifted",
        "out/corrected.h5ad",
    ):
        assert part in said, said
    assert "report" not in said
    again = call("join", bundle, tmp_path / "late.h5ad", "--out", out)
    assert again.exit_code == 1
    assert again.stderr.startswith("error: ")
    assert "exists and is left as it is" in again.stderr


def test_the_command_reads_other_columns(bundle, tmp_path):
    data = late_site()
    data.obs = data.obs.rename(columns={"batch": "lane", "cell_type": "label"})
    data.var = data.var.rename_axis(None).assign(symbol=data.var_names)
    data.var_names = [f"x{i}" for i in range(data.n_vars)]
    data.layers["raw_counts"] = data.X
    data.X = data.X * 0.5 + 0.25 * (data.X > 0)
    data.write_h5ad(tmp_path / "late.h5ad")
    given = ["--batch-key", "lane", "--cell-type-key", "label", "--gene-column", "symbol"]
    given += ["--layer", "raw_counts", "--output", "residual", "--device", "cpu", "--no-report"]
    done = call("join", bundle, tmp_path / "late.h5ad", "--out", tmp_path / "out", *given)
    assert done.exit_code == 0, done.output
    one = anndata.read_h5ad(tmp_path / "out/corrected.h5ad")
    late_site().write_h5ad(tmp_path / "plain.h5ad")
    joined(bundle, tmp_path / "plain.h5ad", tmp_path / "plain")
    plain = anndata.read_h5ad(tmp_path / "plain/corrected.h5ad")
    np.testing.assert_array_equal(one.obsm["residual"], plain.obsm["residual"])
    assert one.uns["syncytium"]["gene_column"] == "symbol"


@pytest.mark.usefixtures("kept")
def test_a_type_in_another_spelling_is_refused(bundle, tmp_path):
    site({("t", "a"): 20, ("t", "B"): 20}, seed=9).write_h5ad(tmp_path / "late.h5ad")
    with pytest.raises(InputError, match=r"differ only in case.*rename 'a' to 'A'"):
        joined(bundle, tmp_path / "late.h5ad", tmp_path / "out")


def test_types_of_other_names_are_pointed_out(bundle, tmp_path):
    data = site({("t", "a cell"): 20, ("t", "b cell"): 20}, seed=9)
    data.write_h5ad(tmp_path / "late.h5ad")
    done = call("join", bundle, tmp_path / "late.h5ad", "--out", tmp_path / "out", "--no-report")
    assert done.exit_code == 0
    assert "do both name their types alike?" in done.stdout


def test_what_is_kept_meanwhile_is_gone_after_a_fault(bundle, late, tmp_path, monkeypatch):
    folders = []

    def stopped(site, *_, **__):
        folders.append(site.cache_dir)
        assert any(site.cache_dir.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr("client.joining.correct_site", stopped)
    with pytest.raises(KeyboardInterrupt):
        joined(bundle, late, tmp_path / "out")
    assert not folders[0].exists()
    assert not (tmp_path / "out").exists()
