"""Results kept on disk under a digest of all that decides them: a stopped benchmark goes on.

They lie in ``bench/.kept``, which git ignores: remove it to measure everything anew.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
KEPT = Path(__file__).parent / ".kept"


def digest(what: Any) -> str:
    """A hash of plain values."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def code_digest(patterns: Iterable[str]) -> str:
    """A hash of the source files that match patterns from the repository's root.

    Raises
    ------
    FileNotFoundError
        A pattern matches nothing: the file that it named was moved.
    """
    hashed = hashlib.sha256()
    for pattern in patterns:
        paths = sorted(ROOT.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"bench: no source file is {pattern}")
        for path in paths:
            hashed.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return hashed.hexdigest()[:32]


def kept_arrays(
    key: str, make: Callable[[], tuple[dict[str, np.ndarray], dict[str, Any]]]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and plain values about them, made where they are not kept yet."""
    path = KEPT / f"{key}.npz"
    if not path.exists():
        arrays, about = make()
        named = {f"array:{name}": x for name, x in arrays.items()}
        _write(path, lambda part: np.savez(part, about=json.dumps(about), **named))
    with np.load(path) as found:
        arrays = {n.removeprefix("array:"): found[n] for n in found.files if n != "about"}
        return arrays, json.loads(str(found["about"]))


def kept_values(key: str, make: Callable[[], Any]) -> Any:
    """Plain values, made where they are not kept yet."""
    path = KEPT / f"{key}.json"
    if not path.exists():
        values = json.dumps(make(), allow_nan=False)
        _write(path, lambda part: part.write_text(values))
    return json.loads(path.read_text())


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    # Of its own for each process; its ending is the one that numpy would add.
    part = path.with_name(f".{os.getpid()}-{path.name}")
    write(part)
    part.replace(path)
