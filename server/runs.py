"""The run folder: what was run, every round, every message, the bundle."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.config import RunConfig
from common.errors import RunError

PACKAGES = ("syncytium", "flwr", "torch", "numpy", "anndata", "scipy", "pandas")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _version(package: str) -> str:
    try:
        return version(package)
    except Exception:
        return "unknown"


class RunFolder:
    """A run's folder.

    Parameters
    ----------
    path
        Must not hold an earlier run.
    config
        The run's settings, written to ``run.json``.
    run_id
        Flower's id of the run.

    Raises
    ------
    RunError
        The folder holds a run already, or cannot be written.
    """

    def __init__(self, path: Path, config: RunConfig, run_id: int):
        self.path = path
        if (path / "run.json").exists():
            raise RunError(f"{path} holds a run already; give out another folder, or remove it")
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._run = {
                "task": config.task,
                "run_id": str(run_id),
                "status": "running",
                "started": _now(),
                "config": config.flat(),
                "code": str(Path(__file__).resolve().parent.parent),
                "versions": {
                    "python": platform.python_version(),
                    **{name: _version(name) for name in PACKAGES},
                },
            }
            self._write()
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error}") from error

    @property
    def versions(self) -> dict[str, str]:
        """Python's and the packages' versions."""
        return self._run["versions"]

    def note(self, **entries: Any) -> None:
        """Enter facts about the run into ``run.json``."""
        self._run.update(entries)
        self._write()

    def finish(self, status: str, **entries: Any) -> None:
        """The run's end: ``finished`` or ``failed``."""
        self.note(status=status, ended=_now(), **entries)

    def metrics(self, **line: Any) -> None:
        """Append a line to ``metrics.jsonl``: a round and its losses."""
        self._append("metrics.jsonl", line)

    def ledger(self, **line: Any) -> None:
        """Append a line to ``ledger.jsonl``: one message."""
        self._append("ledger.jsonl", line)

    def _append(self, name: str, line: dict[str, Any]) -> None:
        with (self.path / name).open("a") as file:
            file.write(json.dumps({"time": _now(), **line}) + "\n")

    def _write(self) -> None:
        partial = self.path / ".run.json.part"
        partial.write_text(json.dumps(self._run, indent=1))
        partial.replace(self.path / "run.json")
