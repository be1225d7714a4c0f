"""At the site: a model's values that no training changes, on disk under their hash."""

import tempfile
from pathlib import Path

from client.site import Site
from common.errors import InputError
from common.fixed_values import Values, digest_of_values

SUFFIX = "-fixed.safetensors"


def keep(site: Site, values: Values) -> str:
    """Keep them in place of any others; returns their hash."""
    from safetensors.numpy import save_file

    digest = digest_of_values(values)
    path = _path(site, digest)
    if path.is_file() and _read(path, digest) is not None:
        return digest
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as partial:
        save_file(values, Path(partial) / path.name)
        (Path(partial) / path.name).replace(path)
    for other in path.parent.glob(f"*{SUFFIX}"):
        if other != path:
            other.unlink(missing_ok=True)
    return digest


def kept(site: Site, digest: str) -> Values:
    """What :func:`keep` kept; nothing for "".

    Raises
    ------
    InputError
        They are not there, or are not what they were.
    """
    if not digest:
        return {}
    path = _path(site, digest)
    values = _read(path, digest) if path.is_file() else None
    if values is None:
        # A hash of what the coordinator sent: nothing of the site's data.
        told = (
            f"the model's fixed values {digest[:12]} are not in the site's cache as they came: "
            "keep cache-dir until the run ends, and go on with --resume, which sends them again"
        )
        raise InputError(f"{path}: {told}", public=told)
    return values


def _read(path: Path, digest: str) -> Values | None:
    """The values of a file, if it is whole."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        values = load_file(path)
    except (SafetensorError, OSError):
        return None
    return values if digest_of_values(values) == digest else None


def _path(site: Site, digest: str) -> Path:
    return site.cache_dir / f"{digest[:32]}{SUFFIX}"
