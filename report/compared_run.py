"""What one run of a comparison gave: quality, energy, emissions and work, from its folder."""

from pathlib import Path
from typing import Any

from common.energy import ESTIMATED, MEASURED
from report.classification import classification
from report.federated_evaluation import federated_evaluation
from report.run_record import json_lines

# Of the versions that a correction may have, the one that is scored.
VERSIONS = ("decoded", "residual")
# What methods are compared by, and its name in words.
QUALITY = {"classify": ("macro_f1", "macro-F1"), "correct": ("score", "score of the correction")}
PARTLY = f"partly {ESTIMATED}"
PARTS = ("cpu_kwh", "gpu_kwh", "ram_kwh")
# Of which cells it is.
CELLS = {"classify": "on test cells", "correct": "of all sites' cells"}
FIGURES = {"classify": ("accuracy", "macro_f1", "weighted_f1"), "correct": ("score",)}


def figures_of_run(folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    """The figures of a finished run.

    Parameters
    ----------
    folder
        Its folder.
    run
        Its ``run.json``.

    Returns
    -------
    ``quality`` on held-out cells, None where the run was not scored, and then ``not_scored`` says
    why; ``validation``, the same on validation cells, None without; ``energy`` in kWh and ``kg`` of
    sites and coordinator, ``known`` or not; ``communication`` apart from it; and the work done.
    """
    quality, why = _quality(folder, run)
    return {
        "quality": quality,
        **({} if quality else {"not_scored": why}),
        "validation": run.get("validation"),
        "target_reached": run.get("target_reached"),
        "energy": _energy(run.get("energy", {}), lost=bool(run.get("losses"))),
        "float32_sites": run.get("float32_sites", {"n": 0})["n"],
        "communication": run.get("energy", {}).get("communication"),
        "rounds": max((line["round"] for line in json_lines(folder / "metrics.jsonl")), default=0),
        "stopped_early": run.get("stopped_early"),
        "converged": run.get("converged"),
        "n_train": run.get("n_train") or run.get("n_cells") or 0,
        "n_sites": len(run.get("sites", {})),
    }


def _quality(folder: Path, run: dict[str, Any]) -> tuple[dict[str, float] | None, str]:
    task = run.get("task", "correct")
    if task == "classify":
        scores = classification(folder)
        scored = (scores or {}).get("figures", {})
    else:
        scores = federated_evaluation(folder)
        by_version = (scores or {}).get("scores", {})
        version = next((name for name in VERSIONS if name in by_version), None)
        scored = {"score": by_version[version]["value"]} if version else {}
        if version and scored["score"] is None:
            return None, by_version[version]["reason"]
    figures = {name: scored.get(name) for name in FIGURES[task]}
    if None in figures.values():
        return None, (scores or {}).get("reason") or "its held-out cells were not scored"
    return figures, ""


def _energy(energy: dict[str, Any], *, lost: bool) -> dict[str, Any]:
    """Of sites and coordinator together: of one alone it would be no method's."""
    sites = energy.get("sites", {"known": False, "reason": "the run tells no energy"})
    if lost:
        return {"known": False, "reason": "a site was lost, and what it used with it"}
    if without := sites.get("n_gpu_unmetered"):
        return {"known": False, "reason": f"{without} sites used a GPU without a counter"}
    if unmetered := sites.get("n_unmetered"):
        return {"known": False, "reason": f"{unmetered} replies of sites were not metered"}
    if not sites.get("known") or "coordinator" not in energy:
        return {"known": False, "reason": sites.get("reason") or "the coordinator's is not known"}
    parts = {"sites": sites, "coordinator": energy["coordinator"]}
    sources = {part["source"] for part in parts.values()}
    return {
        "known": True,
        "kwh": sum(part["kwh"] for part in parts.values()),
        "kg": sum(part["kg"] for part in parts.values()),
        "source": joint_source(sources),
        **{key: sum(part[key] for part in parts.values()) for key in PARTS},
        **{name: {key: part[key] for key in ("kwh", "kg")} for name, part in parts.items()},
    }


def joint_source(sources: set[str]) -> str:
    """What figures of several sources are together."""
    if sources == {MEASURED}:
        return MEASURED
    return ESTIMATED if sources == {ESTIMATED} else PARTLY
