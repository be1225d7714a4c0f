"""Labels of unequal origin: how they are read, what is refused, and what a run makes of them."""

import json
import re

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli.console import console
from cli.main import app
from cli.run import summarise
from common.bundle import Bundle
from common.config import RunConfig
from common.data.check import check_file
from common.data.labels import read_labels
from common.errors import ConfigError, InputError
from common.nearest_labels import NearestLabels
from common.node_config import NodeConfig
from common.shift_labels import ShiftLabels
from report import run_evaluation, site_page
from report.label_note import label_note
from report.run_page import BY_ORIGIN, write_run_page
from tests.h5ad_files import annotated, simulate, write
from tests.in_process import RUN_ID
from tests.real_sites import real_sites, run
from tests.report_runs import made_up_run
from tests.small_sites import federate, three_sites, write_sites

COUNTS = simulate()
SOURCE, SURE = "source", "sure"


def table(**columns):
    """Obs of six cells: the third has no label, the last two are curated."""
    obs = {
        "cell_type": ["T", "B", None, "B", "T", "NK"],
        SOURCE: ["predicted", " Predicted", None, "predicted", "curated", "Curated"],
        SURE: [0.9, 0.4, 0.8, np.nan, 0.1, np.nan],
    }
    return pd.DataFrame(obs | columns, index=[f"cell{i}" for i in range(6)])


def read(obs, **settings):
    keys = {"label_origin_key": SOURCE, "confidence_key": SURE, "min_confidence": 0.5}
    return read_labels(obs, "cell_type", **(keys | settings))


def test_labels_with_their_origin_and_confidence():
    labels = read(table())
    assert labels.stated.tolist() == ["T", "B", None, "B", "T", "NK"]
    assert labels.origin.tolist() == [*["predicted"] * 2, None, "predicted", *["curated"] * 2]
    # Of a label that is curated, or not there, no confidence is meant.
    np.testing.assert_array_equal(labels.confidence, [0.9, 0.4, np.nan, np.nan, np.nan, np.nan])
    # Too low, none at all, and no label.
    assert labels.steers.tolist() == [True, False, False, False, True, True]
    assert labels.steering.tolist() == ["T", None, None, None, "T", "NK"]
    assert labels.unsure.tolist() == [False, True, False, True, False, False]
    assert labels.unlabelled.tolist() == [False, False, True, False, False, False]


def test_one_origin_for_all():
    for origin in ("curated", "predicted"):
        labels = read_labels(table(), "cell_type", label_origin=origin)
        assert set(labels.origin[[0, 1, 3, 4, 5]]) == {origin}
        # Without a confidence column every label steers.
        assert labels.steering.tolist() == labels.stated.tolist()
    labels = read(table(), label_origin="predicted", label_origin_key="")
    assert labels.steering.tolist() == ["T", *[None] * 5]


