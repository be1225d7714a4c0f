"""The evaluation before and after correction, and its table."""

import copy
import io
import json

import numpy as np
import pytest
from rich.console import Console

from common.errors import ConfigError, InputError
from common.metrics.embedded import Embedded
from common.metrics.registry import METRICS
from report.evaluation import evaluate_embeddings, evaluation_table, principal_components


@pytest.fixture(scope="module")
def study():
    """Three types in two shifted batches ("DC" in one), the shift removed, and pure noise."""
    rng = np.random.default_rng(11)
    n = 240
    cell_type = rng.choice(["B", "T", "DC"], n).astype(object)
    batch = np.where(cell_type == "DC", "x", rng.choice(["x", "y"], n))
    truth = rng.normal(size=(n, 30)).astype(np.float32)
    for i, name in enumerate(["B", "T", "DC"]):
        truth[cell_type == name, 5 * i : 5 * i + 5] += 3
    before = truth + 3 * (batch == "y")[:, None].astype(np.float32)
    cell_type[:12] = None
    noise = rng.normal(size=(n, 30)).astype(np.float32)
    return {
        "before": before,
        "after": {"decoded": truth, "noise": noise},
        "batch": batch,
        "cell_type": cell_type,
    }


@pytest.fixture(scope="module")
def result(study):
    return evaluate_embeddings(**study, n_pcs=10)


def rendered(result, **options):
    console = Console(width=80, file=io.StringIO(), **options)
    console.print(evaluation_table(result))
    return console.file.getvalue()


def test_components_equal_the_singular_vectors(study):
    x = study["before"].astype(np.float64)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    ours = principal_components(x, 10, seed=0)
    np.testing.assert_allclose(np.abs(ours), np.abs(u[:, :10] * s[:10]), atol=1e-6)
    np.testing.assert_array_equal(ours, principal_components(x, 10, seed=0))


def test_few_columns_are_only_centred_and_few_cells_give_few_components(study):
    x = study["before"][:, :4] + 5
    np.testing.assert_allclose(principal_components(x, 10, 0), x - x.mean(axis=0), atol=1e-5)
    assert principal_components(study["before"][:6], 10, 0).shape == (6, 5)
    np.testing.assert_array_equal(principal_components(np.ones((5, 40)), 10, 0), 0)


def test_each_matrix_is_scored_in_its_own_components(study, result):
    for column, x in {"uncorrected": study["before"], **study["after"]}.items():
        embedded = Embedded(principal_components(x, 10, seed=0), study["batch"], study["cell_type"])
        for name in METRICS.names():
            assert result["overall"][column][name] == {
                "value": METRICS.get(name)(embedded).value,
                "reason": None,
            }
    mixing = [
        result["overall"][c]["entropy_of_batch_mixing_shared"]["value"]
        for c in ("uncorrected", "decoded")
    ]
    assert mixing[0] < 0.05 < 0.8 < mixing[1]


