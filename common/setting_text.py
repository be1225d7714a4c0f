"""A setting as it is written on a command line."""

import tomllib
from typing import Any

from common.config import RunConfig


def setting_value(key: str, text: str) -> Any:
    """What ``text`` is in TOML; itself where that is nothing, or the setting takes text."""
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
    takes_text = isinstance(RunConfig().flat().get(key), str)
    return text if takes_text and not isinstance(value, str) else value
