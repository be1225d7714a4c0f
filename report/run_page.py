"""The page of a run: everything of the run folder, and pictures where the cells are here."""

import logging
import shutil
import time
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import SyncytiumError
from report import carbon, classification, energy, page, recovery
from report.confusion_table import ConfusionTable, confusion_table
from report.corrected_files import corrected_files
from report.federated_evaluation import rows, summary
from report.fine_tuning import fine_tuning
from report.green import green_notes
from report.label_note import label_note
from report.loss_chart import HEIGHT, RIGHT, WIDTH, loss_chart
from report.pictures import SHOWN, Pictures, make_pictures, seen_by_scores
from report.run_evaluation import gather
from report.run_record import RunRecord
from report.settings_table import changed_settings, network
from report.synthesis_evaluation import TASK
from report.synthesis_page import synthesis_values
from report.traffic import PhaseTraffic, by_phase, by_site, natural
from report.verdict import QUESTIONS, findings, types_to_look_at

logger = logging.getLogger("syncytium.report")

MAX_SCORED = 20_000
TONES = {"finished": "good", "failed": "bad"}
BY_ORIGIN = {
    "n_predicted": "by predicted labels",
    "n_nearest": "as their nearest cells",
    "n_unlabelled": "Cells without a label",
    "n_unsure": "with one too unsure to steer",
}
SUMS = {"masked": "masked", "crypten": "shared (CrypTen)", "off": "not masked"}


def write_run_page(folder: Path, *, pictures: bool, run: dict[str, Any] | None = None) -> Path:
    """Write ``report.html`` in a run folder.

    Parameters
    ----------
    folder
        The run folder.
    pictures
        Draw UMAPs, where the sites' cells are in the folder: some 15 seconds.
    run
        What ``run.json`` is about to say.

    Raises
    ------
    InputError
        The folder holds no run.
    """
    record = RunRecord.read(folder, run)
    made = None
    if record.run.get("task") == TASK:
        made = synthesis_values(record, pictures=pictures)
        # Its scores are of other figures than a correction's.
        record = replace(record, evaluation=None)
    shown, no_pictures = _pictures(record, pictures)
    written = page.write(page.render("run", **_values(record, shown, no_pictures, made)), folder)
    if made and made["evaluated"]:
        # It shows single records: as private as their scores.
        shutil.copymode(folder / "evaluation.json", written)
    return written


def try_run_page(folder: Path, run: dict[str, Any]) -> None:
    """The page without pictures; a fault in it is logged and harms no run."""
    try:
        write_run_page(folder, pictures=False, run=run)
    except Exception as error:
        logger.warning("no report.html: %s: %s", type(error).__name__, error)


def _pictures(record: RunRecord, wanted: bool) -> tuple[Pictures | None, str]:
    """Pictures, or why there are none."""
    if record.run["status"] != "finished" or record.run.get("task") in ("classify", TASK):
        return None, ""
    if not record.simulated:
        return None, (
            "The cells stayed at the sites, and so do their pictures: each site has its own in "
            "report.html in its output-dir, unless its node config says report = false."
        )
    if not wanted:
        return None, "`syncytium report` with this folder draws them."
    scored = (record.evaluation or {}).get("subsample") or {"n_cells": MAX_SCORED, "seed": 0}
    try:
        cells, n_cells = gather(
            corrected_files(record.path),
            max_cells=scored["n_cells"],
            seed=scored["seed"],
            shown=SHOWN,
        )
    except SyncytiumError as error:
        return None, f"There are none: {error}."
    # A batch is named SITE/BATCH; a site's name holds no slash, it is a folder's.
    sites = [batch.split("/", 1)[0] for batch in np.concatenate(cells.batch)]
    groups = {
        "site": np.array(sites, dtype=object),
        "cell type": np.concatenate(cells.cell_type),
    }
    seen = seen_by_scores(record.evaluation)
    return make_pictures(cells, n_cells, groups, named=["cell type"], seen=seen), ""


