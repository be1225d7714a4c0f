"""A run without Flower's processes, whose start takes longer than a small run."""

import importlib.util
import json
from pathlib import Path
from typing import Any


def run_in_process(out: Path, data: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Run over the files of a folder, a site each; what ``run.json`` then says.

    The app's own code and messages, as in the tests: results are those of `syncytium run`.
    """
    # By its path: "tests" is no package, and some dependency brings one of that name.
    path = Path(__file__).parent.parent / "tests" / "in_process.py"
    spec = importlib.util.spec_from_file_location("in_process", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    n_sites = len(list(data.glob("*.h5ad")))
    module.run_in_process(out, n_sites, data=str(data), **{"n-sites": n_sites}, **settings)
    return json.loads((out / "run.json").read_text())
