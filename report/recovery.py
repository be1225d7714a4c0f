"""How to go on after a run that failed."""

import re
from collections.abc import Sequence
from typing import Any

from report.run_record import RunRecord

# Settings that cannot change on --resume are the fault.
OF_SETTINGS = ("ConfigError", "PolicyError", "GeneError")


def reached(record: RunRecord) -> str:
    """How far the run came, in words."""
    rounds = [line["round"] for line in record.rounds]
    if rounds:
        of = record.run.get("n_rounds")
        return f"round {max(rounds)}{f' of {of}' if of else ''}, whose model is on disk"
    if record.messages:
        return f"phase {record.messages[-1]['phase']}, before the first round was done"
    connected = record.run.get("connected", {})
    return f"waiting for sites ({connected.get('sites', 0)} connected)"


def ways_on(record: RunRecord) -> list[str]:
    """What to do, the likeliest first."""
    run = record.run
    ways: list[str] = []
    for loss in run.get("losses", []):
        if not loss.get("returned"):
            mend = "start it again" if loss.get("may_return") else "mend what it answered"
            ways.append(f"{loss['site']} was lost in phase {loss['phase']}: {mend}.")
    says_how = re.search(r"--resume|once it runs again", run.get("error", ""))
    if run.get("error_kind") in OF_SETTINGS:
        ways.append(
            "If a setting is to change, run again with another --out: a run resumes with its own "
            "settings only (on-site-error, wait, readmit, deadline and deadlines may change)."
        )
    if not says_how:
        ways.append("Mend what the message names.")
    ways.append(
        "Give the same command again with --resume added: "
        + (
            "it goes on from the last round on disk."
            if record.rounds
            else "nothing was trained yet, so it begins with what is on disk."
        )
    )
    ways.append(
        "Details are in log.jsonl and flower.log of the run folder, and at a site in its own "
        "log.jsonl and outbox.jsonl."
    )
    return _unique(ways)


def losses(record: RunRecord) -> Sequence[dict[str, Any]]:
    """Every loss of a site, in order."""
    return record.run.get("losses", [])


def _unique(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))
