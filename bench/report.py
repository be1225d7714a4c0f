"""Where a benchmark ran, and how its figures are kept: bench/results/NAME.json."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("flwr", "torch", "numpy", "scanpy", "ray")


def machine() -> dict[str, Any]:
    """The processor, its cores, the memory and the versions that matter."""
    import psutil
    import torch

    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def keep(name: str, figures: dict[str, Any], *, tell: bool = True) -> None:
    """Write the figures with the machine and the time, and print their verdicts.

    ``tell`` is false for what is not all measured yet.
    """
    RESULTS.mkdir(exist_ok=True)
    where = machine()
    whole = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": where, **figures}
    path = RESULTS / f"{name}.json"
    part = path.with_suffix(".part")
    # Comparing NumPy's numbers gives NumPy's bool.
    part.write_text(json.dumps(whole, indent=1, default=lambda value: value.item()) + "\n")
    part.replace(path)
    if not tell:
        return
    print(f"ran on {where['processor']}, {where['cores']} cores, {where['memory_gb']} GB")
    for claim, holds in figures.get("claims", {}).items():
        print(f"{'reached' if holds else 'NOT REACHED'}: {claim}")
