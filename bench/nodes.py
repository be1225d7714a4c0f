"""A SuperLink and SuperNodes as processes of this machine, for benches and tests of real nodes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cli.flower import command, environment

LINK = "here"
SECONDS = 90.0


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


def wait_for(said: str, log: Path, n: int = 1) -> None:
    """Wait until a log says something ``n`` times."""
    end = time.monotonic() + SECONDS
    while not log.exists() or log.read_text(errors="replace").count(said) < n:
        if time.monotonic() > end:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise TimeoutError(f"{log} did not say {said!r} within {SECONDS:g} s: {tail}")
        time.sleep(0.05)


def with_children(process: subprocess.Popen) -> list[psutil.Process]:
    """A process and all that it started."""
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@dataclass
class Nodes:
    """A federation of processes without TLS on the loopback; logs in ``folder``.

    ``program`` is the SuperNode that the sites run.
    """

    folder: Path
    program: str = "syncytium-supernode"
    link: subprocess.Popen | None = None
    sites: dict[str, subprocess.Popen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.control, self.fleet = free_ports(2)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = home = self.folder / "home"
        home.mkdir()
        address = f"127.0.0.1:{self.control}"
        (home / "config.toml").write_text(
            f'[superlink.{LINK}]\naddress = "{address}"\ninsecure = true\n'
        )
        self.environment = environment(home)

    def start_link(self) -> None:
        """Start the SuperLink, or start it again: it has forgotten its runs and nodes."""
        self.link = self._start(
            "superlink",
            *("flower-superlink", "--insecure", "--host", "127.0.0.1"),
            *("--port", str(self.control), "--fleet-api-address", f"127.0.0.1:{self.fleet}"),
            "--disable-runtime-dependency-installation",
        )
        end = time.monotonic() + SECONDS
        for port in (self.control, self.fleet):
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1.0).close()
                    break
                if time.monotonic() > end or self.link.poll() is not None:
                    raise TimeoutError(f"the SuperLink does not answer at port {port}")
                time.sleep(0.1)

    def start_site(self, site: str, **config: str) -> None:
        """Start a SuperNode with this node config; without a page, unless it says so."""
        config = {"report": "false", **config}
        (port,) = free_ports(1)
        pairs = " ".join(f"{key.replace('_', '-')}='{value}'" for key, value in config.items())
        log = self.folder / f"{site}.log"
        before = log.read_text(errors="replace").count("SuperNode ID") if log.exists() else 0
        self.sites[site] = self._start(
            site,
            *(self.program, "--insecure", "--superlink", f"127.0.0.1:{self.fleet}"),
            *("--host", "127.0.0.1", "--port", str(port), "--node-config", pairs),
        )
        wait_for("SuperNode ID", log, before + 1)

    def syncytium(self, *arguments: str, log: str = "run") -> subprocess.Popen:
        """Start a command towards this federation; what it says goes into ``LOG.log``."""
        return self._start(log, "syncytium", *arguments)

    def kill(self, process: subprocess.Popen) -> None:
        """Kill -9 a process and all that it started."""
        for member in with_children(process):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        process.wait()

    def _start(self, name: str, program: str, *arguments: str) -> subprocess.Popen:
        environment = dict(self.environment)
        if name not in ("superlink", "run"):
            # Each machine has its own.
            environment["FLWR_HOME"] = str(self.folder / f"home-{name}")
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [command(program), *arguments],
                env={**environment, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@contextlib.contextmanager
def nodes(folder: Path, program: str = "syncytium-supernode") -> Iterator[Nodes]:
    """A SuperLink, to which sites may be added; everything ends with the context."""
    federation = Nodes(folder, program)
    try:
        federation.start_link()
        yield federation
    finally:
        for process in [*federation.sites.values(), federation.link]:
            if process is not None:
                federation.kill(process)


def main() -> None:
    """`python -m bench.nodes FOLDER SITE.h5ad... -- SETTING=VALUE...`: one run, to look at."""
    folder = Path(sys.argv[1])
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    files, settings = sys.argv[2:split], sys.argv[split + 1 :]
    with nodes(folder, os.environ.get("PROGRAM", "syncytium-supernode")) as federation:
        for path in files:
            name = Path(path).stem
            federation.start_site(name, data_path=path, output_dir=str(folder / name), name=name)
        options = [part for setting in settings for part in ("--set", setting)]
        conf = Path(__file__).parent.parent / "conf/correct.toml"
        run = ["run", str(conf), "--superlink", LINK, "--out", str(folder / "run"), *options]
        process = federation.syncytium(*run, log="run")
        print("exit code", process.wait())
        print((folder / "run.log").read_text())


if __name__ == "__main__":
    main()
