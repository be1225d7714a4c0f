"""A site's long-term key on its disk: an Ed25519 private key in PEM (PKCS 8), only its owner's."""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from common.errors import ConfigError
from common.secure.signing import SigningKey


def write_site_key(path: Path) -> SigningKey:
    """Make a key and write it to a new file that only its owner may read.

    Raises
    ------
    ConfigError
        The file exists or cannot be written.
    """
    key = SigningKey.fresh()
    private = Ed25519PrivateKey.from_private_bytes(key.private)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"{path} exists: a new key would lock the site out of every roster that has the old one"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return key


def read_site_key(path: str) -> SigningKey:
    """The key in a file.

    Raises
    ------
    ConfigError
        It is absent, readable by others than its owner, or not such a key.
    """
    file = Path(path).expanduser()
    try:
        others = stat.S_IMODE(file.stat().st_mode) & 0o077
        pem = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"site-key = {path!r} cannot be read: {error.strerror}") from None
    if others:
        raise ConfigError(f"site-key {file} can be read by others: chmod 600 {file}")
    try:
        key = load_pem_private_key(pem, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"site-key {file} is not a key as `syncytium keys` makes them")
    return SigningKey(key.private_bytes_raw())
