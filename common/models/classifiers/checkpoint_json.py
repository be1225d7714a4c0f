"""A checkpoint's JSON files, checked."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.errors import InputError


def read_json(path: Path, kind: Any, mend: str = "copy it again") -> Any:
    """The file's content as a ``kind``: a type, or a pydantic model.

    Parameters
    ----------
    mend
        What to do where it cannot be, in words.

    Raises
    ------
    InputError
        It is missing, no JSON, or holds something else.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; {mend}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; {mend}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where or 'the file'}: {first['msg']}; {mend}") from error
