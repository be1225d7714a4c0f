"""The arithmetic of bench/correction.py: what is held out, scored, claimed and shown."""

import json

import anndata
import numpy as np
import pytest
import scanpy as sc

from bench import kept, report
from bench.cells import Cells, given_labels, held_out
from bench.correction import arguments
from bench.correction_claims import claims_of, paired, passes
from bench.correction_scores import batch_effect, held_out_scores, own_neighbours
from bench.correction_tables import BEGIN, END, joined, main, pages, table, value
from bench.corrections import METHODS, Task, corrected_matrices
from common.metrics.embedded import Embedded
from common.metrics.registry import METRICS
from tests.small_sites import TINY, federate, site, write_sites

CELLS = {("p", "A"): 60, ("p", "B"): 40, ("q", "A"): 50, ("q", "B"): 30, ("r", "A"): 33}


def planted(n_cells=900, batch_shift=4.0, type_shift=1.5, seed=0) -> Cells:
    """Overlapping types in two shifted batches, each a site."""
    rng = np.random.default_rng(seed)
    batch = rng.choice(["x", "y"], n_cells).astype(object)
    cell_type = rng.choice(["A", "B", "C"], n_cells).astype(object)
    x = rng.normal(size=(n_cells, 8))
    x[:, 0] += batch_shift * (batch == "y")
    x[:, 1] += type_shift * (cell_type == "B")
    x[:, 2] += type_shift * (cell_type == "C")
    names = np.array([f"cell-{i}" for i in range(n_cells)], dtype=object)
    return Cells("planted", None, "batch", names, batch, cell_type, batch, x, "")


def test_not_worse_up_to_a_hundredth_or_two_standard_errors():
    assert paired([0.5, 0.5, 0.5], [0.51, 0.51, 0.51])["not_worse"]
    assert not paired([0.5, 0.5, 0.5], [0.52, 0.52, 0.52])["not_worse"]
    noisy = paired([0.5, 0.4, 0.6], [0.52, 0.47, 0.57])
    assert noisy["gain"] == pytest.approx(-0.02)
    assert noisy["two_standard_errors"] == pytest.approx(2 * 0.05 / 3**0.5)
    assert noisy["not_worse"]
    assert not paired([0.5] * 3, [0.52] * 3)["not_worse"]
    assert paired([0.5] * 3, [0.52] * 3, better="lower")["gain"] == pytest.approx(0.02)
    assert not paired([0.5], [0.52])["not_worse"]


def figures(purity: float, ours_kept=0.6, control_kept=0.0):
    held = {"purity_held_out": [0.5], "mixing": [0.5]}
    names = ("knn_purity", "entropy_of_batch_mixing", "nmi_best", "silhouette_batch")
    ours = {name: [0.9, 0.9] for name in (*names, "silhouette_label", "ari_best")}
    return {
        "labelled": {
            "ours decoded": {**ours, "knn_purity": [purity, purity]},
            "pooled decoded": {**ours, "silhouette_batch": [0.92, 0.92]},
            "fedscgen": {**ours, "knn_purity": [0.851, 0.849], "nmi_best": [0.89, 0.89]},
        },
        "held_out": {
            "uncorrected": {**held, "purity": [0.8], "own_neighbours": [1.0]},
            "ours decoded": {**held, "purity": [0.81], "own_neighbours": [ours_kept]},
            "collapse": {**held, "purity": [0.95], "own_neighbours": [control_kept]},
        },
    }


BETTER = dict.fromkeys(
    (
        "knn_purity",
        "entropy_of_batch_mixing",
        "nmi_best",
        "silhouette_batch",
        "silhouette_label",
        "ari_best",
    ),
    "higher",
)


def holds(claims, *words):
    (found,) = [holds for claim, holds in claims.items() if all(word in claim for word in words)]
    return found


