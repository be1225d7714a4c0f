"""The report about a site's file before a run of `synthesize`."""

import anndata
import numpy as np
import pandas as pd
import pytest

from common.data.check_records import check_records
from tests.test_cli import call

CLASSES = ("Basal", "LumA", "LumB")


@pytest.fixture
def bulk(tmp_path):
    """A file of log values as a user has it, changed; neither batch nor counts."""
    draw = np.random.default_rng(3)
    obs = pd.DataFrame(
        {"label": [CLASSES[i % 3] for i in range(30)], "patient": [f"p{i // 2}" for i in range(30)]}
    )
    obs.index = [f"s{i}" for i in range(30)]
    var = pd.DataFrame(index=[f"G{j}" for j in range(12)])
    data = anndata.AnnData(draw.normal(9, 2, (30, 12)).clip(1, 17).astype(np.float32), obs, var)

    def written(change=lambda data: None):
        changed = data.copy()
        change(changed)
        changed.write_h5ad(tmp_path / "site.h5ad")
        return tmp_path / "site.h5ad"

    return written


def said(report, level):
    return [finding.text for finding in report.findings if finding.level == level]


def test_log_values_without_a_batch_are_ready(bulk):
    path = bulk()
    report = check_records(path, cell_type_key="label", donor_key="patient")
    assert report.level == "ok", said(report, "error")
    assert "classes: Basal (10), LumA (10), LumB (10)" in said(report, "ok")
    assert "15 donors, of one at most 2 records" in said(report, "ok")
    done = call("check", path, "--task", "synthesize", "--cell-type-key", "label")
    assert (done.exit_code, "ready for synthesize" in done.stdout) == (0, True)
    assert call("check", path, "--cell-type-key", "label", "--batch-key", "").exit_code == 1


def test_a_value_that_is_nan_is_found(bulk):
    def spoil(data):
        data.X[4, 7] = np.nan

    (error,) = said(check_records(bulk(spoil), cell_type_key="label"), "error")
    assert "cell 's4', gene 'G7'" in error


@pytest.mark.parametrize(
    ("low", "high", "level"), [(0, 20, None), (0, 8, "warning"), (0, 16.9, "ok")]
)
def test_values_outside_the_bounds_are_counted(bulk, low, high, level):
    def far(data):
        data.X[0, 0] = 17

    path = bulk(far)
    n = int(np.sum(high < anndata.read_h5ad(path).X))
    report = check_records(path, cell_type_key="label", bounds=(low, high))
    found = [(f.level, f.text) for f in report.findings if "clipped" in f.text]
    text = f"{n} of 360 values are outside {low:g} to {high:g}: they are clipped"
    assert found == ([(level, text)] if level else [])


def test_zeros_of_a_sparse_matrix_are_values(bulk):
    import scipy.sparse as sp

    def thin(data):
        data.X[0] = 0
        data.X = sp.csr_matrix(data.X)

    report = check_records(bulk(thin), cell_type_key="label", bounds=(0.5, 20))
    assert any("12 of 360 values are outside" in text for text in said(report, "warning"))
    assert any(text.startswith("all values are usable: 0 to") for text in said(report, "ok"))


def test_values_that_are_no_logarithms_are_doubted(bulk):
    def linear(data):
        data.X = np.exp2(data.X)

    report = check_records(bulk(linear), cell_type_key="label", bounds=(0, 1e6))
    assert any("are no logarithms" in text for text in said(report, "warning"))
    assert not check_records(bulk(), cell_type_key="label", counted=True).ok  # nor are logs counts


def test_labels_that_the_run_does_not_know(bulk):
    def some(data):
        data.obs.loc["s0", "label"] = None

    path = bulk(some)
    report = check_records(path, cell_type_key="label", listed=("Basal", "LumA"))
    assert said(report, "warning") == [
        "1 of 30 records have no label",
        "10 records are of classes that are not listed: LumB (10)",
    ]
    (error,) = said(check_records(path, cell_type_key="label", listed=("A", "B")), "error")
    assert error == "no record has a class of the list A, B"
    (error,) = said(check_records(path, cell_type_key="type"), "error")
    assert "no column 'type'" in error


def test_an_unknown_task_and_options_of_another_are_refused(bulk):
    path = bulk()
    done = call("check", path, "--task", "sythesize")
    assert "did you mean 'synthesize'" in done.stderr
    done = call("check", path, "--value-high", "12")
    assert "value-high = 12.0 is not of task = correct" in done.stderr
