"""Peers that are no dependency of the product: each in an environment of its own, made when asked.

They are kept in ``bench/.environments``, which git ignores.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

BENCH = Path(__file__).parent
ENVIRONMENTS = BENCH / ".environments"
SCGEN = BENCH / "scgen"
HARMONY = BENCH / "harmony"
# Before the rest: the platform decides which build.
TORCH = os.environ.get("TORCH", "torch==2.13.0")


def scgen() -> list[str]:
    """The command that runs scGen."""
    requirements = SCGEN / "requirements.txt"
    folder = ENVIRONMENTS / "scgen"
    python = folder / "bin" / "python"
    wanted = TORCH.encode() + requirements.read_bytes()
    if _stale(folder, wanted):
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _pip(python, TORCH)
        _pip(python, "--requirement", str(requirements))
        _made(folder, wanted)
    return [str(python), str(SCGEN / "run.py")]


def harmony(version: str) -> tuple[list[str], dict[str, str]]:
    """The command that runs this version of harmonypy, and the environment variables it needs.

    All that it needs beside itself the product's own environment has.
    """
    requirement = f"harmonypy=={version}"
    folder = ENVIRONMENTS / requirement
    if _stale(folder, requirement.encode()):
        shutil.rmtree(folder, ignore_errors=True)
        _pip(Path(sys.executable), "--no-deps", "--target", str(folder), requirement)
        _made(folder, requirement.encode())
    return [sys.executable, str(HARMONY / "run.py")], {"PYTHONPATH": str(folder)}


def call(
    command: list[str], folder: Path, cells: dict[str, np.ndarray], more: dict[str, str]
) -> dict[str, np.ndarray]:
    """Arrays through a command that reads one .npz and writes another.

    Raises
    ------
    RuntimeError
        It failed; the message ends with what it said.
    """
    given, wanted = folder / "given.npz", folder / "wanted.npz"
    np.savez(given, **cells)
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    done = subprocess.run(
        [*command, str(given), str(wanted)],
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[-1]} failed: {done.stderr[-2000:]}")
    with np.load(wanted) as found:
        return dict(found)


def _pip(python: Path, *what: str) -> None:
    options = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([str(python), "-m", "pip", "install", *options, *what], check=True)


def _stale(folder: Path, wanted: bytes) -> bool:
    stamp = folder / ".made-of"
    return not stamp.is_file() or stamp.read_text() != hashlib.sha256(wanted).hexdigest()


def _made(folder: Path, of: bytes) -> None:
    (folder / ".made-of").write_text(hashlib.sha256(of).hexdigest())
