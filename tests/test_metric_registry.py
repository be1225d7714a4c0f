"""The table of metrics: what registers, what is refused, what it imports."""

import math
import subprocess
import sys

import numpy as np
import pytest

from common.errors import ConfigError
from common.metrics.embedded import Embedded
from common.metrics.registry import METRICS, register_metric

NAMES = {
    "ari",
    "ari_best",
    "clisi",
    "entropy_of_batch_mixing",
    "entropy_of_batch_mixing_shared",
    "graph_connectivity",
    "ilisi",
    "isolated_label_f1",
    "kbet",
    "kbet_per_type",
    "knn_purity",
    "nmi",
    "nmi_best",
    "principal_component_regression",
    "silhouette_batch",
    "silhouette_label",
}


def test_metrics_are_found_with_title_and_direction():
    assert set(METRICS.names()) >= NAMES
    for name in NAMES:
        assert METRICS.get(name).better == "higher"
        assert METRICS.get(name).group in {"mixing", "types"}
        assert len(METRICS.get(name).title) > 5
    assert METRICS.get("ilisi").group == METRICS.get("graph_connectivity").group == "mixing"
    assert METRICS.get("clisi").group == METRICS.get("isolated_label_f1").group == "types"
    assert METRICS.get("kbet").settings["k"] == 50
    assert METRICS.get("ilisi").settings["k"] == 90
    assert METRICS.get("knn_purity").settings == {}


def test_unknown_names_and_directions_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'knn_purity'"):
        METRICS.get("knn_puritty")
    with pytest.raises(ConfigError, match="better='up'"):
        register_metric("new", title="New", better="up")
    with pytest.raises(ConfigError, match="group='cells'"):
        register_metric("new", title="New", better="higher", group="cells")


def test_a_metric_may_return_a_float_and_nan_becomes_none_with_a_reason(monkeypatch):
    cells = Embedded(np.eye(3), np.full(3, "x"), np.full(3, "B"))
    monkeypatch.setattr(METRICS, "_entries", {})
    plain = register_metric("plain", title="Plain", better="lower")(lambda embedded: 2)
    broken = register_metric("broken", title="Broken", better="lower")(lambda embedded: math.nan)
    assert plain(cells).value == 2.0
    assert plain.better == "lower"
    assert plain.group == "other"
    assert broken(cells).value is None
    assert "nan" in broken(cells).reason


def test_listing_metrics_imports_nothing_heavy():
    code = (
        "import sys; from common.metrics.registry import METRICS; METRICS.names();"
        "heavy = {'scanpy', 'jax', 'scib_metrics', 'torch', 'sklearn', 'igraph', 'umap'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
