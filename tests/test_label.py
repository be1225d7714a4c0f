"""A site labels its cells with a published classifier: what is written, and what is refused."""

import json
import shutil
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from typer.testing import CliRunner

from cli.main import app
from client.labelling import label
from common.bundle import Bundle
from common.classification.answered import COLUMNS
from common.classification.published import PublishedClassifier
from common.data.genes import columns_of
from common.data.matrix import ExpressionMatrix
from common.data.normalise import library_sizes, log1p_cp10k
from common.errors import ConfigError, CountsError, DeviceError, DiskError, GeneError, InputError
from report.corrected_files import corrected_files
from report.label_page import is_labelled
from tests.classified import classify, labelled_sites
from tests.small_sites import leftovers, site, write_sites

CPU = torch.device("cpu")
CELLS = {("t", "A"): 40, ("t", "B"): 30, ("u", "C"): 25, ("u", "D"): 9}
TERMS = "label,cell_ontology_id,name\nA,CL:0000236,B cell\nB,CL:0000084,T cell\nC,CL:0000623,NK\n"
PROBABILITIES, ABOUT = "syncytium_probabilities", "syncytium_classifier"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A classifier of each kind over the same sites."""
    folder = tmp_path_factory.mktemp("label")
    data = write_sites(folder / "data", labelled_sites())
    (folder / "terms.csv").write_text(TERMS)
    kinds = {
        "logistic": {"rare_labels": "leave-out", "ontology": str(folder / "terms.csv")},
        "actinn": {"rounds": 12},
        "transformer": {"strategy": "fedavg", "rounds": 6, "local_epochs": 4, "batch_size": 32},
        "xgboost": {"rounds": 4, "label_sites": 1},
    }
    for name, settings in kinds.items():
        classify(folder / name, data, 3, classifier=name, **settings)
    return folder


@pytest.fixture(scope="module")
def bundle(runs):
    return runs / "logistic/bundle"


def later(**obs):
    """Another site: D are doublets of A and B; without labels unless they are given, or True."""
    data = site(CELLS, seed=9)
    truth = data.obs.pop("cell_type")
    x = data.X.toarray()
    a, b, d = (np.flatnonzero(truth == name) for name in "ABD")
    x[d] = np.rint((x[a[: len(d)]] + x[b[: len(d)]]) / 2)
    data.X = sparse.csr_matrix(x)
    for key, values in obs.items():
        data.obs[key] = truth.to_numpy() if values is True else values
    return data


@pytest.fixture
def file(tmp_path):
    later().write_h5ad(tmp_path / "later.h5ad")
    return tmp_path / "later.h5ad"


def labelled(bundle, file, out, *, min_confidence=None, reading=None, **settings):
    reading = {"report": False, **(reading or {})}
    return label(
        bundle, file, out, settings=settings, reading=reading, min_confidence=min_confidence
    )


def expected(published, data):
    panel = published.panel
    counts = data.X.tocsr()[:, columns_of(panel.vocabulary, list(data.var_names))]
    chosen = columns_of(panel.genes, panel.vocabulary)
    log = log1p_cp10k(counts[:, chosen], library_sizes(counts))
    matrix = ExpressionMatrix(log.tocsr(), panel.scaling())
    return published.trained.probabilities(matrix, np.arange(data.n_obs), CPU)


@pytest.mark.parametrize("name", ["logistic", "actinn", "transformer", "xgboost"])
def test_the_answers_of_every_kind_of_classifier(runs, file, tmp_path, name):
    done = labelled(runs / name / "bundle", file, tmp_path / "out")
    data = anndata.read_h5ad(tmp_path / "out/labelled.h5ad")
    published = PublishedClassifier.load(runs / name / "bundle")
    probabilities = expected(published, later())
    np.testing.assert_allclose(data.obsm[PROBABILITIES], probabilities, atol=1e-6)
    assert data.obsm[PROBABILITIES].dtype == data.obs["syncytium_confidence"].dtype == np.float32
    confidence = probabilities.max(axis=1)
    np.testing.assert_allclose(data.obs["syncytium_confidence"], confidence, atol=1e-6)
    classes = np.array(published.vocabulary.classes)
    best = classes[probabilities.argmax(axis=1)]
    assert data.obs["syncytium_most_probable"].tolist() == best.tolist()
    sure = confidence >= published.threshold
    answer = np.where(sure, best, "unknown")
    assert data.obs["syncytium_answer"].tolist() == answer.tolist()
    typed = data.obs["syncytium_cell_type"]
    np.testing.assert_array_equal(typed.isna(), ~sure)
    assert typed[sure].tolist() == best[sure].tolist()
    about = data.uns[ABOUT]
    assert about["classes"].tolist() == classes.tolist()
    assert (about["run"], about["classifier"]) == ("7", name)
    assert about["bundle"] == Bundle.load(runs / name / "bundle").digest
    assert about["threshold"] == about["bundle_threshold"] == published.threshold
    assert about["temperature"] == published.trained.temperature
    counts = {name: int((answer == name).sum()) for name in [*classes, "unknown"]}
    assert done.counts == {name: n for name, n in counts.items() if n}
    assert "unknown" in done.counts
    truth = later(cell_type=True).obs["cell_type"].to_numpy()
    known = np.isin(truth, classes)
    assert (best == truth)[known].mean() > 0.9
    assert leftovers(tmp_path / "out") == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["labelled.h5ad"]


def test_the_sites_own_entries_stay(bundle, tmp_path):
    data = later(cell_type=True)
    data.layers["counts"] = data.X.copy()
    data.X = data.X.multiply(0.5).tocsr()
    data.obsm["X_pca"] = np.random.default_rng(0).normal(size=(data.n_obs, 3))
    data.uns["syncytium"] = {"run": "3"}
    data.write_h5ad(tmp_path / "later.h5ad")
    labelled(bundle, tmp_path / "later.h5ad", tmp_path / "out")
    before, after = (
        anndata.read_h5ad(path)
        for path in (tmp_path / "later.h5ad", tmp_path / "out/labelled.h5ad")
    )
    pd.testing.assert_frame_equal(after.obs.drop(columns=list(COLUMNS)), before.obs)
    pd.testing.assert_frame_equal(after.var, before.var)
    for one, other in ((after.X, before.X), (after.layers["counts"], before.layers["counts"])):
        assert (one != other).nnz == 0
    np.testing.assert_array_equal(after.obsm["X_pca"], before.obsm["X_pca"])
    # What a correction wrote is not a classifier's.
    assert after.uns["syncytium"] == {"run": "3"}


def test_terms_stand_beside_the_types(bundle, runs, file, tmp_path):
    labelled(bundle, file, tmp_path / "out")
    obs = anndata.read_h5ad(tmp_path / "out/labelled.h5ad").obs
    terms = {"A": "CL:0000236", "B": "CL:0000084", "C": "CL:0000623"}
    ids = obs["syncytium_cell_type"].astype(object).map(terms)
    pd.testing.assert_series_equal(
        obs["syncytium_cell_type_ontology_term_id"].astype(object), ids, check_names=False
    )
    # Another classifier without terms takes those of the first away.
    shutil.copy(tmp_path / "out/labelled.h5ad", tmp_path / "again.h5ad")
    labelled(runs / "actinn/bundle", tmp_path / "again.h5ad", tmp_path / "again")
    obs = anndata.read_h5ad(tmp_path / "again/labelled.h5ad").obs
    assert set(COLUMNS) - set(obs.columns) == {"syncytium_cell_type_ontology_term_id"}


def test_other_is_an_answer_and_no_cell_type(tmp_path):
    sites = [
        site({("p", "A"): 40, ("p", "B"): 30, ("p", rare): 30}, seed=n)
        for n, rare in enumerate("CDE", start=1)
    ]
    data = write_sites(tmp_path / "data", sites)
    assert classify(tmp_path / "run", data, 3)["classes"] == ["A", "B", "other"]
    sites[2].write_h5ad(tmp_path / "later.h5ad")
    labelled(tmp_path / "run/bundle", tmp_path / "later.h5ad", tmp_path / "out")
    obs = anndata.read_h5ad(tmp_path / "out/labelled.h5ad").obs
    others = obs["syncytium_answer"] == "other"
    assert others.sum() > 20
    assert obs["syncytium_cell_type"][others].isna().all()
    assert obs["syncytium_cell_type"].cat.categories.tolist() == ["A", "B"]


@pytest.mark.parametrize("least", [0.0, 0.9, 1.0])
def test_another_threshold(bundle, file, tmp_path, least):
    done = labelled(bundle, file, tmp_path / "out", min_confidence=least)
    data = anndata.read_h5ad(tmp_path / "out/labelled.h5ad")
    confidence = expected(PublishedClassifier.load(bundle), later()).max(axis=1)
    n_unknown = int((confidence < least).sum())
    assert done.counts.get("unknown", 0) == data.obs["syncytium_cell_type"].isna().sum()
    assert done.counts.get("unknown", 0) == n_unknown
    assert done.threshold == data.uns[ABOUT]["threshold"] == least
    assert data.uns[ABOUT]["bundle_threshold"] != least


def test_lacking_genes_count_as_zeros_and_are_told(bundle, tmp_path):
    whole, genes = later(), PublishedClassifier.load(bundle).panel.genes
    lacking = [*genes[:5], next(g for g in whole.var_names if g not in genes)]
    few = whole[:, [g for g in whole.var_names if g not in lacking]].copy()
    few.write_h5ad(tmp_path / "few.h5ad")
    done = labelled(bundle, tmp_path / "few.h5ad", tmp_path / "out")
    assert (done.padded_genes, done.n_padded_vocabulary) == (genes[:5], 6)
    data = anndata.read_h5ad(tmp_path / "out/labelled.h5ad")
    assert list(data.uns[ABOUT]["padded_genes"]) == list(genes[:5])
    x = whole.X.tolil()
    x[:, whole.var_names.isin(lacking)] = 0
    whole.X = x.tocsr()
    zeros = expected(PublishedClassifier.load(bundle), whole)
    np.testing.assert_allclose(data.obsm[PROBABILITIES], zeros, atol=1e-5)


def test_own_labels_are_compared(bundle, tmp_path):
    """Where there are some that the classifier knows."""
    file = tmp_path / "later.h5ad"
    data = later(cell_type=True)
    data.obs["cell_type"] = data.obs["cell_type"].astype(object)
    data.obs.loc[data.obs_names[:4], "cell_type"] = None
    data.obs.loc[data.obs_names[4:7], "cell_type"] = "Unknown"
    data.write_h5ad(file)
    done = labelled(bundle, file, tmp_path / "out")
    obs = anndata.read_h5ad(tmp_path / "out/labelled.h5ad").obs
    known = obs["cell_type"].isin(["A", "B", "C"]).to_numpy()
    assert done.n_compared == known.sum()
    right = (obs["syncytium_answer"].astype(str) == obs["cell_type"].astype(str))[known]
    assert done.accuracy == pytest.approx(right.mean())
    none = labelled(bundle, file, tmp_path / "none", reading={"cell-type-key": ""})
    assert (none.n_compared, none.accuracy) == (0, None)


@pytest.fixture
def kept(tmp_path):
    """Nothing is written where a site is refused."""
    yield
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("kept")
def test_a_file_that_cannot_be_used_is_refused(bundle, tmp_path):
    file, out = tmp_path / "later.h5ad", tmp_path / "out"
    with pytest.raises(InputError, match=r"there is no file .*later\.h5ad"):
        labelled(bundle, file, out)
    later(cell_type="a ").write_h5ad(file)
    with pytest.raises(InputError, match=r"'a ' and 'A': rename 'a ' to 'A'; or set cell-type-key"):
        labelled(bundle, file, out)
    with pytest.raises(InputError, match=r"no column 'typ'.*set cell-type-key"):
        labelled(bundle, file, out, reading={"cell-type-key": "typ"})
    with pytest.raises(ConfigError, match="'syncytium_answer': this column is written anew"):
        labelled(bundle, file, out, reading={"cell-type-key": "syncytium_answer"})
    with pytest.raises(InputError, match=r"no column 'lane'.*set batch-key"):
        labelled(bundle, file, out, reading={"batch-key": "lane"})
    logged = later()
    logged.X = np.log1p(logged.X.toarray() * np.linspace(0.7, 1.3, 60))
    logged.write_h5ad(file)
    with pytest.raises(CountsError):
        labelled(bundle, file, out)
    few = later()[:, PublishedClassifier.load(bundle).panel.genes[13:]].copy()
    few.write_h5ad(file)
    with pytest.raises(GeneError, match=r"lacks 13 of the 40 genes .*max-padded = 0\.3"):
        labelled(bundle, file, out)
    file.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"later\.h5ad"):
        labelled(bundle, file, out)


@pytest.mark.usefixtures("kept")
def test_wrong_settings_are_refused(bundle, file, tmp_path):
    with pytest.raises(ConfigError, match=r"min-confidence = 1\.2 is no share: give 0 to 1"):
        labelled(bundle, file, tmp_path / "out", min_confidence=1.2)
    with pytest.raises(ConfigError, match="max-padded = 1"):
        labelled(bundle, file, tmp_path / "out", **{"max-padded": 1})
    with pytest.raises(DeviceError, match="device = 'cuda:99'"):
        labelled(bundle, file, tmp_path / "out", reading={"device": "cuda:99"})


@pytest.mark.usefixtures("kept")
def test_another_bundle_is_refused(runs, bundle, file, tmp_path):
    out = tmp_path / "out"
    loaded = Bundle.load(bundle)
    other = {**loaded.card, "task": "correct"}
    replace(loaded, card=other).save(tmp_path / "correct")
    with pytest.raises(InputError, match=r"task 'correct', and one of 'classify'.*classify\.toml"):
        labelled(tmp_path / "correct", file, out)
    plan = loaded.card["classifier"]
    for number, changed in enumerate(
        (
            {"classifier": {**plan, "name": "newest"}},
            {"classifier": {**plan, "name": "actinn"}},
            {"temperature": 0},
            {"threshold": "high"},
            {"labels": {"labels": ["A"]}},
        )
    ):
        folder = tmp_path / f"unknown-{number}"
        replace(loaded, card={**loaded.card, **changed}).save(folder)
        with pytest.raises(InputError, match="use the version that made the bundle"):
            labelled(folder, file, out)
    # The values of another network under this one's name.
    forest = Bundle.load(runs / "xgboost/bundle")
    for mixed in (replace(loaded, state=forest.state), replace(forest, state=loaded.state)):
        folder = tmp_path / f"mixed-{mixed is loaded}-{len(mixed.state)}"
        mixed.save(folder)
        with pytest.raises(InputError, match="use the version that made the bundle"):
            labelled(folder, file, out)
    copy = shutil.copytree(bundle, tmp_path / "copy")
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps({**card, "threshold": 0.0}))
    with pytest.raises(InputError, match=r"card\.json differs from its own hash"):
        labelled(copy, file, out)
    (copy / "card.json").write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(InputError, match=r"bundle format 99 \(made by version .*: use the"):
        labelled(copy, file, out)
    (copy / "card.json").write_text(json.dumps(card))
    blob = bytearray((copy / "model.safetensors").read_bytes())
    blob[-1] ^= 1
    (copy / "model.safetensors").write_bytes(blob)
    with pytest.raises(InputError, match=r"model\.safetensors differs from the hash"):
        labelled(copy, file, out)


@pytest.mark.parametrize("name", ["labelled.h5ad", "corrected.h5ad"])
def test_a_result_is_not_overwritten(bundle, file, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("an earlier one")
    with pytest.raises(InputError, match=rf"{name} exists and is left as it is"):
        labelled(bundle, file, tmp_path / "out")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["an earlier one"]


def test_a_full_disk_leaves_nothing(bundle, file, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.labelled_file.add_columns", full)
    with pytest.raises(DiskError, match=r"No space left on device; make room or give another"):
        labelled(bundle, file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_labelled_file_is_no_corrected_one(bundle, file, tmp_path):
    labelled(bundle, file, tmp_path / "out")
    shutil.copy(tmp_path / "out/labelled.h5ad", tmp_path / "x.h5ad")
    with pytest.raises(InputError, match="was not written by a run: uns has no entry"):
        corrected_files(tmp_path)
    assert is_labelled(tmp_path / "out")


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_says_what_it_did(bundle, tmp_path):
    data = later(typ=True)
    genes = PublishedClassifier.load(bundle).panel.genes
    data = data[:, [g for g in data.var_names if g not in genes[:2]]].copy()
    data.var = data.var.assign(symbol=data.var_names)
    data.var_names = [f"x{i}" for i in range(data.n_vars)]
    data.layers["raw_counts"] = data.X
    data.obs = data.obs.rename(columns={"batch": "lane"})
    data.write_h5ad(tmp_path / "later.h5ad")
    out = tmp_path / "out"
    given = ["--batch-key", "lane", "--gene-column", "symbol", "--layer", "raw_counts"]
    given += ["--cell-type-key", "typ", "--min-confidence", "0.9", "--device", "cpu"]
    command = ["label", bundle, tmp_path / "later.h5ad", "--out", out, "--no-report", *given]
    done = call(*command)
    assert done.exit_code == 0, done.output
    for part in (
        "s] reading ",
        "s] preprocessing 104 cells",
        "s] labelling\n",
        "done: 104 cells of later labelled by the classifier logistic of run 7 (40 genes)",
        "  A\n",
        "unknown: answered with a confidence below 0.9; syncytium_most_probable has the answers",
        "not taught: D; too few sites of the run held them, and such cells get another answer",
        f"2 of the 60 of its vocabulary; they count as zeros ({genes[0]}, {genes[1]}; all in "
        "uns['syncytium_classifier']['padded_genes'])",
        "own labels: of 95 cells whose label the classifier knows it gives ",
        "out/labelled.h5ad",
    ):
        assert part in done.stdout, done.stdout
    assert "report" not in done.stdout
    again = call(*command)
    assert again.exit_code == 1
    assert again.stderr.startswith("error: ")
    assert "exists and is left as it is" in again.stderr