def test_result_survives_json_unchanged_and_says_how_it_was_made(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["n_cells"] == result["n_cells_scored"] == 240
    assert result["n_cells_without_type"] == 12
    assert (result["n_batches"], result["n_types"], result["subsample"]) == (2, 3, None)
    assert result["settings"]["k"] == 15
    assert result["settings"]["n_pcs_found"] == {"uncorrected": 10, "decoded": 10, "noise": 10}
    assert result["settings"]["resolutions"] == pytest.approx(np.arange(1, 21) / 10)
    assert result["settings"]["metrics"]["ilisi"]["k"] == 90
    assert result["settings"]["metrics"]["kbet"]["alpha"] == 0.05
    assert {"scanpy", "scikit-learn", "igraph", "scib-metrics"} <= set(result["versions"])
    assert "also score it" in result["note"]


def test_scores_per_type(study, result):
    assert set(result["per_type"]) == {"B", "DC", "T"}
    for name, entry in result["per_type"].items():
        cells = study["cell_type"] == name
        assert entry["n_cells"] == cells.sum()
        assert entry["n_batches"] == len(set(study["batch"][cells]))
        assert set(entry["scores"]) == {"uncorrected", "decoded", "noise"}
        assert entry["scores"]["decoded"]["knn_purity"] > entry["scores"]["noise"]["knn_purity"]
    assert result["per_type"]["DC"]["scores"]["decoded"]["entropy_of_batch_mixing"] is None
    mixing = [
        result["per_type"]["B"]["scores"][c]["entropy_of_batch_mixing"]
        for c in ("uncorrected", "decoded")
    ]
    assert mixing[0] + 0.5 < mixing[1]


def test_subsample_is_the_same_cells_everywhere_and_is_stated(study):
    study = study | {"after": {"decoded": study["after"]["decoded"]}}
    options = {"n_pcs": 5, "max_cells": 100, "seed": 4}
    small = evaluate_embeddings(**study, **options)
    assert small["subsample"] == {
        "n_cells": 100,
        "how": "random, without replacement",
        "seed": 4,
    }
    assert (small["n_cells"], small["n_cells_scored"]) == (240, 100)
    rows = np.sort(np.random.default_rng(4).choice(240, 100, replace=False))
    direct = evaluate_embeddings(
        study["before"][rows],
        {name: x[rows] for name, x in study["after"].items()},
        study["batch"][rows],
        study["cell_type"][rows],
        n_pcs=5,
        seed=4,
    )
    assert direct["overall"] == small["overall"]
    assert direct["per_type"] == small["per_type"]
    other = evaluate_embeddings(**study, **(options | {"seed": 5}))
    assert other["overall"] != small["overall"]
    assert "random subsample of the 240 cells (seed 4)" in " ".join(rendered(small).split())


def test_table_fits_80_columns_and_explains_itself(result):
    text = rendered(json.loads(json.dumps(result)))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    for name in METRICS.names():
        assert f"{METRICS.get(name).title} ↑" in text
    flat = " ".join(text.split())
    assert "Labels steer the correction and also score it" in flat
    assert "higher is better" in flat
    assert "12 cells without a type" in flat
    assert "15 nearest neighbours (90 in clisi, 90 in ilisi, 50 in kbet)" in flat
    # No title is broken over two lines, and no row by its scores.
    rows = [line.split("↑")[1].split() for line in text.splitlines() if "↑ " in line]
    assert [len(row) for row in rows if row[0] != "higher"] == [5] * len(METRICS.names())
    before, decoded = (
        result["overall"][c]["knn_purity"]["value"] for c in ("uncorrected", "decoded")
    )
    assert f"{before:.3f} {decoded:.3f} {decoded - before:+.3f}" in flat


def line_of(text, title):
    return next(line for line in text.splitlines() if title in line)


def test_change_is_green_where_better_and_red_where_worse(result):
    green, red = "\x1b[32m", "\x1b[31m"
    plain = {"force_terminal": True, "color_system": "standard", "legacy_windows": False}
    title = METRICS.get("knn_purity").title
    line = line_of(rendered(result, **plain), title)
    assert line.count(red) == 1
    assert f"{red} -" in line
    flipped = copy.deepcopy(result)
    flipped["metrics"]["knn_purity"]["better"] = "lower"
    line = line_of(rendered(flipped, **plain), title)
    assert f"{green} -" in line
    assert "↓" in line
    same = copy.deepcopy(result)
    same["overall"]["noise"] = same["overall"]["uncorrected"]
    line = line_of(rendered(same, **plain), title)
    assert red not in line


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"batch": np.full(240, "x")}, "one batch only"),
        ({"cell_type": np.full(240, "B")}, "one cell type only"),
        ({"before": np.ones((240, 30))}, "constant"),
        ({"n": 10}, "at least 16 cells"),
    ],
)
def test_degenerate_studies_give_none_with_a_reason_in_the_table(study, change, reason):
    n = change.get("n", 240)
    arrays = study | {key: value for key, value in change.items() if key != "n"}
    after = {name: x[:n] for name, x in arrays.pop("after").items()}
    small = evaluate_embeddings(after=after, **{k: v[:n] for k, v in arrays.items()}, n_pcs=5)
    json.dumps(small, allow_nan=False)
    missing = [s for s in small["overall"]["uncorrected"].values() if s["value"] is None]
    assert missing
    assert all(s["reason"] for s in missing)
    text = " ".join(rendered(small).split())
    assert "– no value: " in text
    assert reason in text


def test_mismatched_input_is_refused(study):
    with pytest.raises(InputError, match=r"'decoded' has shape \(239, 30\)"):
        evaluate_embeddings(**study | {"after": {"decoded": study["before"][1:]}})
    with pytest.raises(InputError, match=r"batch has shape \(239,\)"):
        evaluate_embeddings(**study | {"batch": study["batch"][1:]})
    broken = study["before"].copy()
    broken[0, 0] = np.nan
    with pytest.raises(InputError, match="1 of 240 cells hold NaN"):
        evaluate_embeddings(**study | {"before": broken})
    with pytest.raises(ConfigError, match="another name"):
        evaluate_embeddings(**study | {"after": {"uncorrected": broken}})
    with pytest.raises(ConfigError, match="n_pcs=0"):
        evaluate_embeddings(**study, n_pcs=0)
