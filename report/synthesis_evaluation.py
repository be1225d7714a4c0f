"""Score and audit a run's synthetic cohort beside real records that are here."""

import json
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.synthesis.audit.audit import audit_synthetic
from common.synthesis.records import Records
from common.synthesis.scores.score import score_synthetic
from report.synthesis_tracing import traced
from report.synthetic_cohort import Cohorts, as_logs, read_cohorts, synthetic_file

TASK = "synthesize"
PACKAGES = ("numpy", "scipy", "scikit-learn", "scib-metrics")


def is_synthesis(run_dir: Path) -> bool:
    """Whether it is the folder of a run of this task."""
    try:
        return json.loads((run_dir / "run.json").read_text()).get("task") == TASK
    except (OSError, ValueError, AttributeError):
        return False


def evaluate_synthesis(
    run_dir: Path,
    real: Sequence[Path] = (),
    held_out: Sequence[Path] = (),
    *,
    columns: Mapping[str, str] | None = None,
    max_records: int = 20_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a synthetic cohort, audit it, and write ``evaluation.json`` into the run folder.

    Parameters
    ----------
    run_dir
        Of a finished run of ``synthesize``.
    real
        Files of records that the run saw; none: the sites' files of a simulation.
    held_out
        Files of records of the same population that it did not see; none: no figures of real
        records in the cohort's place, and no audit of membership.
    columns
        ``covariate-keys`` and ``donor-key`` of the files, where the run's settings do not have
        them: real sites name theirs to nobody.
    max_records
        Of each kind at random at most so many.
    seed
        Of everything random.

    Returns
    -------
    What was written. It is of the real records and not private: it stays where they are.

    Raises
    ------
    InputError
        The run, its cohort or a file cannot be used.
    """
    start = time.perf_counter()
    run = json.loads((run_dir / "run.json").read_text())
    config = run.get("config", {}) | {key: name for key, name in (columns or {}).items() if name}
    files = list(real) or _simulated(run_dir, str(config.get("data", "")))
    cohorts = read_cohorts(run_dir, config, files, held_out)
    kinds = (cohorts.real, cohorts.held_out, cohorts.synthetic)
    logs = [None if r is None else as_logs(cohorts, r, max_records, seed) for r in kinds]
    result = {
        "task": TASK,
        "privacy": privacy_statement(run_dir),
        "classes": list(cohorts.classes),
        "n_genes": len(cohorts.genes),
        "genes": list(cohorts.genes),
        "unit": cohorts.unit,
        "n_records": cohorts.n_records,
        "n_left_out": cohorts.left_out,
        "max_records": max_records,
        "majority": _majority(cohorts),
        "scores": score_synthetic(*logs, n_classes=len(cohorts.classes), seed=seed),
        "audit": audited(run_dir, cohorts, logs, whole=not real, seed=seed),
        "files": {
            "real": [str(Path(path).absolute()) for path in files],
            "held_out": [str(Path(path).absolute()) for path in held_out],
        },
        "versions": {name: version(name) for name in PACKAGES},
        "seed": seed,
    }
    result["seconds"] = round(time.perf_counter() - start, 1)
    partial = run_dir / ".evaluation.json.part"
    partial.write_text(json.dumps(result, indent=1, allow_nan=False))
    # It tells of real records: for their owner alone.
    partial.chmod(0o600)
    partial.replace(run_dir / "evaluation.json")
    return result


def privacy_statement(run_dir: Path) -> dict[str, Any]:
    """``uns["privacy"]`` of the synthetic cohort as plain values; {} without one."""
    import h5py
    from anndata.io import read_elem

    file = synthetic_file(run_dir)
    with h5py.File(file.path, "r") as stored:
        if "uns/privacy" not in stored:
            return {}
        return _plain(read_elem(stored["uns/privacy"]))


def _plain(value: Any) -> Any:
    """Without numpy's types; an infinite number as text, which JSON has no word for."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def _simulated(run_dir: Path, data: str) -> list[Path]:
    found = sorted(Path(data).glob("*.h5ad")) if data else []
    if not found:
        raise InputError(
            f"{run_dir}: the run's real records are not here (the cells stayed at the sites); "
            "a site gives its own file with --real FILE.h5ad"
        )
    return found


def _majority(cohorts: Cohorts) -> float:
    """The accuracy of answering the most frequent class."""
    tested: Records = cohorts.held_out or cohorts.real
    return float(np.bincount(tested.classes).max() / len(tested.classes))


def audited(
    run_dir: Path, cohorts: Cohorts, logs: Sequence[Records | None], *, whole: bool, seed: int
) -> dict[str, Any]:
    """The audit, or why there is none.

    Parameters
    ----------
    cohorts, logs
        Records as the run saw them; and real, held-out and synthetic ones as logarithms.
    whole
        The real records are all that the run saw.
    """
    real, held_out, synthetic = logs
    if held_out is None:
        return {"audited": False, "reason": "no held-out records were given (--held-out)"}
    try:
        pair, not_traced = traced(run_dir, cohorts, whole=whole, seed=seed)
        found = audit_synthetic(real, held_out, synthetic, traced=pair, seed=seed)
    except InputError as error:
        return {"audited": False, "reason": str(error)}
    return {"audited": True, **found, "not_traced": not_traced}
