"""What the images leave out (deploy/not-on-nodes.txt) is not missed there; packages are hidden."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.accountants import EVERY_ACCOUNTANT, computed_here, numbers

ROOT = Path(__file__).parent.parent
HIDE = """
import sys
hidden = set(sys.argv[1:])
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""
EVERY_MODULE = """
import importlib, pkgutil
for top in ("cli", "client", "common", "report", "server", "strategies"):
    package = importlib.import_module(top)
    for module in pkgutil.walk_packages(package.__path__, f"{top}."):
        importlib.import_module(module.name)
"""


def left_out():
    """Modules at the top of the distributions that the images lack."""
    patterns = (ROOT / "deploy/not-on-nodes.txt").read_text().split()
    found = importlib.metadata.packages_distributions()
    return [
        module
        for module, names in found.items()
        if any(re.match(pattern, f"{name}==") for pattern in patterns for name in names)
    ]


def without(modules, program):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HIDE + program, *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_list_names_what_is_installed_here():
    assert {"pytest", "hypothesis", "tree", "ray"} <= set(left_out())


def test_every_accountant_counts_there():
    done = without(left_out(), EVERY_ACCOUNTANT)
    assert done.returncode == 0, done.stderr
    assert numbers(done.stdout) == pytest.approx(computed_here(), rel=1e-9)


def test_a_package_that_an_accountant_needs_would_be_missed():
    done = without([*left_out(), "absl"], EVERY_ACCOUNTANT)
    assert "No module named 'absl'" in done.stderr
    # The closed form, which synthesize is accounted by, needs none of it.
    assert numbers(done.stdout) == pytest.approx(computed_here()[:1], rel=1e-12)


def test_every_module_is_imported_there():
    done = without(left_out(), EVERY_MODULE)
    assert done.returncode == 0, done.stderr
