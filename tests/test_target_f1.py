"""target-f1: a run of classify stops at the first model of that macro-F1 on validation cells."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from cli.summaries import summarise
from common.classification.published import PublishedClassifier
from common.classification.validation import validation_counts, validation_of
from common.errors import ConfigError, InputError
from tests.classified import PooledCells, classify, labelled_sites, plan_of
from tests.in_process import Stopped, stopping
from tests.small_sites import lines, write_sites

SITES = labelled_sites()
CPU = torch.device("cpu")
# Each takes some rounds to be good.
WAYS = {
    "actinn": {"rounds": 12, "learning_rate": 1e-3},
    "actinn by fedavg": {"strategy": "fedavg", "rounds": 6, "learning_rate": 1e-3},
    "logistic": {"rounds": 15},
    "logistic by fedavg": {"strategy": "fedavg", "rounds": 6, "learning_rate": 1e-4},
    "xgboost": {"rounds": 4, "learning_rate": 0.05},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sites(tmp_path_factory.mktemp("target") / "data", SITES)


def settings_of(way):
    return {"classifier": way.split()[0], "validation_share": 0.3, **WAYS[way]}


def by_sklearn(out, **settings):
    """Accuracy and macro-F1 of a run's classifier on the pooled validation cells."""
    published = PublishedClassifier.load(out / "bundle")
    pooled = PooledCells(SITES, published, plan_of(**settings)[0])
    rows = pooled.validation[pooled.y[pooled.validation] >= 0]
    answers = published.trained.logits(pooled.matrix, rows, CPU).argmax(axis=1)
    truth = pooled.y[rows]
    labels = sorted(set(truth))
    macro = f1_score(truth, answers, labels=labels, average="macro", zero_division=0)
    return {"accuracy": accuracy_score(truth, answers), "macro_f1": macro}


def curve(out):
    """Macro-F1 of the model after so many rounds."""
    rounds = lines(out / "metrics.jsonl")
    return {line["round"] - 1: line["validation_macro_f1_before"] for line in rounds}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sums", ["masked", "off"])
def test_a_run_stops_at_the_first_model_that_has_it(data, tmp_path, way, sums):
    settings = {**settings_of(way), "secure_sum": sums}
    # A target that is never reached shows the whole curve.
    whole = classify(tmp_path / "whole", data, 3, target_f1=1.0, patience=-1, **settings)
    seen = curve(tmp_path / "whole")
    assert whole["validation"] == pytest.approx(by_sklearn(tmp_path / "whole", **settings))
    rising = [n for n in seen if n and seen[n] > max(seen[m] for m in seen if m < n)]
    assert rising, seen
    n = rising[0]
    target = (seen[n] + max(seen[m] for m in seen if m < n)) / 2
    run = classify(tmp_path / "out", data, 3, target_f1=target, **settings)
    assert run["target_reached"] == n == run["kept_round"]
    # A round's line is written when its trees are grown, a network's with its first model's score.
    n_lines = n if way == "xgboost" else n + 1
    assert len(lines(tmp_path / "out/metrics.jsonl")) == n_lines == run["stopped_early"]
    found = by_sklearn(tmp_path / "out", **settings)
    assert run["validation"] == pytest.approx(found)
    assert found["macro_f1"] == pytest.approx(seen[n])
    assert found["macro_f1"] >= target


def test_masked_counts_are_the_plain_ones(data, tmp_path):
    settings = settings_of("actinn") | {"rounds": 3}
    for sums in ("masked", "off"):
        classify(tmp_path / sums, data, 3, target_f1=1.0, secure_sum=sums, **settings)
    masked, plain = (
        [(line["validation_macro_f1_before"], line["validation_accuracy_before"]) for line in found]
        for found in (lines(tmp_path / s / "metrics.jsonl") for s in ("masked", "off"))
    )
    assert masked == plain
    assert len(masked) == 3


