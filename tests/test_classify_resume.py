"""A run of classify that stopped goes on to the same classifier."""

import numpy as np
import pytest

from common.classification.published import PublishedClassifier
from tests.classified import classify, labelled_sites
from tests.in_process import Stopped, stopping
from tests.small_sites import lines, write_sites

WAYS = [
    ("logistic", {}, "linear_gradient", 12, 5e-2),
    ("actinn", {"rounds": 4}, "classifier_fit", 8, 0.0),
    ("transformer", {"rounds": 3}, "classifier_fit", 5, 0.0),
    ("xgboost", {"rounds": 3}, "tree_sums", 14, 0.0),
    ("actinn", {"rounds": 2}, "confidences", 2, 0.0),
]


@pytest.mark.parametrize(("name", "settings", "phase", "replies", "tolerance"), WAYS)
def test_a_stopped_run_goes_on(tmp_path, name, settings, phase, replies, tolerance):
    data = write_sites(tmp_path / "data", labelled_sites())
    settings = {"classifier": name, **settings}
    classify(tmp_path / "whole", data, 3, **settings)
    with pytest.raises(Stopped):
        classify(tmp_path / "out", data, 3, tamper=stopping(phase, replies), **settings)
    before = len(lines(tmp_path / "out/metrics.jsonl"))
    run = classify(tmp_path / "out", data, 3, resume=True, run_id=8, **settings)
    assert run["status"] == "finished"
    rounds = [line["round"] for line in lines(tmp_path / "out/metrics.jsonl")]
    assert rounds == list(range(1, len(rounds) + 1))
    assert len(rounds) >= before > 0
    whole, resumed = (
        PublishedClassifier.load(tmp_path / kind / "bundle") for kind in ("whole", "out")
    )
    for key, value in whole.trained.state.items():
        np.testing.assert_allclose(resumed.trained.state[key], value, atol=tolerance)
    assert resumed.threshold == pytest.approx(whole.threshold, abs=0.05)
