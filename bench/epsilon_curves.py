"""Draw epsilon against utility of what `python -m bench.synthesis` measured.

`python -m bench.epsilon_curves` writes bench/results/epsilon_DATASET.svg, and
`--into RUN_DIR --dataset NAME` the curve of a run's page (epsilon_curve.json).
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.report import RESULTS
from bench.synthesis import MAJORITY, REAL
from report.epsilon_curve import epsilon_curve_file
from report.synthesis_page import CURVE

FIGURE, AXIS = "accuracy", "accuracy on real records (TSTR)"


def curve(table: Mapping[str, Any], figure: str = FIGURE) -> dict[str, Any]:
    """What :func:`report.epsilon_curve.epsilon_curve` takes, of one data set's table."""
    rows = []
    for key, figures in table.items():
        name, _, epsilon = key.rpartition(" ")
        if name:
            found = {"score": figures[figure]["mean"], "sd": figures[figure]["sd"]}
            rows.append({"epsilon": epsilon, "name": name, **found})
    drawn = {"rows": rows, "score": AXIS, "real": table[REAL][figure]["mean"]}
    if figure in table.get(MAJORITY, {}):
        drawn["majority"] = table[MAJORITY][figure]["mean"]
    return drawn


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--into", type=Path)
    parser.add_argument("--dataset")
    asked = parser.parse_args()
    tables = json.loads((RESULTS / "synthesis.json").read_text())["tables"]
    if asked.into:
        _write(asked.into / CURVE, json.dumps(curve(tables[asked.dataset]), indent=1).encode())
        return
    for dataset, table in tables.items():
        found = curve(table)
        _write(RESULTS / f"epsilon_{dataset}.svg", epsilon_curve_file(**found))


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)
    print(path)


if __name__ == "__main__":
    main()