@pytest.mark.parametrize("kind", ["float32", "float64", "Float32", "Float64"])
def test_a_confidence_of_just_the_least_steers_in_any_precision(kind):
    labels = read(table(**{SURE: pd.array([0.7] * 5 + [None], dtype=kind)}), min_confidence=0.7)
    assert labels.steers.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize(
    ("columns", "settings", "said"),
    [
        ({SURE: [0.9, 90.0, 1, 1, 1, -0.1]}, {}, r"is 90 at cell 'cell1', .* for 20 cell\(s\)"),
        ({SURE: [0.9, np.inf, 1, 1, 1, 1]}, {}, r"is inf at cell 'cell1'.*: a confidence is a"),
        ({SURE: ["high"] * 6}, {}, r"obs\['sure'\] holds no numbers \('high'\): .*as numbers"),
        ({SURE: pd.Categorical(["0.9"] * 6)}, {}, r"no numbers \('0.9'\)"),
        ({SURE: [True] * 6}, {}, r"no numbers \('True'\)"),
        ({SOURCE: ["auto", *["curated"] * 5]}, {}, r"'auto' at cell 'cell0'.* 10 labelled cell"),
        ({SOURCE: ["curated", *[None] * 5]}, {}, r"is empty at cell 'cell1', .* 40 labelled cell"),
        ({}, {"confidence_key": "shure"}, r"no column 'shure'.*'sure'.*set confidence-key"),
        ({}, {"label_origin_key": "src"}, r"no column 'src'.*set label-origin-key"),
        (
            {SOURCE: ["predicted"] * 6},
            {"min_confidence": 0.95},
            r"none of the 50 labels steers.*min-confidence = 0.95 \(the highest is 0.9\)",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_and_check_says_it(tmp_path, columns, settings, said):
    obs = table(**columns).iloc[np.arange(60) % 6]
    data = annotated(COUNTS, obs={key: obs[key].array for key in obs})
    with pytest.raises(InputError, match=said) as error:
        read(data.obs, **settings)
    keys = {"label_origin_key": SOURCE, "confidence_key": SURE, "min_confidence": 0.5} | settings
    report = check_file(write(tmp_path, data), **keys)
    (finding,) = [finding for finding in report.findings if finding.level == "error"]
    assert f"{finding.text}: {finding.fix}." == str(error.value)
    assert any("batches: a (30), b (30)" in finding.text for finding in report.findings)


def test_settings_that_nothing_would_heed_are_refused():
    path = {"data-path": "x.h5ad"}
    for config, given in ((RunConfig, {}), (NodeConfig, path)):
        with pytest.raises(ConfigError, match=r"min-confidence = 0.8: name the obs column .*key"):
            config.parse({**given, "min-confidence": 0.8}, where="w")
        with pytest.raises(ConfigError, match=r"confidence-key = 'sure' is of predicted cell type"):
            config.parse({**given, "confidence-key": "sure"}, where="w")
        for key, value in (("min-confidence", 1.5), ("label-origin", "guessed")):
            with pytest.raises(ConfigError, match=rf"{key} = "):
                config.parse({**given, key: value, "confidence-key": "sure"}, where="w")
        for told in ({"label-origin": "predicted"}, {"label-origin-key": "source"}):
            own = {**given, "confidence-key": "sure", "min-confidence": 0.8, **told}
            assert config.parse(own, where="w").min_confidence == 0.8


def test_check_tells_origins_and_what_does_not_steer(tmp_path):
    obs = table().iloc[np.arange(60) % 6]
    path = write(tmp_path, annotated(COUNTS, obs={key: obs[key].array for key in obs}))
    keys = {"label_origin_key": SOURCE, "confidence_key": SURE, "min_confidence": 0.5}
    said = [finding.text for finding in check_file(path, **keys).findings]
    assert "20 labels are curated, 30 predicted; of these 10 steer the correction" in said
    assert (
        "20 predicted labels do not steer: 10 are below min-confidence = 0.5, 10 have no "
        "confidence" in said
    )
    report = check_file(path, label_origin="predicted")
    warnings = [finding for finding in report.findings if finding.level == "warning"]
    assert "0 labels are curated, 50 predicted; all steer the correction" in {
        finding.text for finding in warnings
    }
    assert not any("curated" in f.text for f in check_file(path).findings)


def test_the_command_checks_as_a_site_would(tmp_path):
    obs = table().iloc[np.arange(60) % 6]
    path = write(tmp_path, annotated(COUNTS, obs={key: obs[key].array for key in obs}))
    options = ["--label-origin-key", SOURCE, "--confidence-key", SURE, "--min-confidence", "0.5"]
    done = CliRunner().invoke(app, ["check", str(path), *options])
    assert done.exit_code == 0
    assert "30 predicted; of these 10 steer the correction" in done.stdout
    done = CliRunner().invoke(app, ["check", str(path), "--label-origin-key", "cell_type"])
    assert done.exit_code == 1
    assert "obs['cell_type'] is 'T' at cell 'cell0', and no origin for 50 labelled" in done.stdout
    done = CliRunner().invoke(app, ["check", str(path), "--confidence-key", SURE])
    assert done.exit_code == 1
    assert "label-origin says that all are curated; set label-origin = predicted" in done.stderr


def test_every_cell_is_told_with_its_label_and_why_not():
    left = ShiftLabels(read(table()))
    shifted = np.array([True, False, False, False, True, False])
    columns = left.columns(shifted)
    expected = {
        "syncytium_not_shifted": [
            *(None, "low confidence", "no label", "low confidence"),
            *(None, "type without a reference"),
        ],
        "syncytium_label": ["T", None, None, None, "T", "NK"],
        "syncytium_label_origin": [*["predicted"] * 2, None, "predicted", *["curated"] * 2],
    }
    for name, values in expected.items():
        assert [v if isinstance(v, str) else None for v in columns[name]] == values
    np.testing.assert_array_equal(
        columns["syncytium_label_confidence"], np.float32([0.9, 0.4, *[np.nan] * 4])
    )
    assert columns["syncytium_shifted"] is shifted
    assert np.isnan(columns["syncytium_neighbours_agree"]).all()
    assert left.counts(shifted) == {
        **{"n_cells": 6, "n_shifted": 2, "n_predicted": 1, "n_nearest": 0},
        **{"n_unlabelled": 1, "n_unsure": 2},
    }


def test_the_label_of_the_nearest_cells_takes_the_place_of_one_that_does_not_steer():
    found = NearestLabels(
        np.array([None, "T", "B", None, None, None], dtype=object),
        np.array([np.nan, 0.6, 1.0, np.nan, np.nan, np.nan], dtype=np.float32),
    )
    labels = ShiftLabels(read(table()), found)
    shifted = np.array([True, True, True, False, True, False])
    assert labels.cell_types.tolist() == ["T", "T", "B", None, "T", "NK"]
    assert labels.origin.tolist() == [
        *("predicted", "nearest", "nearest", "predicted", "curated", "curated")
    ]
    assert labels.reasons(shifted).tolist() == [
        *(None, None, None, "no labelled cell in the batch", None, "type without a reference")
    ]
    # What the site's file said of the label that was not taken is kept.
    columns = labels.columns(shifted)
    assert columns["syncytium_label_confidence"][1] == np.float32(0.4)
    np.testing.assert_array_equal(columns["syncytium_neighbours_agree"], found.agreement)
    assert labels.counts(shifted) == {
        **{"n_cells": 6, "n_shifted": 4, "n_predicted": 1, "n_nearest": 2},
        **{"n_unlabelled": 1, "n_unsure": 2},
    }


LABELS = {"label_origin_key": SOURCE, "confidence_key": SURE, "min_confidence": 0.6}


def told(data, seed):
    """Of half the cells the label is predicted, of a tenth with little confidence or none said."""
    rng = np.random.default_rng(seed)
    predicted = rng.random(data.n_obs) < 0.5
    sure = np.where(predicted, rng.uniform(0.6, 1, data.n_obs), np.nan).astype(np.float32)
    sure[predicted & (rng.random(data.n_obs) < 0.2)] = 0.3
    sure[np.flatnonzero(predicted)[:2]] = np.nan
    data.obs[SOURCE] = pd.Categorical(np.where(predicted, "predicted", "curated"))
    data.obs[SURE] = sure
    return data


def unsure(data):
    return (data.obs[SOURCE] == "predicted").to_numpy() & ~(data.obs[SURE].to_numpy() >= 0.6)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with labels of unequal origin, and one over the same cells with the unsure removed."""
    folder = tmp_path_factory.mktemp("origins")
    sites = [told(data, seed) for seed, data in enumerate(three_sites())]
    data = write_sites(folder / "data", sites)
    with_origins = federate(folder / "out", data, 3, rounds=1, **LABELS)
    for before in sites:
        types = before.obs["cell_type"].astype(object)
        types[unsure(before)] = np.nan
        before.obs["cell_type"] = types.astype("category")
    removed = write_sites(folder / "removed", sites)
    federate(folder / "plain", removed, 3, rounds=1)
    return folder, with_origins


def files(out):
    paths = [out / f"sites/site-{number}/corrected.h5ad" for number in (1, 2, 3)]
    return [anndata.read_h5ad(path) for path in paths]


def test_what_is_unsure_steers_no_more_than_if_it_had_no_label(finished):
    folder, _ = finished
    ours, plain = (Bundle.load(folder / name / "bundle") for name in ("out", "plain"))
    assert list(ours.references) == list(plain.references) == ["A", "B"]
    for name in ours.references:
        np.testing.assert_array_equal(ours.references[name].mean, plain.references[name].mean)
        np.testing.assert_array_equal(
            ours.references[name].covariance, plain.references[name].covariance
        )
    for one, other in zip(files(folder / "out"), files(folder / "plain"), strict=True):
        for key in ("X_latent_corrected", "decoded"):
            np.testing.assert_array_equal(one.obsm[key], other.obsm[key])
        assert 3 < unsure(one).sum() < one.n_obs / 3
        assert not one.obs["syncytium_shifted"][unsure(one)].any()


def test_the_corrected_file_carries_the_provenance(finished):
    folder, run = finished
    after = files(folder / "out")
    for data in after:
        obs = data.obs
        assert (obs["syncytium_label_origin"].astype(str) == obs[SOURCE].astype(str)).all()
        predicted = (obs[SOURCE] == "predicted").to_numpy()
        expected = np.where(predicted, obs[SURE], np.nan)
        np.testing.assert_array_equal(obs["syncytium_label_confidence"], expected)
        low = obs["syncytium_not_shifted"] == "low confidence"
        assert (low.to_numpy() == unsure(data)).all()
        assert obs["syncytium_label"].isna().to_numpy().tolist() == unsure(data).tolist()
        about = data.uns["syncytium"]
        assert {key: about[key] for key in LABELS} == LABELS
        assert about["unlabelled"] == "leave"
    shifted = pd.concat([data.obs for data in after]).query("syncytium_shifted")
    assert run["n_predicted"] == (shifted[SOURCE] == "predicted").sum() > 50
    assert run["n_shifted"] == len(shifted)
    assert run["n_unsure"] == sum(unsure(data).sum() for data in after)
    assert (run["n_unlabelled"], run["n_nearest"]) == (0, 0)


def test_scores_say_that_predicted_labels_are_among_them(finished, monkeypatch):
    folder, _ = finished
    seen = {}

    def evaluate_embeddings(before, after, batch, cell_type, **_):
        seen["cell_type"] = cell_type
        return {"note": "Labels steer."}

    monkeypatch.setattr(run_evaluation, "evaluate_embeddings", evaluate_embeddings)
    result = run_evaluation.evaluate_run(folder / "out")
    after = files(folder / "out")
    n_predicted = sum((data.obs[SOURCE] == "predicted").sum() for data in after)
    n_unsure = sum(unsure(data).sum() for data in after)
    assert result["labels"] == {
        "curated": 298 - n_predicted,
        "predicted": n_predicted,
        "unsure": n_unsure,
    }
    # The unsure are scored too.
    assert not any(cell_type is None for cell_type in seen["cell_type"])
    said = label_note(result)
    assert f"{n_predicted} of the 298 cell types that score are predicted" in said
    assert f"{n_unsure} of them were too unsure to steer" in said
    assert label_note({"labels": {"curated": 9, "predicted": 0, "unsure": 0}}) == ""
    assert label_note({}) == ""


def test_each_real_site_says_it_of_its_own_labels_and_may_say_otherwise_later(tmp_path):
    """One site's labels are predicted; before the next run some of them are curated."""
    sites = real_sites(tmp_path, ["bern", "chur", "genf"])
    path = sites["chur"]["data-path"]
    told(anndata.read_h5ad(path), 4).write_h5ad(path)
    sites["chur"] |= {key.replace("_", "-"): value for key, value in LABELS.items()}
    first = run(tmp_path / "one", list(sites.values()), rounds=1)
    data = anndata.read_h5ad(path)
    n_unsure = int(unsure(data).sum())
    n_predicted = int((data.obs[SOURCE] == "predicted").sum())
    assert (first["n_unsure"], first["n_predicted"]) == (n_unsure, n_predicted - n_unsure)
    for name, origins in (("bern", {"curated"}), ("chur", {"curated", "predicted"})):
        after = anndata.read_h5ad(tmp_path / name / "corrected.h5ad")
        assert set(after.obs["syncytium_label_origin"]) == origins
    # Same file, same sites: what its labels are is nothing to the record of sums.
    data.obs[SOURCE] = pd.Categorical(["curated"] * data.n_obs, ["curated", "predicted"])
    data.write_h5ad(path)
    second = run(tmp_path / "two", list(sites.values()), rounds=1, run_id=RUN_ID + 1)
    assert (second["status"], second["n_unsure"], second["n_predicted"]) == ("finished", 0, 0)
    assert second["n_shifted"] == first["n_shifted"] + n_unsure


def test_a_sites_page_says_whose_labels_and_what_was_not_shifted(finished, monkeypatch):
    folder, _ = finished
    site_folder = folder / "out" / "sites" / "site-1"
    monkeypatch.setattr(site_page, "_pictures", lambda *_: None)
    text = site_page.write_site_page(site_folder).read_text()
    obs = files(folder / "out")[0].obs
    n_predicted = (obs["syncytium_shifted"] & (obs[SOURCE] == "predicted")).sum()
    assert re.search(rf"by predicted labels</dt><dd>{n_predicted}</dd>", text)
    assert f"<li>{unsure(files(folder / 'out')[0]).sum()}: low confidence</li>" in text
    assert "<dt>as their nearest cells" not in text


def test_the_runs_page_says_it_beside_the_scores(tmp_path):
    counts = {"n_predicted": 1111, "n_nearest": 222, "n_unlabelled": 333, "n_unsure": 44}
    folder = made_up_run(tmp_path / "run", **counts)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["labels"] = {"curated": 4000, "predicted": 1000, "unsure": 7}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    text = write_run_page(folder, pictures=False).read_text()
    assert text.count("1,000 of the 5,000 cell types that score are predicted") == 2
    for number, what in zip(("1,111", "222", "333", "44"), BY_ORIGIN.values(), strict=True):
        assert re.search(rf"{what}</dt><dd>{number}</dd>", text)


def test_the_end_of_a_run_tells_labels(capsys, tmp_path):
    result = {"n_sites_corrected": 1, "n_rounds": 1, "n_corrected": 99, "n_shifted": 50}
    result |= {"sites": {"a": {}}, "n_genes": 9}
    counts = {"n_predicted": 11, "n_nearest": 22, "n_unlabelled": 33, "n_unsure": 4}
    summarise(result | counts, tmp_path, console())
    said = capsys.readouterr().out
    assert "labels 11 cells were shifted by predicted labels" in said
    assert (
        "33 cells have no label, 4 cells have one too unsure to steer: 22 of them were shifted"
        in said
    )
    summarise(result | dict.fromkeys(counts, 0), tmp_path, console())
    assert "labels" not in capsys.readouterr().out
