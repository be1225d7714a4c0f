"""A SuperLink of our own for the length of one simulated run.

Flower's ``:local:`` SuperLink stays behind and keeps the first run's working directory and
environment, from which later runs then import. This one lives in a temporary folder on a free
loopback port and is gone, with all that it started, when the run is.
"""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tomli_w

from cli.flower import Flower, command, environment
from common.errors import RunError

NAME = "syncytium"
STARTUP_SECONDS = 60.0
STOPPING_SECONDS = 15.0


@contextlib.contextmanager
def own_superlink(log: Path) -> Iterator[Flower]:
    """Start a SuperLink for simulations and stop it at the end, whatever happens.

    Parameters
    ----------
    log
        Receives what the SuperLink, the ServerApp and the ClientApps say.

    Raises
    ------
    RunError
        It does not start; the message ends with the log's last lines.
    """
    with tempfile.TemporaryDirectory(prefix="syncytium-", ignore_cleanup_errors=True) as folder:
        home, port = Path(folder), _free_port()
        address = f"127.0.0.1:{port}"
        (home / "config.toml").write_text(
            tomli_w.dumps({"superlink": {NAME: {"address": address, "insecure": True}}})
        )
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *(command("flower-superlink"), "--insecure", "--simulation"),
                    *("--isolation", "subprocess", "--disable-runtime-dependency-installation"),
                    *("--host", "127.0.0.1", "--port", str(port)),
                    *("--database", str(home / "state.db")),
                ],
                env=environment(home),
                cwd=home,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, address, log)
            yield Flower(NAME, home)
        finally:
            _stop(process, home)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(process: subprocess.Popen, address: str, log: Path) -> None:
    import httpx

    end = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RunError(f"the SuperLink ended at once. {tail(log)}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://{address}/health", timeout=2.0, trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise RunError(f"the SuperLink did not answer within {STARTUP_SECONDS:g} s. {tail(log)}")


def _stop(process: subprocess.Popen, home: Path) -> None:
    """End the SuperLink and everything that it started, Ray's processes among it."""
    # Flower's own process manager starts a session of its own, and is gone before its children.
    sessions = {process.pid}
    _members(home, sessions)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPPING_SECONDS)
    end = time.monotonic() + STOPPING_SECONDS
    number = signal.SIGTERM
    while members := _members(home, sessions):
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if time.monotonic() > end:
            number = signal.SIGKILL
        time.sleep(0.2)
    process.wait()


def _members(home: Path, sessions: set[int]) -> list[int]:
    """Living processes of ``sessions``, to which those of every process with this home are added.

    ``home`` as FLWR_HOME marks what the SuperLink started; Ray's actors overwrite their
    environment, but stay in the session. Our own commands have the home too, in our own session.
    """
    import psutil

    found, ours = {}, os.getsid(0)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            found[process.pid] = os.getsid(process.pid)
            marked = process.environ().get("FLWR_HOME") == str(home)
            if marked and found[process.pid] != ours:
                sessions.add(found[process.pid])
    return [pid for pid, session in found.items() if session in sessions]


def tail(log: Path, n_lines: int = 8) -> str:
    """The end of a log, as a sentence."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return f"The last lines of {log}:\n" + "\n".join(lines[-n_lines:])
