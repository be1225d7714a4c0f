"""Whether a coordinator's TLS files will do, before a SuperLink serves them."""

import contextlib
import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.extensions import ExtensionNotFound

from common.errors import ConfigError


def check_served_certificate(folder: Path) -> tuple[list[str], datetime]:
    """Check ``ca.crt``, ``server.crt`` and ``server.key`` by a handshake in memory.

    Returns
    -------
    names, until
        The host names and addresses that the certificate is for, and when it expires.

    Raises
    ------
    ConfigError
        A file is missing, the key is another one's, the authority did not sign the certificate, or
        it has expired.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(folder / "server.crt", folder / "server.key")
        client = ssl.create_default_context(cafile=folder / "ca.crt")
        certificate = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            reason = "server.key is not the key of server.crt"
        else:
            reason = f"server.crt, server.key or ca.crt is damaged ({error.reason or error})"
        raise ConfigError(f"{folder}: {reason}; put the three files of one `certs` there") from None
    except (OSError, ValueError) as error:
        text = f"{folder} has no usable server.crt, server.key and ca.crt: {error}"
        raise ConfigError(text) from None
    client.check_hostname = False
    try:
        _shake_hands(client, server)
    except ssl.SSLCertVerificationError as error:
        raise ConfigError(
            f"{folder / 'server.crt'} does not hold by ca.crt: {error.verify_message}; move "
            "server.crt and server.key away and make new ones with `syncytium certs`"
        ) from None
    return _names(certificate), certificate.not_valid_after_utc


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except ExtensionNotFound:
        return []
    return [str(name.value) for name in alternatives.value]
