"""On a real node every message starts a process: what a phase does not need is not imported."""

import subprocess
import sys

import pytest

from common.wire import PHASES

WITH_TORCH = {
    "principal_axes",
    "fit",
    "latents",
    "remainders",
    "correct",
    "partial_sums",
    "evaluation_axes",
    "evaluation_moments",
    "marker_genes",
    "classifier_fit",
    "classifier_fit_of_some",
    "bagged_trees",
    "validation",
    "linear_gradient",
    "temperature",
    "confidences",
    "held_out",
}
SCRIPT = """
import importlib, sys
import client.app
for phase in sys.argv[1:]:
    importlib.import_module(f"client.phases.{phase}")
heavy = ("torch", "pandas", "anndata", "sklearn", "scanpy", "crypten", "matplotlib",
         "jax", "scib_metrics")
print(*[name for name in heavy if name in sys.modules])
"""


def imported(*phases):
    command = [sys.executable, "-c", SCRIPT, *phases]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_phases_without_a_network_import_no_torch():
    assert imported(*sorted(set(PHASES) - WITH_TORCH)) == []


@pytest.mark.parametrize("phase", ["fit", "correct", "classifier_fit"])
def test_the_others_do(phase):
    assert imported(phase) == ["torch"]