def test_every_claim_holds_or_not_by_its_figures():
    claims = claims_of("pbmc_5study", figures(0.871), BETTER)
    assert holds(claims, "decoded, knn_purity", "at least 0.87")
    assert not holds(claims, "nmi_best", "at least 0.93")
    assert not holds(claims, "decoded, silhouette_batch", "pooled")
    assert holds(claims, "decoded, ari_best", "pooled")
    assert holds(claims, "fedscgen, knn_purity: 0.850", "difference +0.030")
    assert not holds(claims, "fedscgen, nmi_best", "difference +0.040")
    assert holds(claims, "decoded, held-out labels", "purity 0.810, uncorrected 0.800")
    assert holds(claims, "collapse loses")
    assert not holds(claims_of("pbmc_5study", figures(0.869), BETTER), "knn_purity", "at least")
    flattered = claims_of("pbmc_5study", figures(0.9, ours_kept=0.01, control_kept=0.2), BETTER)
    assert not holds(flattered, "decoded, held-out labels")
    assert not holds(flattered, "collapse loses")
    # Of another dataset nothing is published, and nothing aimed at but the comparisons.
    assert not [c for c in claims_of("other", figures(0.9), BETTER) if "at least" in c]


def test_of_every_site_a_fifth_is_held_out():
    names = np.repeat(["a", "b", "c"], [100, 37, 250]).astype(object)
    hidden = held_out(names, 3)
    assert [int(hidden[names == name].sum()) for name in "abc"] == [20, 7, 50]
    np.testing.assert_array_equal(hidden, held_out(names, 3))
    assert (hidden != held_out(names, 4)).any()


def test_labels_of_hidden_cells_are_never_read():
    cells = planted()
    hidden = held_out(cells.site, 0)
    given = given_labels(cells.x, cells.batch, cells.cell_type, hidden)
    lied = np.where(hidden, "LIE", cells.cell_type)
    np.testing.assert_array_equal(given, given_labels(cells.x, cells.batch, lied, hidden))
    np.testing.assert_array_equal(given[~hidden], cells.cell_type[~hidden])
    assert 0.5 < (given == cells.cell_type)[hidden].mean() < 1


def test_a_matrix_of_label_means_loses_where_it_has_the_highest_purity():
    cells = planted(type_shift=2.5)
    task = Task.of(cells, "held_out", 0)
    matrices = {"before": cells.x, "control": METHODS["collapse"].run(task)[0][""]}
    found = {
        name: {
            metric: [score]
            for metric, score in held_out_scores(x, cells.x, cells, task.hidden).items()
        }
        for name, x in matrices.items()
    }
    before, control = found["before"], found["control"]
    assert control["purity"][0] > before["purity"][0]
    assert before["own_neighbours"] == [pytest.approx(1.0, abs=1e-3)]
    assert abs(control["own_neighbours"][0]) < 0.03
    assert passes(before, before)
    assert not passes(control, before)
    # With all labels it cannot be told from a perfect correction.
    whole = METHODS["collapse"].run(Task.of(cells, "labelled", 0))[0][""]
    embedded = Embedded(whole, cells.batch, cells.cell_type)
    assert METRICS.get("knn_purity")(embedded).value == 1.0


def test_purity_of_held_out_cells_by_a_loop():
    cells = planted(n_cells=200)
    hidden = held_out(cells.site, 1)
    found = held_out_scores(cells.x, cells.x, cells, hidden)
    by_type = {}
    for cell in np.flatnonzero(hidden):
        far = np.linalg.norm(cells.x - cells.x[cell], axis=1)
        near = [i for i in np.argsort(far) if i != cell][:15]
        share = np.mean([cells.cell_type[i] == cells.cell_type[cell] for i in near])
        by_type.setdefault(cells.cell_type[cell], []).append(share)
    expected = np.mean([np.mean(shares) for shares in by_type.values()])
    assert found["purity"] == pytest.approx(expected, abs=1e-3)


