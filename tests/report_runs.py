"""Run folders for pages that no real run would fill so fast: many sites, names that bite."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from common.config import RunConfig
from common.federated_evaluation.scores import FIGURES
from common.wire import PHASES
from common.wire_fields import Masked
from report.run_evaluation import Gathered

BITING = '<script>alert("x")</script> & "O\'Neil"'
UNSUMMED = ("describe", "identities", "offers", "reveal")


def config(**changed: Any) -> dict[str, Any]:
    """A run's settings as ``run.json`` has them."""
    return RunConfig().flat() | {key.replace("_", "-"): v for key, v in changed.items()}


def made_up_run(
    folder: Path, *, n_sites: int = 40, n_types: int = 30, n_rounds: int = 1, **entries: Any
) -> Path:
    """A finished run of names with markup and quotes in them, scored; its folder."""
    sites = [f"{BITING} {number}" for number in range(1, n_sites + 1)]
    types = [f"T <b>&{'very long name ' * (i % 3)} {i}</b>" for i in range(n_types)]
    folder.mkdir(parents=True)
    run = {
        "task": "correct",
        "run_id": "7",
        "status": "finished",
        "started": "2026-01-02T03:04:05.000+00:00",
        "ended": "2026-01-02T03:05:45.000+00:00",
        "config": config(n_sites=n_sites, batch_key=BITING),
        "versions": {"python": "3.11.7", "syncytium": "0.1.0"},
        "sites": {
            site: {"node": f"{100 + i}", "n_genes": 900, "versions": {"python": "3.11.7"}}
            for i, site in enumerate(sites)
        },
        "padded": dict.fromkeys(sites, 0.0),
        "n_cells": 12_345,
        "n_genes": 800,
        "n_rounds": n_rounds,
        "n_parameters": 1000,
        "largest_batch": {types[0]: 77},
        "unshifted_types": {types[1]: "held by one batch only"},
        "types_of_one_site": [types[2]],
        "lost_sites": {sites[-1]: f"no answer within 5 s {BITING}"},
        "losses": [
            {
                "site": sites[-1],
                "phase": "fit",
                "reason": f"no answer within 5 s {BITING}",
                "may_return": True,
                "time": "2026-01-02T03:04:45.000+00:00",
                "returned": "",
            }
        ],
        "n_corrected": 12_345,
        "n_shifted": 12_000,
        "identity": False,
    }
    _json(folder / "run.json", {k: v for k, v in (run | entries).items() if v is not None})
    _lines(folder / "ledger.jsonl", _messages(sites))
    _lines(folder / "metrics.jsonl", [_round(number) for number in range(1, n_rounds + 1)])
    done = {"event": "phase done", "seconds": 2.5, "round": 0}
    _lines(folder / "log.jsonl", [{**done, "phase": p} for p in ("describe", "fit", "correct")])
    _json(folder / "evaluation.json", _evaluation(types))
    _json(folder / "federated_evaluation.json", federated(types))
    (folder / "sites").mkdir()
    return folder


def failed_run(folder: Path, **entries: Any) -> Path:
    """A run that lost a site in its third round."""
    site = "St. <i>Anna</i>"
    loss = {
        "site": site,
        "phase": "fit",
        "reason": "no answer within 3600 s",
        "may_return": True,
        "time": "2026-01-02T03:04:45.000+00:00",
        "returned": "",
    }
    made_up_run(
        folder,
        n_sites=4,
        n_rounds=2,
        status="failed",
        error=f"phase fit failed at {site}: no answer within 3600 s",
        error_kind="SiteFailure",
        losses=[loss],
        **{"lost_sites": {site: loss["reason"]}, "n_corrected": None, "identity": None} | entries,
    )
    for name in ("unshifted_types", "types_of_one_site", "n_shifted", "largest_batch"):
        run = json.loads((folder / "run.json").read_text())
        run.pop(name, None)
        _json(folder / "run.json", run)
    (folder / "evaluation.json").unlink()
    (folder / "federated_evaluation.json").unlink()
    return folder


