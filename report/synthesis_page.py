"""What a run's page says of a synthetic cohort: its privacy, its use, what attacks find."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import SyncytiumError
from common.synthesis.scores.figures import FIGURES
from report.epsilon_curve import epsilon_curve
from report.privacy_words import is_private, statement
from report.run_record import RunRecord
from report.synthesis_evaluation import privacy_statement
from report.synthesis_pictures import attack_drawing, cohort_pictures, gene_drawings
from report.synthesis_table import ARROWS

CURVE = "epsilon_curve.json"
# AUC of membership inference up to which it is said to find nothing.
NO_ATTACK = 0.55
# Of the real variances' spread over genes (10 % to 90 %): below it there is none to speak of.
LEVEL = 0.05


def synthesis_values(record: RunRecord, *, pictures: bool) -> dict[str, Any]:
    """What the template ``run_synthesis`` takes.

    Parameters
    ----------
    pictures
        Draw the records, where those that were scored are here.
    """
    evaluation = record.evaluation
    privacy = record.run.get("privacy") or _of_file(record.path)
    shown, no_pictures = None, ""
    if evaluation and pictures:
        try:
            shown = cohort_pictures(record.path, record.run.get("config", {}), evaluation)
        except SyncytiumError as error:
            no_pictures = f"There are none of single records: {error}"
    elif evaluation:
        no_pictures = "`syncytium report` with this folder draws the records."
    audited = evaluation and evaluation["audit"]["audited"]
    return {
        "privacy": statement(privacy),
        "privacy_stated": is_private(privacy),
        "evaluated": evaluation,
        "findings": _findings(evaluation) if evaluation else [],
        "score_groups": _groups(evaluation) if evaluation else {},
        "one_variance": bool(evaluation) and _level(evaluation),
        "genes": gene_drawings(evaluation) if evaluation else [],
        "attacks": attack_drawing(evaluation["audit"]) if audited else None,
        "curve": _curve(record.path),
        "shown": shown,
        "no_pictures": no_pictures,
    }


def _level(evaluation: Mapping[str, Any]) -> bool:
    """Whether the cohort's genes vary about alike, though the real ones do not."""
    genes = evaluation["scores"]["per_gene"]
    made, real = (np.array(genes[f"{kind}_variance"]) for kind in ("synthetic", "real"))
    spreads = [np.subtract(*np.quantile(part, [0.9, 0.1])) for part in (made, real)]
    return bool(spreads[0] < LEVEL * spreads[1])


def _of_file(folder: Path) -> dict[str, Any]:
    try:
        return privacy_statement(folder)
    except SyncytiumError:
        return {}


def _findings(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [_use(evaluation), _look(evaluation)]
    return [*found, _leak(evaluation["audit"])]


def _use(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    made, real = (evaluation["scores"][k]["logistic_accuracy"] for k in ("synthetic", "real"))
    chance = evaluation["majority"]
    if made <= chance:
        answer, tone = "No: no better than the most frequent class", "bad"
    elif real is None or real <= chance:
        answer, tone = "Better than the most frequent class", "same"
    else:
        share = (made - chance) / (real - chance)
        answer, tone = next(
            (answer, tone)
            for least, answer, tone in (
                (0.9, "Nearly as well as from real records", "good"),
                (0.5, "Yes, but less than from real records", "same"),
                (-1.0, "Little", "bad"),
            )
            if share >= least
        )
    beside = f"real records {real:.2f}, " if real is not None else ""
    return {
        "question": "Does a classifier learn from it?",
        "answer": answer,
        "tone": tone,
        "value": f"{made:.2f}",
        "text": f"Accuracy on real records of a classifier trained on the cohort; {beside}the most "
        f"frequent class {chance:.2f}",
        "track": (chance, made),
    }


def _look(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    auc = evaluation["scores"]["synthetic"]["auc_forest"]
    answer, tone = (
        ("Hardly to be told apart", "good")
        if auc < 0.7
        else ("Told apart at times", "same")
        if auc < 0.95
        else ("Told apart at once", "bad")
    )
    return {
        "question": "Does it look like the real cohort?",
        "answer": answer,
        "tone": tone,
        "value": f"{auc:.2f}",
        "text": "AUC of a random forest that tells real from synthetic records; 0.5: it cannot",
        "track": (0.5, auc),
    }


def _leak(audit: Mapping[str, Any]) -> dict[str, Any]:
    question = "Do attacks find out who was in it?"
    if not audit["audited"]:
        return {
            "question": question, "answer": "Not audited", "tone": "unknown", "value": "–",
            "text": f"{audit['reason'][0].upper()}{audit['reason'][1:]}", "track": None,
        }  # fmt: skip
    auc = audit["attacks"][audit["strongest"]]["auc"]
    answer, tone = (
        ("Yes", "bad")
        if auc["low"] > NO_ATTACK
        else ("None of these does", "good")
        if auc["high"] <= NO_ATTACK
        else ("No sign of it in these records", "same")
    )
    if audit["closest"]["copies"]:
        answer, tone = f"{audit['closest']['copies']:,} records are copies of real ones", "bad"
    return {
        "question": question,
        "answer": answer,
        "tone": tone,
        "value": f"{auc['value']:.2f}",
        "text": f"AUC of the strongest attack ({audit['strongest'].replace('_', ' ')}), 95 % "
        f"interval {auc['low']:.2f} to {auc['high']:.2f}; 0.5: it guesses",
        "track": (0.5, auc["value"]),
    }


def _groups(evaluation: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, figure in FIGURES.items():
        made, real = (evaluation["scores"][kind][name] for kind in ("synthetic", "real"))
        row = {"title": f"{figure.title}{ARROWS[figure.better]}", "synthetic": made, "real": real}
        groups.setdefault(figure.group, []).append(row)
    return groups


def _curve(folder: Path) -> Any:
    """The drawing of ``epsilon_curve.json``, which `make bench` writes; None without one."""
    try:
        about = json.loads((folder / CURVE).read_text())
        named = {key: about[key] for key in ("real", "majority") if key in about}
        return epsilon_curve(about["rows"], score=about["score"], **named)
    except (OSError, ValueError, KeyError, TypeError):
        return None
