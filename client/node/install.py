"""The app that a run brings, unpacked once and known by its whole hash.

Flower unpacks and checks it for every message (0.2 to 0.7 s), takes the first 8 hex digits of the
hash for its name, and takes a folder of that name as it is, also if a process was killed while it
wrote it.
"""

import contextlib
import hashlib
import shutil
import tempfile
from pathlib import Path

from flwr.cli.install import install_from_fab
from flwr.common.constant import APP_DIR, FAB_HASH_TRUNCATION
from flwr.supercore.utils import get_flwr_home

# In an installed app's folder: the SHA-256 of the bundle that it is from.
MARK = ".sha256"


def install_once(
    fab_file: bytes, install_dir: Path | None = None, skip_prompt: bool = True
) -> Path:
    """Flower's ``install_from_fab`` for a bundle that may be there already.

    Parameters
    ----------
    fab_file
        Content of the bundle.
    install_dir
        In place of FLWR_HOME.

    Returns
    -------
    path
        The app's folder, whole and of these bytes.

    Raises
    ------
    click.ClickException
        The bundle is not valid.
    """
    home = (install_dir or get_flwr_home()).expanduser()
    apps, digest = home / APP_DIR, hashlib.sha256(fab_file).hexdigest()
    for path in apps.glob(f"*.{digest[:FAB_HASH_TRUNCATION]}"):
        if _is(path, digest):
            return path
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".installing-") as folder:
        made = install_from_fab(fab_file, Path(folder), skip_prompt=True)
        (made / MARK).write_text(digest)
        path = apps / made.name
        apps.mkdir(exist_ok=True)
        if path.exists() and not _is(path, digest):
            # Another bundle of the same short name, or half of one.
            shutil.rmtree(path)
        try:
            made.rename(path)
        except OSError:
            # Another node of this machine was faster.
            if not _is(path, digest):
                raise
    return path


def _is(path: Path, digest: str) -> bool:
    with contextlib.suppress(OSError):
        return (path / MARK).read_text() == digest
    return False
