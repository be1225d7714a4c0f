"""A site without labels takes part in a correction by those of a classifier, scored by true ones.

Three labelled sites train a classifier; the fourth labels its cells with it, no other site online;
all four correct their cells. It is compared with the run in which the fourth has its true labels.
"""

import anndata
import numpy as np
import pytest

from client.labelling import label
from common.data.simulator import SimulationPlan, simulate_site
from common.errors import SiteFailure
from common.metrics.embedded import Embedded
from report.run_evaluation import evaluate_run
from tests.embedded_cells import score
from tests.in_process import run_in_process
from tests.small_sites import run_json

PLAN = SimulationPlan(n_sites=4, n_cells=1600, seed=3)
NAMES = ["hospital-1", "hospital-2", "hospital-3", "hospital-4"]
SMALL = {"n_top_genes": 300, "min_sites": 3}
NETWORK = {"rounds": 40, "hidden": "64", "latent_dim": 12, "evaluate": False}
LATER = NAMES[-1]
# How a labelled file is read: the labels are predicted, and how sure each is.
BY_CLASSIFIER = {
    "cell-type-key": "syncytium_cell_type",
    "label-origin": "predicted",
    "confidence-key": "syncytium_confidence",
    "min-confidence": 0.5,
}


def coarse(cell_type):
    """Subtypes of T cells are one type: on so few genes no classifier tells them apart."""
    return "T" if cell_type.startswith(("CD4", "CD8")) else cell_type


def nodes(files, folder, **of_later):
    """Node configs of the sites that have these files."""
    configs = []
    for name, file in files.items():
        own = of_later if name == LATER else {}
        where = {"data-path": str(file), "output-dir": str(folder / name), "name": name}
        configs.append({**where, "report": False, **own})
    return configs


def correct(files, folder, **of_later):
    """The sites' corrected files, and the batch of every cell of them."""
    values = {**SMALL, **NETWORK, "n-sites": len(files)}
    configs = nodes(files, folder, **of_later)
    run_in_process(folder / "run", len(files), node_configs=configs, **values)
    assert run_json(folder / "run")["status"] == "finished"
    found = {name: anndata.read_h5ad(folder / name / "corrected.h5ad") for name in files}
    batch = [f"{name}/{b}" for name, data in found.items() for b in data.obs["batch"]]
    return found, np.array(batch, dtype=object)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("label-then-correct")
    files, truth = {}, []
    for number, name in enumerate(NAMES):
        data = simulate_site(PLAN, number)
        data.obs["cell_type"] = data.obs["cell_type"].astype(str).map(coarse).astype("category")
        truth.append(data.obs["cell_type"].astype(str).to_numpy(dtype=object))
        files[name] = folder / f"{name}.h5ad"
        data.write_h5ad(files[name])
    del data.obs["cell_type"]
    bare = folder / "bare.h5ad"
    data.write_h5ad(bare)
    labelling = {name: files[name] for name in NAMES if name != LATER}
    values = {**SMALL, "task": "classify", "n-sites": 3}
    configs = nodes(labelling, folder / "classify")
    run_in_process(folder / "classify/run", 3, node_configs=configs, **values)
    done = label(
        folder / "classify/run/bundle",
        bare,
        folder / "labelled",
        settings={},
        reading={"report": False},
    )
    assert done.counts["unknown"] > 0
    predicted = {**files, LATER: folder / "labelled/labelled.h5ad"}
    return {
        "truth": np.concatenate(truth),
        "bare": bare,
        "folder": folder,
        "own": correct(files, folder / "own"),
        "predicted": correct(predicted, folder / "predicted", **BY_CLASSIFIER),
    }


def scores(study, which, key="X_latent_corrected"):
    """Purity of neighbours by true labels, and mixing of batches, over all cells."""
    found, batch = study[which]
    x = np.concatenate([data.obsm[key] for data in found.values()])
    cells = Embedded(x, batch, study["truth"])
    names = ("knn_purity", "entropy_of_batch_mixing")
    return [score(name, cells).value for name in names]


def test_its_labels_are_mostly_right(study):
    data = study["predicted"][0][LATER]
    truth, typed = study["truth"][-len(data) :], data.obs["syncytium_cell_type"]
    known = typed.notna().to_numpy()
    assert (typed.astype(object).to_numpy() == truth)[known].mean() > 0.97


def test_the_correction_is_nearly_that_by_true_labels(study):
    purity, mixing = scores(study, "predicted")
    own_purity, own_mixing = scores(study, "own")
    before_purity, before_mixing = scores(study, "own", "X_latent")
    assert mixing > own_mixing - 0.02
    assert purity > own_purity - 0.03
    # Without the correction: .13 and .90.
    assert mixing > before_mixing + 0.5
    assert purity > before_purity + 0.01


def test_unknown_cells_steer_nothing(study):
    data = study["predicted"][0][LATER]
    unknown = (data.obs["syncytium_answer"] == "unknown").to_numpy()
    assert not data.obs["syncytium_shifted"][unknown].any()
    assert set(data.obs["syncytium_not_shifted"][unknown]) == {"no label"}
    assert data.obs["syncytium_shifted"].mean() > 0.8
    assert set(data.obs["syncytium_label_origin"][data.obs["syncytium_shifted"]]) == {"predicted"}
    counts = run_json(study["folder"] / "predicted/run")
    assert counts["n_unlabelled"] == unknown.sum()


def test_the_corrected_file_still_has_the_classifiers_answers(study):
    before = anndata.read_h5ad(study["folder"] / "labelled/labelled.h5ad")
    after = study["predicted"][0][LATER]
    for name in before.obs:
        assert before.obs[name].equals(after.obs[name]), name
    key = "syncytium_probabilities"
    np.testing.assert_array_equal(before.obsm[key], after.obsm[key])
    assert after.uns["syncytium_classifier"]["run"] == before.uns["syncytium_classifier"]["run"]
    assert after.uns["syncytium"]["cell_type_key"] == "syncytium_cell_type"


def test_without_the_classifier_the_site_is_refused(study, tmp_path):
    files = {**dict.fromkeys(NAMES), LATER: study["bare"]}
    files = {name: file or study["folder"] / f"{name}.h5ad" for name, file in files.items()}
    with pytest.raises(SiteFailure, match="cannot be used as it is"):
        correct(files, tmp_path)


def test_the_files_are_scored_with_whose_labels_they_are(study, tmp_path, monkeypatch):
    monkeypatch.setattr("report.run_evaluation.evaluate_embeddings", lambda *_, **__: {})
    for name, data in study["predicted"][0].items():
        (tmp_path / name).mkdir()
        data.write_h5ad(tmp_path / name / "corrected.h5ad")
    labels = evaluate_run(tmp_path)["labels"]
    last = study["predicted"][0][LATER].obs["syncytium_cell_type"]
    assert labels["predicted"] == last.notna().sum()
