"""The project's own docker-compose.yml, built and run from a clean copy of the checkout."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


@cache
def no_engine() -> str:
    """Why there is no engine to build and run with; "" if there is."""
    if shutil.which("docker") is None:
        return "no docker command"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[:120]}"
    return ""


def clean_copy(folder: Path) -> Path:
    """What git would check out, with what is not committed yet."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def syncytium(*arguments: str | Path) -> None:
    """A command on this machine that rounds as in a container.

    It is without the user's choice of a BLAS's kernels, which the containers leave to the library.
    """
    chosen = ("OPENBLAS_", "MKL_", "BLIS_")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("syncytium")), *map(str, arguments)],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith(chosen)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


class Compose:
    """A project of docker compose, with a name of its own.

    Parameters
    ----------
    checkout
        Its folder.
    files
        Compose files in it, or elsewhere.
    environment
        What the files take from the environment.
    """

    def __init__(self, checkout: Path, *files: str | Path, name: str = "", **environment: str):
        self.checkout = checkout
        self.name = name or f"syncytium-test-{uuid.uuid4().hex[:8]}"
        self.files = [part for file in files for part in ("-f", str(file))]
        self.environment = {**os.environ, **environment, "COMPOSE_PROJECT_NAME": self.name}

    def start(self, *arguments: str, log: Path) -> subprocess.Popen:
        """A command of compose that goes on while the test does."""
        with log.open("ab") as file:
            return subprocess.Popen(
                ["docker", "compose", *self.files, *arguments],
                cwd=self.checkout,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def call(self, *arguments: str, seconds: float = 600.0) -> subprocess.CompletedProcess[str]:
        """A command of compose, to its end; what it says on both streams is in ``stdout``."""
        return subprocess.run(
            ["docker", "compose", *self.files, *arguments],
            cwd=self.checkout,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    def done(self, *arguments: str) -> str:
        """What a command says that must succeed."""
        done = self.call(*arguments)
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.done("ps", "--all", "--quiet", service).strip()

    def inspect(self, service: str) -> dict:
        """What the engine knows of a service's container."""
        return json.loads(docker("inspect", self.container(service)))[0]

    def python(self, service: str, code: str) -> str:
        """What a program says in a service's container."""
        return self.done("exec", "-T", service, "python", "-c", code)


def docker(*arguments: str) -> str:
    """What a command of the engine says that must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def compose(checkout: Path, *files: str | Path, **environment: str) -> Iterator[Compose]:
    """A project that leaves nothing behind."""
    project = Compose(checkout, *files, **environment)
    try:
        yield project
    finally:
        project.call("down", "--volumes", "--remove-orphans", "--timeout", "2")