def test_own_neighbours_are_kept_by_a_shift_of_batches_and_not_by_a_shuffle():
    cells = planted()
    everyone = np.ones(len(cells.x), dtype=bool)
    shifted = cells.x - 4 * np.outer(cells.batch == "y", np.eye(8)[0])
    assert own_neighbours(shifted, cells.x, cells, everyone) == pytest.approx(1.0)
    shuffled = np.random.default_rng(1).permutation(cells.x)
    assert abs(own_neighbours(shuffled, cells.x, cells, everyone)) < 0.02
    few = planted(n_cells=60)
    assert own_neighbours(few.x, few.x, few, np.ones(60, dtype=bool)) is None


def test_a_batch_effect_is_measured_against_batches_drawn_anew():
    assert batch_effect(planted())["share"] < 0.2
    assert batch_effect(planted(batch_shift=0.0))["share"] == pytest.approx(1, abs=0.03)


def test_cells_are_preprocessed_as_scanpy_does_and_as_a_run_of_split_sites(tmp_path):
    data = site(CELLS)
    path = tmp_path / "whole.h5ad"
    data.write_h5ad(path)
    cells = Cells.read(path)
    log = data[:, sorted(data.var_names)].copy()
    sc.pp.normalize_total(log, target_sum=1e4)
    sc.pp.log1p(log)
    log.X = log.X.toarray()
    sc.pp.scale(log, max_value=10)
    np.testing.assert_allclose(cells.x, log.X, atol=1e-4)

    # The sites hold the cells in another order than the file.
    parts = [data[data.obs["batch"] == name].copy() for name in ("r", "p", "q")]
    settings = {**TINY, "n_top_genes": 2000, "output": "both"}
    federate(tmp_path / "out", write_sites(tmp_path / "data", parts), 3, **settings)
    matrices = corrected_matrices(tmp_path / "out", cells)
    assert set(matrices) == {"decoded", "residual"}
    file = anndata.read_h5ad(tmp_path / "out/sites/site-1/corrected.h5ad")
    rows = data.obs_names.get_indexer(file.obs_names)
    expected = (file.obsm["decoded"] - log.var["mean"].to_numpy()) / log.var["std"].to_numpy()
    np.testing.assert_allclose(matrices["decoded"][rows], expected.clip(-10, 10), atol=1e-3)

    data[:100].copy().write_h5ad(tmp_path / "part.h5ad")
    with pytest.raises(RuntimeError, match="other cells"):
        corrected_matrices(tmp_path / "out", Cells.read(tmp_path / "part.h5ad"))


def test_what_is_kept_is_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept")
    made = []

    def make():
        made.append(1)
        return {"": np.eye(3), "residual": np.ones(2)}, {"seconds": 1.5}

    for _ in range(2):
        arrays, about = kept.kept_arrays("key", make)
        np.testing.assert_array_equal(arrays[""], np.eye(3))
        np.testing.assert_array_equal(arrays["residual"], np.ones(2))
        assert about == {"seconds": 1.5}
        assert kept.kept_values("other", lambda: made.append(2) or [1, None]) == [1, None]
    assert made == [1, 2]
    assert not list((tmp_path / "kept").glob(".*"))


def test_figures_are_kept_whatever_kind_of_number_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    report.keep("some", {"claims": {"one": np.float64(1) < 2, "other": np.int64(3) < 2}})
    assert json.loads((tmp_path / "results/some.json").read_text())["claims"] == {
        "one": True,
        "other": False,
    }
    assert "NOT REACHED: other" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["some.json"]


