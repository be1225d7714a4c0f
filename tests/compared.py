"""Comparisons without training: run folders that are made up, and what they cost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.comparison.methods import methods_of
from common.comparison.plan import ComparisonPlan, comparison_plan

BASE = {"task": "classify", "classifier": "actinn", "data": "/data", "rounds": 10}
FOUR = "baseline,small-batch,narrow-ring,slow:learning-rate=1e-4"
VERSIONS = {"python": "3.11.7", "syncytium": "0.1.0"}


def plan(methods: str = FOUR, base: dict[str, Any] | None = None, **choices: Any) -> ComparisonPlan:
    return comparison_plan({**BASE, **(base or {})}, methods_of(methods), where="test", **choices)


def made_up(
    out: Path,
    *,
    f1: float = 0.9,
    validation: float | None = None,
    kwh: float | None = 2e-3,
    rounds: int = 10,
    task: str = "classify",
    source: str = "estimated",
    **entries: Any,
) -> dict[str, Any]:
    """A finished run's folder; returns its ``run.json``."""
    out.mkdir(parents=True)
    sent = {"bytes": 5e6, "kwh": [1e-6, 2e-4], "kg": [5e-7, 1e-4], "source": "estimated"}
    energy: dict[str, Any] = {"communication": sent}
    for who, share in (("sites", 0.75), ("coordinator", 0.25)):
        used = share * (kwh or 0.0)
        parts = {"cpu_kwh": used / 2, "gpu_kwh": 0.0, "ram_kwh": used / 2, "kwh": used}
        energy[who] = {"known": True, **parts, "kg": used / 2, "source": source}
    if kwh is None:
        energy["sites"] = {"known": False, "reason": "site-2 was lost"}
    run = {
        "task": task,
        "status": "finished",
        "started": f"2026-01-02T03:{len(list(out.parent.iterdir())):02d}:00.000+00:00",
        "versions": VERSIONS,
        "energy": energy,
        "n_train": 4000,
        "sites": {"site-1": {}, "site-2": {}},
        **({} if validation is None else {"validation": {"macro_f1": validation}}),
        **entries,
    }
    _json(out / "run.json", run)
    figures = {"accuracy": f1 + 0.02, "macro_f1": f1, "weighted_f1": f1 + 0.01}
    _json(out / "classification.json", {"evaluated": True, "figures": figures})
    scores = {"decoded": {"value": f1, "reason": ""}, "uncorrected": {"value": 0.1, "reason": ""}}
    _json(out / "federated_evaluation.json", {"evaluated": True, "scores": scores})
    lines = (json.dumps({"round": number + 1}) for number in range(rounds))
    (out / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return run


class Fake:
    """Runs that are made up: ``of`` says by the settings and the run's number what one gave."""

    def __init__(self, of: Callable[[dict[str, Any], int], dict[str, Any]] = lambda *_: {}):
        self.of, self.made = of, []

    def __call__(self, values: dict[str, Any], out: Path) -> dict[str, Any]:
        self.made.append((out.name, values))
        given = self.of(values, len(self.made))
        if error := given.get("raises"):
            out.mkdir(parents=True)
            raise error
        return made_up(out, **given)


def method_of(values: dict[str, Any]) -> str:
    """Which of ``FOUR`` has these settings."""
    if values.get("batch-size"):
        return "small-batch"
    if values.get("ring-bits") == 32:
        return "narrow-ring"
    return "slow" if values.get("learning-rate") else "baseline"


def typical(values: dict[str, Any], number: int) -> dict[str, Any]:
    """Of ``FOUR``: narrow-ring on the front with the baseline, small-batch beaten, slow no use."""
    name, noise = method_of(values), 0.001 * values["seed"]
    return {
        "f1": {"baseline": 0.9, "small-batch": 0.85, "narrow-ring": 0.89, "slow": 0.2}[name]
        + noise,
        "validation": {"slow": 0.3}.get(name, 0.9),
        "kwh": {"baseline": 2e-3, "small-batch": 4e-3, "narrow-ring": 1e-3, "slow": 1e-4}[name]
        + 1e-4 * noise,
    }


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))
