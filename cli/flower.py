"""Flower's own commands, run as they are: submit a run, ask how it stands, stop it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from common.errors import ConfigError, RunError

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parent.parent


def command(name: str) -> str:
    """The path of one of Flower's commands, from this Python's own environment if it is there.

    Raises
    ------
    RunError
        Flower is not installed.
    """
    found = shutil.which(name, path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise RunError(f"the command {name} is missing: install Syncytium's requirements.lock")
    return found


def environment(home: Path | None) -> dict[str, str]:
    """The environment of Flower's commands: quiet, and with ``home`` as FLWR_HOME if given."""
    quiet = {"FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_TELEMETRY_ENABLED": "0"}
    ray = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {"FLWR_HOME": str(home)} if home else {}
    # The SuperLink is on the loopback: a hospital's proxy must not be asked for it.
    own_exceptions = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    direct = ",".join(filter(None, [own_exceptions, "127.0.0.1,localhost"]))
    quiet |= {"NO_PROXY": direct, "no_proxy": direct}
    return {**os.environ, **quiet, **ray, "PATH": path, **own}


@dataclass(frozen=True)
class Flower:
    """Flower's command line towards one SuperLink.

    Parameters
    ----------
    superlink
        Name of a connection in FLWR_HOME's config.toml.
    home
        FLWR_HOME; None is the user's own.
    app
        The app that is uploaded.
    """

    superlink: str
    home: Path | None = None
    app: Path = ROOT

    def submit(
        self, run_config: dict[str, Any], federation_config: dict[str, Any], folder: Path
    ) -> str:
        """Upload the app and start a run; returns its id.

        Parameters
        ----------
        run_config
            Every key must be one of pyproject.toml's ``[tool.flwr.app.config]``.
        federation_config
            Number of nodes and their resources, for a simulation; {} otherwise.
        folder
            Where a temporary file with the run config may be written.
        """
        if not (self.app / "pyproject.toml").is_file():
            raise RunError(
                f"{self.app} is not a checkout of Syncytium, and Flower uploads the app from one: "
                "install it with `pip install --editable`, as `make install` does"
            )
        settings = folder / "run-config.toml"
        settings.write_text(tomli_w.dumps(run_config))
        arguments = ["run", str(self.app), self.superlink, "--run-config", str(settings)]
        if federation_config:
            pairs = " ".join(f"{key}={value}" for key, value in federation_config.items())
            arguments += ["--federation-config", pairs]
        answer = self._call(*arguments)
        if "run-id" not in answer:
            raise RunError(f"flwr run gave no run id: {answer}")
        return str(answer["run-id"])

    def status(self, run_id: str) -> tuple[str, str]:
        """How a run stands, as ``finished:failed``, and Flower's reason.

        ``flwr run`` itself exits 0 whatever becomes of the run.
        """
        runs = self._call("ls", self.superlink, "--run-id", run_id).get("runs", [])
        if not runs:
            raise RunError(f"the SuperLink does not know run {run_id}")
        return runs[0]["status"], runs[0].get("status-details") or ""

    def stop(self, run_id: str) -> None:
        """Ask for a run to be stopped."""
        self._call("stop", run_id, self.superlink)

    def log(self, run_id: str) -> str:
        """What the run's ServerApp and ClientApps have said so far."""
        return self._flwr("log", run_id, self.superlink, "--show").stdout

    def _flwr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command("flwr"), *arguments],
            env=environment(self.home),
            capture_output=True,
            text=True,
            check=False,
        )

    def _call(self, *arguments: str) -> dict[str, Any]:
        done = self._flwr(*arguments, "--format", "json")
        answer = _json(done.stdout)
        if done.returncode or answer is None or answer.get("success") is False:
            said = (answer or {}).get("error-message") or done.stderr.strip() or done.stdout.strip()
            if arguments[0] == "run" and "connection" in said.lower() and self.home is None:
                raise ConfigError(
                    f"--superlink {self.superlink}: {said}; the names are those in "
                    "$FLWR_HOME/config.toml (~/.flwr/config.toml)"
                )
            raise RunError(f"flwr {arguments[0]} failed: {said}")
        return answer


def _json(text: str) -> dict[str, Any] | None:
    start = text.find("{")
    try:
        return json.loads(text[start:]) if start >= 0 else None
    except json.JSONDecodeError:
        return None