def test_a_digest_follows_the_source(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("x = 1")
    before = kept.code_digest(["*.py"])
    assert kept.code_digest(["*.py"]) == before
    (tmp_path / "a.py").write_text("x = 2")
    assert kept.code_digest(["*.py"]) != before
    with pytest.raises(FileNotFoundError, match=r"gone\.py"):
        kept.code_digest(["gone.py"])


def test_tables_show_mean_and_sd():
    assert value([0.5, 0.7]) == "0.600 ± 0.141"
    assert value([0.5]) == "0.500"
    assert value([None, None]) == "–"
    methods = {
        "uncorrected": {"nmi_best": [0.5], "entropy_of_batch_mixing": [0.1], "new": [None]},
        "ours decoded": {
            "nmi_best": [0.9, 0.9],
            "entropy_of_batch_mixing": [0.6, 0.7],
            "new": [1.0, 2.0],
        },
    }
    assert table(methods).splitlines() == [
        "|  | EBM | NMI best | new |",
        "| --- | --- | --- | --- |",
        "| uncorrected | 0.100 | 0.500 | – |",
        "| ours decoded | 0.650 ± 0.071 | 0.900 ± 0.000 | 1.500 ± 0.707 |",
    ]
    effect = {"uncorrected": 0.1, "relabelled": 0.8, "share": 0.125, "real": True}
    dataset = {"n_cells": 1021, "n_batches": 5, "blocks": {"labelled": methods}}
    shown = "\n".join(pages({"batch_effect": {"set": effect}, "datasets": {"set": dataset}}))
    assert "| set | 0.100 | 0.800 | 0.125 | yes |" in shown
    assert "**set**, 1,021 cells, 5 batches." in shown
    assert table(methods) in shown


def test_tables_are_put_between_the_marks_of_a_page(tmp_path):
    effect = {"uncorrected": 0.1, "relabelled": 0.8, "share": 0.125, "real": True}
    scores = {"knn_purity": [0.5], "kbet": [0.123]}
    dataset = {"n_cells": 9, "n_batches": 2, "blocks": {"labelled": {"ours decoded": scores}}}
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    results.write_text(json.dumps({"batch_effect": {"set": effect}, "datasets": {"set": dataset}}))
    page.write_text(f"above\n{BEGIN}\nold 0.4\n{END}\nbelow\n")
    for _ in range(2):
        main([str(results), "--into", str(page)])
    text = page.read_text()
    assert text.startswith(f"above\n{BEGIN}\n| data |")
    assert text.endswith(f"| ours decoded | 0.500 |\n{END}\nbelow\n")
    assert "old" not in text
    main([str(results), "--into", str(page), "--all"])
    assert "| ours decoded | 0.123 | 0.500 |" in page.read_text()
    page.write_text("no marks")
    with pytest.raises(ValueError, match="put both where tables go"):
        main([str(results), "--into", str(page)])


def test_of_several_results_the_last_has_the_word_on_a_method():
    def part(name, n_cells, **blocks):
        return {
            "batch_effect": {name: n_cells},
            "datasets": {name: {"n": n_cells, "blocks": blocks}},
        }

    peers = part("a", 9, labelled={"scgen": 1, "ours": 2}, held_out={"scgen": 3})
    ours = [part("a", 9, labelled={"ours": 4, "pooled": 5}), part("b", 7, labelled={"ours": 6})]
    assert joined([peers, *ours]) == {
        "batch_effect": {"a": 9, "b": 7},
        "datasets": {
            "a": {
                "n": 9,
                "blocks": {
                    "labelled": {"scgen": 1, "ours": 4, "pooled": 5},
                    "held_out": {"scgen": 3},
                },
            },
            "b": {"n": 7, "blocks": {"labelled": {"ours": 6}}},
        },
    }
    assert peers["datasets"]["a"]["blocks"]["labelled"] == {"scgen": 1, "ours": 2}


def test_a_selection_names_what_there_is(capsys):
    asked = arguments(["data", "--methods", "ours, pooled", "--seeds", "3,4"])
    assert (asked.methods, asked.seeds) == (["ours", "pooled"], [3, 4])
    with pytest.raises(SystemExit):
        arguments(["data", "--methods", "our"])
    assert "'our' is none of uncorrected, collapse" in capsys.readouterr().err
