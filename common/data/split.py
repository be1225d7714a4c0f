"""One .h5ad into one per site, by a column of obs."""

import re
import tempfile
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from common.data.h5ad import H5ad
from common.data.obs import column
from common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 200


def split_file(path: str | Path, by: str, out_dir: str | Path) -> list[Path]:
    """Write one .h5ad per value of ``obs[by]``, with all that the file has of those cells.

    Parameters
    ----------
    by
        Column of obs; its values name the files.
    out_dir
        Made if it does not exist. Nothing there is overwritten.

    Returns
    -------
    paths
        The files, in the order of the sorted values. Either all of them are written or none.

    Raises
    ------
    InputError
        The column is missing, a cell has no value in it, two values make the same file name, or a
        file is already there.
    """
    import anndata

    source = H5ad.open(path)
    values = column(source.obs, by, setting="--by")
    missing = int(values.isna().sum())
    if missing:
        raise InputError(
            f"{missing:,} of {len(values):,} cell(s) have no value in obs[{by!r}]: fill it in, "
            "drop these cells, or split by another column."
        )
    values = values.astype(str).to_numpy()
    out_dir = Path(out_dir).expanduser()
    targets = {
        value: out_dir / f"{name}.h5ad" for value, name in _names(sorted(set(values)), by).items()
    }
    present = [str(target) for target in targets.values() if target.exists()]
    if present:
        raise InputError(
            f"{len(present)} of {len(targets)} files exist already ({', '.join(present[:3])}): "
            "remove them or choose another folder."
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    data = anndata.read_h5ad(source.path)
    # In the target folder, so that each file moves into place in one step.
    with tempfile.TemporaryDirectory(prefix=".split-", dir=out_dir) as scratch:
        for value, target in targets.items():
            data[values == value].copy().write_h5ad(Path(scratch, target.name), compression="gzip")
        _publish(Path(scratch), list(targets.values()))
    return list(targets.values())


def safe_name(value: str) -> str:
    """A value as a file name: ASCII letters, digits, dot, dash and underscore.

    Raises
    ------
    InputError
        Nothing is left of it, or it is too long.
    """
    ascii_only = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_only).strip("._-")
    if not name:
        raise InputError(f"{value!r} cannot name a file: rename it with letters or digits.")
    if len(name) > _LONGEST:
        raise InputError(
            f"{value[:40]!r}... is too long to name a file ({len(name)} characters, at most "
            f"{_LONGEST}): shorten it."
        )
    return name


def _names(values: "Sequence[str]", by: str) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for value in values:
        names[value] = safe_name(value)
        # macOS and Windows hold names that differ in case only for the same.
        other = taken.setdefault(names[value].casefold(), value)
        if other != value:
            raise InputError(
                f"obs[{by!r}] holds {other!r} and {value!r}, which both make the file name "
                f"{names[value]!r}.h5ad: rename one of them."
            )
    return names


def _publish(scratch: Path, targets: list[Path]) -> None:
    done: list[Path] = []
    try:
        for target in targets:
            if target.exists():
                raise InputError(f"{target} appeared while splitting: choose another folder.")
            (scratch / target.name).replace(target)
            done.append(target)
    except BaseException:
        for target in done:
            target.unlink()
        raise
