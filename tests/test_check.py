"""The report about a site's file: everything wrong with it at once."""

import numpy as np
import pytest

from common.data.check import check_file
from tests.h5ad_files import annotated, scaled, simulate, write

COUNTS = simulate()


def texts(report, level):
    return [finding.text for finding in report.findings if finding.level == level]


def test_a_good_file(tmp_path):
    report = check_file(write(tmp_path, annotated(COUNTS)))
    assert (report.ok, report.level) == (True, "ok")
    said = "\n".join(texts(report, "ok"))
    for part in (
        "60 cells",
        "a (30), b (30)",
        "B (20), T (40)",
        "X holds whole numbers",
        "40 genes named by symbols",
        f"{COUNTS.sum() / 60:,.0f} counts per cell",
    ):
        assert part in said


def test_all_errors_are_found_in_one_go(tmp_path):
    data = annotated(COUNTS - 5)
    report = check_file(write(tmp_path, data), batch_key="site", cell_type_key="type")
    errors = [finding for finding in report.findings if finding.level == "error"]
    assert not report.ok
    assert len(errors) == 3
    assert all(finding.fix for finding in errors)
    assert "no column 'site'" in errors[0].text
    assert "no column 'type'" in errors[1].text
    assert "z-scored" in errors[2].text


def test_genes_and_values_are_both_checked(tmp_path):
    counts = simulate(3000, 20)
    counts[1501, 13] = np.nan
    data = annotated(counts)
    data.var["symbol"] = ["A", "A", *data.var_names[2:]]
    report = check_file(write(tmp_path, data), gene_column="symbol")
    duplicate, value = texts(report, "error")
    assert "'A'" in duplicate
    assert "cell 'cell1501', gene 'G13'" in value


def test_warnings_of_labels(tmp_path):
    types = ["T"] * 60
    types[:3] = ["B", "B", "nan"]
    report = check_file(write(tmp_path, annotated(COUNTS, obs={"cell_type": types})))
    assert report.ok
    unlabelled, tiny = texts(report, "warning")
    assert "1 of 60 cells have no cell type" in unlabelled
    assert "a / B: 1, b / B: 1" in tiny


def test_one_type_and_none(tmp_path):
    path = write(tmp_path, annotated(COUNTS, obs={"cell_type": ["T"] * 60}))
    assert texts(check_file(path), "warning") == ["there is one cell type only"]
    assert texts(check_file(path, cell_type_key=""), "warning") == ["no cell has a cell type"]


def test_one_type_in_two_spellings(tmp_path):
    types = ["T cell"] * 30 + ["t-cell"] * 30
    report = check_file(write(tmp_path, annotated(COUNTS, obs={"cell_type": types})))
    (error,) = [finding for finding in report.findings if finding.level == "error"]
    assert "differ only in case" in error.text
    assert error.fix == "rename 't-cell' to 'T cell'"


def test_cells_without_counts(tmp_path):
    counts = COUNTS.copy()
    counts[[3, 8]] = 0
    (warning,) = texts(check_file(write(tmp_path, annotated(counts))), "warning")
    assert warning == "2 cell(s) have no counts at all: 'cell3', 'cell8'"


def test_unused_matrices_are_told(tmp_path):
    data = annotated(np.log1p(scaled(COUNTS, 1e4)), layers={"counts": -COUNTS})
    data.raw = annotated(COUNTS)
    report = check_file(write(tmp_path, data))
    assert report.ok
    assert any("counts are read from raw/X" in text for text in texts(report, "ok"))
    assert any("not used: X looks log-normalised" in text for text in texts(report, "ok"))
    (warning,) = texts(report, "warning")
    assert "not used: layers/counts looks z-scored" in warning


def test_fractional_counts_beside_whole_ones(tmp_path):
    expected = np.where(np.arange(40) % 2, COUNTS * 0.83, COUNTS)
    report = check_file(write(tmp_path, annotated(expected, layers={"umis": COUNTS})))
    fixes = [finding.fix for finding in report.findings if finding.level == "warning"]
    assert any("set layer to read layers/umis" in fix for fix in fixes)
    assert any("TPM" in fix for fix in fixes)


def test_genes_of_two_schemes(tmp_path):
    data = annotated(COUNTS)
    data.var_names = [f"ENSG{i:011d}" for i in range(10)] + list(data.var_names[10:])
    (warning,) = texts(check_file(write(tmp_path, data)), "warning")
    assert "10 of 40 genes are named by the other scheme" in warning


@pytest.mark.parametrize("n_cells", [0, 1])
def test_hardly_a_cell(tmp_path, n_cells):
    report = check_file(write(tmp_path, annotated(COUNTS[:n_cells])))
    assert any(f"holds {n_cells} cell" in text for text in texts(report, "error"))


def test_no_file(tmp_path):
    report = check_file(tmp_path / "no.h5ad")
    (finding,) = report.findings
    assert (finding.level, finding.fix) == ("error", "correct data-path")