def cells(n_sites: int = 40, n_types: int = 30, n_cells: int = 2000) -> Gathered:
    """Cells of so many sites and types: apart by both before, by type alone after."""
    rng = np.random.default_rng(5)
    site, kind = rng.integers(0, n_sites, n_cells), rng.integers(0, n_types, n_cells)
    centres, shifts = rng.normal(0, 4, (n_types, 12)), rng.normal(0, 3, (n_sites, 12))
    noise = rng.normal(size=(2, n_cells, 12))
    types = np.array([f"T <b>&{'very long name ' * (i % 3)} {i}</b>" for i in kind], dtype=object)
    types[:20] = None
    batches = np.array([f"{BITING.replace('/', '')} {i + 1}/lane" for i in site], dtype=object)
    return Gathered(
        [centres[kind] + shifts[site] + noise[0]],
        {"decoded": [centres[kind] + noise[1]]},
        [batches],
        [types],
    )


def _messages(sites: list[str]) -> list[dict[str, Any]]:
    lines = []
    for phase in ("describe", "identities", "moments", "reveal", "fit", "reveal", "correct"):
        summed = any(isinstance(field, Masked) for field in PHASES[phase].fields.values())
        for i, site in enumerate(sites):
            name = f"node {100 + i}" if phase == "describe" else site
            about = {"time": "2026-01-02T03:04:05.000+00:00", "phase": phase}
            lines.append(
                {**about, "from": "coordinator", "to": name, "bytes": 5_000, "masked": False}
            )
            sent = 40_000_000 + i if phase == "fit" else 700
            lines.append(
                {**about, "from": name, "to": "coordinator", "bytes": sent, "masked": summed}
            )
    return lines


def _round(number: int) -> dict[str, Any]:
    return {
        "time": "2026-01-02T03:04:35.000+00:00",
        "round": number,
        "n_sites": 40,
        "train_loss": 0.8 / number,
        "validation_loss_before": 0.9 / number,
        "seconds": 3.0,
    }


def _evaluation(types: list[str]) -> dict[str, Any]:
    metrics = {
        "entropy_of_batch_mixing": ("Batch mixing among neighbours", "mixing", 0.1, 0.7),
        "knn_purity": ("Neighbours of the same type", "types", 0.9, 0.8),
        "nmi": ("Clusters match types (NMI)", "types", None, None),
    }
    scores = [
        {
            name: {"value": values[i], "reason": None if values[i] else "needs more cells"}
            for name, (_, _, *values) in metrics.items()
        }
        for i in (0, 1)
    ]
    purity = {"uncorrected": {"knn_purity": 0.9}, "decoded": {"knn_purity": 0.8}}
    return {
        "n_cells": 12_345,
        "n_cells_scored": 5_000,
        "n_batches": 41,
        "n_types": len(types),
        "subsample": {"n_cells": 5_000, "how": "random", "seed": 3},
        "settings": {"resolutions": [0.1, 2.0], "seed": 3},
        "versions": {"numpy": "2"},
        "metrics": {
            name: {"title": title, "better": "higher", "group": group}
            for name, (title, group, *_) in metrics.items()
        },
        "overall": {"uncorrected": scores[0], "decoded": scores[1]},
        "per_type": {name: {"n_cells": 9, "n_batches": 2, "scores": purity} for name in types},
        "note": "Labels steer the correction and also score it.",
        "seconds": 3.2,
    }


def federated(types: list[str]) -> dict[str, Any]:
    """A federated evaluation of both outputs, of which one is worth nothing."""
    versions = ("uncorrected", "decoded", "residual")
    by_version = {
        version: dict.fromkeys(FIGURES, 0.4 / number)
        for number, version in enumerate(versions, start=1)
    }
    spaces = dict.fromkeys(("expression", "latent"), by_version)
    return {
        "evaluated": True,
        "n_sites": 40,
        "n_cells": 12_345,
        "versions": list(versions),
        "scores": {
            "uncorrected": {"value": 0.6, "reason": ""},
            "decoded": {"value": 0.8, "reason": ""},
            "residual": {"value": 0.0, "reason": f"they were mixed {BITING}"},
        },
        "reconstruction": {
            "reconstruction": 0.31,
            "validation_reconstruction": None,
            "means_reconstruction": 0.24,
        },
        "overall": spaces,
        "per_type": {name: {"n_batches": 41, **spaces} for name in types[3:]},
        "types_left_out": dict.fromkeys(types[:3], "fewer than 3 sites hold it"),
        "figures": {name: asdict(figure) for name, figure in FIGURES.items()},
        "settings": {"least_sites_of_a_type": 3},
        "seconds": 2.5,
    }


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def _lines(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
