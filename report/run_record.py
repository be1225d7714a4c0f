"""What a run folder says about its run, read for a page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from common.errors import InputError
from common.logs import LOG
from report.federated_evaluation import federated_evaluation


@dataclass(frozen=True)
class RunRecord:
    """A run folder's files as plain values.

    Parameters
    ----------
    path
        The folder.
    run
        ``run.json``.
    rounds
        Lines of ``metrics.jsonl``, one per round.
    messages
        Lines of ``ledger.jsonl``, one per message.
    phases
        Lines of ``log.jsonl`` that end a phase, with its seconds.
    evaluation
        ``evaluation.json``; None where the run was not scored.
    federated
        ``federated_evaluation.json``; None where the run was to do without.
    """

    path: Path
    run: dict[str, Any]
    rounds: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    phases: list[dict[str, Any]]
    evaluation: dict[str, Any] | None
    federated: dict[str, Any] | None

    @classmethod
    def read(cls, path: Path, run: dict[str, Any] | None = None) -> Self:
        """Read a folder; ``run`` replaces what its ``run.json`` says so far.

        Raises
        ------
        InputError
            It holds no run.
        """
        if run is None:
            run = _json(path / "run.json")
        if not isinstance(run, dict) or "status" not in run:
            raise InputError(
                f"{path / 'run.json'} is missing or damaged: give the folder of a run (--out of "
                "`syncytium run`), or a site's output-dir"
            )
        return cls(
            path=path,
            run=run,
            rounds=json_lines(path / "metrics.jsonl"),
            messages=json_lines(path / "ledger.jsonl"),
            phases=[e for e in json_lines(path / LOG) if e.get("event") == "phase done"],
            evaluation=_json(path / "evaluation.json"),
            federated=federated_evaluation(path),
        )

    @property
    def sites(self) -> list[str]:
        """Names of the sites that described themselves, sorted."""
        return sorted(self.run.get("sites", {}))

    @property
    def simulated(self) -> bool:
        """The sites' own folders are here."""
        return (self.path / "sites").is_dir()


def json_lines(path: Path) -> list[dict[str, Any]]:
    """A JSON-lines file, without a line that a killed process left half-written."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