def _values(
    record: RunRecord, shown: Pictures | None, no_pictures: str, made: dict[str, Any] | None
) -> dict[str, Any]:
    run, evaluation = record.run, record.evaluation
    config = {"preset": "", "generator": "", **run.get("config", {})}
    # What an early end leaves out.
    run = {
        **dict.fromkeys(
            ("ended", "error", "error_kind", "n_rounds", "kept_round", "generator"), ""
        ),
        **dict.fromkeys(("stopped_early", "identity", "n_parameters", "resumed", "frozen"), None),
        **{"task": "", "run_id": "", "started": "", "usefulness": {}, "synthetic": {}},
        **run,
        "config": config,
    }
    phases, took = by_phase(record), _took(record)
    # A run that goes on, or was killed, has no whole of it.
    used = run["energy"] if "communication" in run.get("energy", {}) else None
    found = findings(evaluation) if evaluation else []
    kept = run["kept_round"] if run["stopped_early"] else None
    scored = classification.classification(record.path)
    return {
        "title": _title(record),
        "run": run,
        "failed": run["status"] == "failed",
        "tone": TONES.get(run["status"], "same"),
        "took": took,
        "facts": _facts(record, phases),
        "sections": _sections(record, made),
        "reached": recovery.reached(record),
        "ways": recovery.ways_on(record),
        "simulated": record.simulated,
        "masked": config.get("secure-sum") != "off",
        "findings": found,
        "n_outputs": len({one.output for one in found}),
        "open_losses": run.get("lost_sites", {}),
        "unshifted": run.get("unshifted_types", {}),
        "of_one_site": run.get("types_of_one_site", []),
        "look_at": types_to_look_at(evaluation) if evaluation else [],
        "shown": shown,
        "no_pictures": no_pictures,
        "synthesis": made,
        **_scores(evaluation),
        "scored": scored,
        "confusion": _confusion(scored),
        "fine_tuning": fine_tuning(record.run),
        "scored_summary": classification.summary(scored) if scored else [],
        "summed": record.federated,
        "summed_summary": summary(record.federated) if record.federated else [],
        "summed_rows": rows(record.federated) if (record.federated or {}).get("evaluated") else {},
        "rounds": record.rounds,
        "green_notes": green_notes(record.run),
        "void_rounds": [line for line in record.rounds if "void" in line],
        "chart": loss_chart(record.rounds, kept),
        "chart_width": WIDTH,
        "chart_height": HEIGHT,
        "chart_right": RIGHT,
        "phases": phases,
        "sites": by_site(record),
        "summary": _summary(record, phases),
        "energy": used,
        "energy_summary": energy.summary(used) if used else "",
        "energy_rows": energy.rows(used) if used else [],
        "energy_phases": energy.phase_rows(used) if used else [],
        "carbon_saved": carbon.saved_by_sites(used) if used else [],
        "energy_notes": energy.notes(used) if used else [],
        "losses": recovery.losses(record),
        "times": [phase for phase in phases if phase.seconds is not None] if took else [],
        "about_sites": _about_sites(record),
        "largest": run.get("largest_batch", {}),
        "settings": changed_settings(record.run.get("config", {})),
        # That of a bundle is in the bundle's card.
        "network": {} if run["frozen"] else network(record.run.get("config", {})),
        "versions": run.get("versions", {}),
        "version": own_version(),
        "folder": str(record.path),
    }


def _scores(evaluation: dict[str, Any] | None) -> dict[str, Any]:
    if not evaluation:
        return {"evaluation": None}
    columns, metrics = list(evaluation["overall"]), evaluation["metrics"]
    groups = [
        (heading, [(name, m) for name, m in metrics.items() if m["group"] == group])
        for group, heading in {**QUESTIONS, "other": "Other"}.items()
    ]
    by_type = {
        name
        for about in evaluation["per_type"].values()
        for scores in about["scores"].values()
        for name in scores
    }
    reasons = {one["reason"] for by in evaluation["overall"].values() for one in by.values()}
    return {
        "evaluation": evaluation,
        "columns": columns,
        "score_groups": [(heading, rows) for heading, rows in groups if rows],
        "type_columns": [
            (name, metrics[name]["title"], column)
            for name in metrics
            if name in by_type
            for column in columns[1:]
        ],
        "no_value": sorted(reason for reason in reasons if reason),
        "label_note": label_note(evaluation),
    }


def _title(record: RunRecord) -> str:
    run = record.run
    named = {"correct": "Batch correction", "classify": "Classifier", TASK: "Synthetic cohort"}
    what = named.get(run.get("task", ""), f"Run of {run.get('task')}")
    n_cells = run.get("n_corrected", run.get("n_cells"))
    cells = f" of {n_cells:,} cells" if n_cells else ""
    n_sites = len(record.sites)
    at = f" at {n_sites} site{'' if n_sites == 1 else 's'}" if n_sites else ""
    return f"{what}{cells}{at}"


