"""TLS for a federation: a certificate authority of its own, and the coordinator's certificate.

Flower's SuperLink takes ``ca.crt``, ``server.crt`` and ``server.key``; every site needs ``ca.crt``
alone. ECDSA P-256 keys, X.509 v3 (RFC 5280).
"""

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as Key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.errors import ConfigError

CA_DAYS, SERVER_DAYS = 3650, 825
CLOCK_SKEW = timedelta(minutes=5)
CA_FILES = ("ca.key", "ca.crt")
SERVER_FILES = ("server.key", "server.crt")


def make_authority(folder: Path, days: int = CA_DAYS) -> None:
    """Write ``ca.key`` and ``ca.crt``.

    Raises
    ------
    ConfigError
        They exist, or the folder cannot be written.
    """
    key = generate_private_key(SECP256R1())
    name = _name("Syncytium federation")
    certificate = (
        _builder(name, name, key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, SHA256())
    )
    _write(folder, {"ca.key": _private(key), "ca.crt": certificate.public_bytes(Encoding.PEM)})


def make_server_certificate(folder: Path, names: Sequence[str], days: int = SERVER_DAYS) -> None:
    """Write ``server.key`` and ``server.crt`` for these names, signed by the authority there.

    Parameters
    ----------
    folder
        Holds ``ca.key`` and ``ca.crt``.
    names
        Host names and IP addresses by which sites reach the coordinator.
    days
        How long it is valid.

    Raises
    ------
    ConfigError
        There is no authority, the files exist, or a name is not one.
    """
    try:
        authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        signer = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} has no usable ca.key and ca.crt: {error}") from None
    key = generate_private_key(SECP256R1())
    alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
    certificate = (
        _builder(_name(names[0]), authority.subject, key, days)
        .add_extension(alternatives, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signer, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    _write(folder, {"server.key": _private(key), "server.crt": pem})


def make_node_key(path: Path) -> None:
    """Write a SuperNode's key: the private half at ``path``, the public one at ``path``.pub.

    Raises
    ------
    ConfigError
        They exist, or cannot be written.
    """
    key = generate_private_key(SECP384R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"
    _write(path.parent, {path.name: private, f"{path.name}.pub": public})


def expiry(path: Path) -> datetime:
    """Until when a certificate is valid."""
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    if not name or "://" in name or ":" in name or "/" in name or not name.isascii():
        raise ConfigError(
            f"{name!r} is not a host name or an IP address: give coordinator.example.org, without "
            "a port"
        )
    return x509.DNSName(name)


def _private(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """All of them or none; private ones for their owner alone, none over an older file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [name for name in files if (folder / name).exists()]
        if there:
            raise ConfigError(
                f"{folder} has {', '.join(there)} already: move them away first, and every site "
                "that trusts them must be told"
            )
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            for name, content in files.items():
                # Flower and people read the public ones.
                mode = 0o644 if name.endswith((".crt", ".pub")) else 0o600
                path = Path(partial) / name
                with os.fdopen(
                    os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"
                ) as f:
                    f.write(content)
                path.chmod(mode)
            for name in files:
                os.link(Path(partial) / name, folder / name)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from None
