"""Flower's bundle of the app holds all the code that runs, and runs from there alone."""

import ast
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from common.wire import PHASES

ROOT = Path(__file__).parent.parent
PACKAGES = ("client", "common", "report", "server", "strategies")

# The editable install puts the checkout on the path too: the bundle's folder must win and suffice.
IMPORT = """
import importlib, json, pathlib, sys
bundle, checkout, names = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
others = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(checkout)]
sys.path = [str(bundle), *others]
files = {name: importlib.import_module(name).__file__ for name in names}
own = {
    name: module.__file__
    for name, module in list(sys.modules.items())
    if getattr(module, "__file__", None) and module.__file__.startswith(checkout + "/")
    and "/.venv/" not in module.__file__
}
print(json.dumps({"files": files, "from_checkout": own}))
"""


@pytest.fixture(scope="module")
def bundle(fab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fab")
    with zipfile.ZipFile(io.BytesIO(fab)) as archive:
        archive.extractall(folder)
    return folder


def modules(folder: Path) -> list[str]:
    """Every module of the app's packages below a folder."""
    names = []
    for package in PACKAGES:
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def test_every_module_is_in_the_bundle(bundle):
    assert modules(bundle) == modules(ROOT)


def test_every_module_is_imported_from_the_bundle(bundle, tmp_path):
    names = modules(bundle)
    assert {"server.app", "client.app", "server.workflows.correct", "report.evaluation"} < set(
        names
    )
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(bundle), str(ROOT), *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["files"]) == set(names)
    for name, file in found["files"].items():
        assert Path(file).is_relative_to(bundle), name
    assert found["from_checkout"] == {}


def test_no_tests_no_data_no_command_line(bundle):
    files = [path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file()]
    tops = {path.parts[0] for path in files}
    assert tops == {*PACKAGES, "pyproject.toml", "README.md", "LICENSE", ".info"}
    assert {path.suffix for path in files} <= {".py", ".toml", ".md", ""}


def test_the_bundle_is_small(fab):
    assert len(fab) < 10 * 10**6
    # Code alone: a data file that slips in shows here first.
    assert len(fab) < 2 * 10**6


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_has_its_worker_in_the_bundle(bundle, phase):
    assert (bundle / "client" / "phases" / f"{phase}.py").is_file()


def test_every_worker_is_a_phase_of_the_wire_table(bundle):
    workers = {path.stem for path in (bundle / "client" / "phases").glob("*.py")} - {"__init__"}
    assert workers == set(PHASES)


def imported(path: Path) -> set[str]:
    """What a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_what_is_imported_late_is_in_the_bundle_too(bundle):
    have = set(modules(bundle))
    checkout = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for path in bundle.rglob("*.py"):
        for name in imported(path):
            assert name.split(".")[0] not in checkout - set(PACKAGES), f"{path}: {name}"
            if name.split(".")[0] in PACKAGES:
                assert name in have, f"{path}: {name}"


def test_flower_accepts_the_apps_tables(bundle):
    from flwr.cli.config_utils import load_and_validate

    config, warnings = load_and_validate(bundle / "pyproject.toml", check_module=False)
    assert warnings == []
    assert config["tool"]["flwr"]["app"]["components"] == {
        "serverapp": "server.app:app",
        "clientapp": "client.app:app",
    }
