"""`syncytium demo`, timed as a user sees it, and its table against the aims."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import keep


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        start = time.perf_counter()
        command = [str(Path(sys.executable).parent / "syncytium"), "demo", "--out", str(out)]
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        overall = json.loads((out / "evaluation.json").read_text())["overall"]
    scores = {
        matrix: {name: score["value"] for name, score in by_metric.items()}
        for matrix, by_metric in overall.items()
    }
    change = {
        name: scores["decoded"][name] - scores["uncorrected"][name]
        for name in ("entropy_of_batch_mixing", "knn_purity")
    }
    keep(
        "demo",
        {
            "seconds": round(seconds, 1),
            "scores": scores,
            "claims": {
                f"under 5 minutes: {seconds:.0f} s": seconds < 300,
                f"entropy of batch mixing +0.25: {change['entropy_of_batch_mixing']:+.3f}": (
                    change["entropy_of_batch_mixing"] >= 0.25
                ),
                f"kNN purity not below -0.02: {change['knn_purity']:+.3f}": (
                    change["knn_purity"] >= -0.02
                ),
            },
        },
    )


if __name__ == "__main__":
    main()
