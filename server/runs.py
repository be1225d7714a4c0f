"""The run folder: what was run, every round, every message, the bundle."""

import json
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from common.config import RunConfig
from common.errors import ConfigError, RunError
from server.checkpoint import Checkpoint

# What --resume may change.
CHANGEABLE = {"resume", "on-site-error", "wait", "readmit", "deadline", "deadlines"}
PACKAGES = ("syncytium", "flwr", "torch", "numpy", "anndata", "scipy", "pandas")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def stopped_run(path: Path, config: RunConfig) -> dict[str, Any]:
    """``run.json`` of the run that ``config`` is to go on with; {} for a new run.

    Raises
    ------
    RunError
        The folder holds a run and is not to be resumed, or none that could be.
    ConfigError
        That run had other settings.
    """
    file = path / "run.json"
    if not config.resume:
        if file.exists():
            raise RunError(
                f"{path} holds a run already; go on with it by --resume, give out another folder, "
                "or remove it"
            )
        return {}
    try:
        earlier = json.loads(file.read_text())
    except FileNotFoundError:
        raise RunError(f"{path} holds no run to resume; leave out --resume") from None
    except ValueError as error:
        raise RunError(f"{file} cannot be read: {error}; begin anew in another folder") from None
    if earlier["status"] == "finished":
        raise RunError(f"the run in {path} is finished: there is nothing to resume")
    began = earlier["versions"].get("syncytium")
    if began != _version("syncytium"):
        raise RunError(
            f"the run in {path} was begun by version {began}, and this is {_version('syncytium')}: "
            "resume it with that version"
        )
    now = config.flat()
    other = {
        key: f"{key} = {value!r}, now {now.get(key)!r}"
        for key, value in earlier["config"].items()
        if key not in CHANGEABLE and now.get(key) != value
    }
    if other:
        raise ConfigError(
            f"the run in {path} had other settings: {'; '.join(other.values())}; resume it with "
            f"those (only {', '.join(sorted(CHANGEABLE - {'resume'}))} may change)"
        )
    ended = ("error", "error_kind", "ended", "lost_sites")
    return {key: value for key, value in earlier.items() if key not in ended}


def drop_caches(path: Path) -> None:
    """Remove what simulated sites keep between messages from a run folder; a real one's is its own.

    The last phase of a site removes it, which does not come at every site.
    """
    for cache in path.glob("sites/*/cache"):
        shutil.rmtree(cache, ignore_errors=True)


class RunFolder:
    """A run's folder.

    Parameters
    ----------
    path
        Must not hold an earlier run, or one that stopped if the settings say ``resume``.
    config
        The run's settings, written to ``run.json``.
    run_id
        Flower's id of the run.

    Raises
    ------
    RunError
        The folder holds a run already or none that could go on, or cannot be written.
    """

    def __init__(self, path: Path, config: RunConfig, run_id: int):
        self.path = path
        self.checkpoint = Checkpoint(path / "checkpoints")
        earlier = stopped_run(path, config)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._run = {
                **earlier,
                "task": config.task,
                "run_id": str(run_id),
                "status": "running",
                "started": earlier.get("started", _now()),
                "config": config.flat(),
                "code": str(Path(__file__).resolve().parent.parent),
                "versions": {
                    "python": platform.python_version(),
                    **{name: _version(name) for name in PACKAGES},
                },
            }
            if earlier:
                resumed = {"time": _now(), "after_run": earlier["run_id"]}
                self._run["resumed"] = [*earlier.get("resumed", []), resumed]
            self._write()
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error}") from error
        if earlier:
            self.checkpoint.load()

    @property
    def versions(self) -> dict[str, str]:
        """Python's and the packages' versions."""
        return self._run["versions"]

    def entry(self, key: str, default: Any) -> Any:
        """What ``run.json`` has under a key."""
        return self._run.get(key, default)

    def note(self, **entries: Any) -> None:
        """Enter facts about the run into ``run.json``."""
        self._run.update(entries)
        self._write()

    def finish(self, status: str, **entries: Any) -> None:
        """The run's end, ``finished`` or ``failed``, and its page."""
        self._run.update(status=status, ended=_now(), **entries)
        # It brings what a command that only reads a folder does not need.
        from report.run_page import try_run_page

        # Before run.json: who sees the end there finds the page too.
        try_run_page(self.path, self._run)
        self._write()

    def metrics(self, **line: Any) -> None:
        """Append a line to ``metrics.jsonl``: a round and its losses."""
        self._append("metrics.jsonl", line)

    def keep_rounds(self, last: int) -> None:
        """Drop the lines of rounds after ``last``, of which the checkpoint knows nothing."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["round"] <= last]
        partial = self.path / ".metrics.jsonl.part"
        partial.write_text("".join(kept))
        partial.replace(path)

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