def _facts(record: RunRecord, phases: list[PhaseTraffic]) -> list[tuple[str, str]]:
    run = record.run
    n_lost = len(set(run.get("lost_sites", {})) & set(record.sites))
    rounds = len(record.rounds)
    facts = [("Sites", f"{len(record.sites)}{f', {n_lost} lost' if n_lost else ''}")]
    if "n_corrected" in run:
        facts.append(("Cells corrected", f"{run['n_corrected']:,}"))
        facts.append(("of these shifted", f"{run['n_shifted']:,}"))
        facts += [(what, f"{run[key]:,}") for key, what in BY_ORIGIN.items() if run.get(key)]
    if "n_synthetic" in run:
        facts.append(("Synthetic records", f"{run['n_synthetic']:,}"))
    if (epsilon := (run.get("privacy") or {}).get("epsilon")) is not None:
        facts.append(("Epsilon", f"{epsilon:.3g}"))
    if "n_train" in run:
        facts.append(("Training cells", f"{run['n_train']:,}"))
        facts.append(("Classes", f"{len(run['classes'])}"))
    if "validation" in run:
        facts.append(("Macro-F1, validation", f"{run['validation']['macro_f1']:.3f}"))
    if "n_genes" in run:
        facts.append(("Genes", f"{run['n_genes']:,}"))
    if rounds:
        facts.append(("Rounds", f"{rounds} of {run.get('n_rounds', rounds)}"))
    sums = run.get("config", {}).get("secure-sum", "")
    facts.append(("Sums over sites", SUMS.get(sums, sums)))
    if phases:
        facts.append(("Left the sites", page.in_bytes(sum(phase.bytes for phase in phases))))
    return facts


def _sections(record: RunRecord, made: dict[str, Any] | None) -> list[tuple[str, str]]:
    finished = record.run["status"] == "finished"
    verdicts = {"classify": "The classifier", TASK: "The cohort"}
    task = record.run.get("task", "")
    scored = made is not None and made["evaluated"]
    wanted = [
        (not finished, "ended", "What went wrong"),
        (True, "verdict", verdicts.get(task, "Verdict")),
        (finished and task not in verdicts, "pictures", "Before and after"),
        (scored, "pictures", "Beside real records"),
        (record.evaluation or scored, "scores", "Scores"),
        (scored, "audit", "Attacks"),
        (record.federated, "federated", "Scores by sums"),
        (record.rounds or task != TASK, "training", "Training"),
        (True, "sent", "What left the sites"),
        ("communication" in record.run.get("energy", {}), "energy", "Energy and carbon"),
        (True, "details", "Details"),
    ]
    return [(anchor, text) for there, anchor, text in wanted if there]


def _summary(record: RunRecord, phases: list[PhaseTraffic]) -> str:
    masked = sum(site.masked for site in by_site(record))
    in_all = sum(phase.bytes for phase in phases)
    received = sum(phase.received for phase in phases)
    messages = sum(phase.messages for phase in phases)
    cohort = record.run.get("task") == TASK
    mostly = "what earlier sums told" if cohort else "the model of each round"
    return (
        f"The sites sent {messages:,} messages, {page.in_bytes(in_all)} in all; of these "
        f"{page.in_bytes(masked)} in messages with masked sums and {page.in_bytes(in_all - masked)}"
        f" in others. They received {page.in_bytes(received)}, mostly {mostly}."
    )


def _about_sites(record: RunRecord) -> list[tuple[str, dict[str, Any]]]:
    padded = record.run.get("padded", {})
    return [
        (
            site,
            {
                "n_genes": about["n_genes"],
                "lacks": f"{padded[site]:.1%}" if site in padded else "–",
                "versions": _other_versions(about["versions"], record.run.get("versions", {})),
            },
        )
        for site, about in sorted(
            record.run.get("sites", {}).items(), key=lambda item: natural(item[0])
        )
    ]


def _other_versions(site: dict[str, str], coordinator: dict[str, str]) -> str:
    others = [f"{k} {v}" for k, v in site.items() if coordinator.get(k) != v]
    return " · ".join(others) or "as the coordinator's"


def _took(record: RunRecord) -> float:
    """Seconds from start to end; to now where it has not ended, 0 where that is not known."""
    try:
        start = datetime.fromisoformat(record.run["started"]).timestamp()
        ended = record.run.get("ended")
        return (datetime.fromisoformat(ended).timestamp() if ended else time.time()) - start
    except (KeyError, ValueError):
        return 0.0


def _confusion(scored: dict[str, Any] | None) -> ConfusionTable | None:
    if not scored or not scored["evaluated"]:
        return None
    return confusion_table(scored["confusion_with_unknown"], scored["classes"])


def own_version() -> str:
    """Of this package."""
    try:
        return version("syncytium")
    except PackageNotFoundError:
        return "of unknown version"