def test_a_target_that_no_round_reaches_is_told(data, tmp_path, capsys):
    from rich.console import Console

    settings = {"classifier": "actinn", "rounds": 2, "learning_rate": 1e-6, "strategy": "fedavg"}
    run = classify(tmp_path / "out", data, 3, target_f1=1.0, **settings)
    assert run["target_reached"] is None
    assert "kept_round" not in run
    summarise(run, tmp_path / "out", Console(width=200))
    assert "macro-F1 1 on validation cells was not reached" in capsys.readouterr().out


def test_the_last_rounds_model_is_scored_too(data, tmp_path):
    settings = settings_of("actinn by fedavg")
    classify(tmp_path / "whole", data, 3, target_f1=1.0, **settings)
    seen = curve(tmp_path / "whole")
    n = next(n for n in seen if n and seen[n] > max(seen[m] for m in seen if m < n))
    target = (seen[n] + max(seen[m] for m in seen if m < n)) / 2
    run = classify(tmp_path / "out", data, 3, target_f1=target, **settings | {"rounds": n})
    assert run["target_reached"] == n
    assert "stopped_early" not in run


@pytest.mark.parametrize(("way", "phase"), [("actinn", "validation"), ("logistic", "validation")])
def test_a_run_that_was_stopped_after_its_target_is_not_trained_on(data, tmp_path, way, phase):
    settings = {**settings_of(way), "target_f1": 0.6}
    whole = classify(tmp_path / "whole", data, 3, **settings)
    assert whole["target_reached"] is not None
    with pytest.raises(Stopped):
        classify(tmp_path / "out", data, 3, tamper=stopping(phase), **settings)
    run = classify(tmp_path / "out", data, 3, resume=True, run_id=8, **settings)
    assert run["target_reached"] == whole["target_reached"]
    one, other = (PublishedClassifier.load(tmp_path / k / "bundle") for k in ("whole", "out"))
    for name, value in one.trained.state.items():
        np.testing.assert_array_equal(other.trained.state[name], value)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"validation_share": 0.0}, "target-f1 = 0.9 with validation-share = 0"),
        ({"on_site_error": "continue"}, "target-f1 = 0.9 with on-site-error = continue"),
        ({"target_f1": 90.0}, "target-f1 = 90"),
        ({"task": "correct"}, "target-f1 = 0.9 is not of task = correct"),
    ],
)
def test_what_cannot_be_sought_is_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        plan_of(**{"target_f1": 0.9, **settings})


def test_without_a_validation_cell_nothing_can_be_sought(data, tmp_path):
    with pytest.raises(InputError, match="no cell is held out for validation"):
        classify(tmp_path / "out", data, 3, target_f1=0.9, validation_share=0.001)


def test_counts_are_scikit_learns_on_many_cells():
    rng = np.random.default_rng(0)
    truth, outputs = rng.integers(-2, 5, 300), rng.normal(size=(300, 6))
    parts = np.array_split(np.arange(300), 4)
    counts = [validation_counts(outputs[p], truth[p]) for p in parts]
    found = validation_of({name: sum(c[name] for c in counts) for name in counts[0]})
    own, answers = truth[truth >= 0], outputs.argmax(axis=1)[truth >= 0]
    expected = f1_score(own, answers, labels=range(5), average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    assert found.accuracy == pytest.approx(accuracy_score(own, answers))
    assert validation_of(validation_counts(outputs[:0], truth[:0])) is None


@pytest.mark.parametrize("strategy", ["fedavg", "fedsgd"])
def test_a_pruned_model_has_to_have_it(data, tmp_path, strategy):
    """What was reached before pruning was by weights that are gone."""
    settings = {"classifier": "actinn", "strategy": strategy, "rounds": 8, "learning_rate": 1e-2}
    settings |= {"prune_share": 0.5, "validation_share": 0.3}
    run = classify(tmp_path / "out", data, 3, target_f1=0.5, **settings)
    assert run["target_reached"] >= run["pruned"]["round"]
    assert run["validation"] == pytest.approx(by_sklearn(tmp_path / "out", **settings))
    assert run["validation"]["macro_f1"] >= 0.5
