"""What a site checks before its node connects: its own files, and the coordinator's certificate.

Flower's SuperNode would say it later, in the middle of a run, or try again for ever without a word.
"""

import contextlib
import os
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common.carbon_file import read_carbon_hours
from common.errors import ConfigError, InputError
from common.node_config import NodeConfig
from common.policy import SitePolicy
from common.site_key import read_site_key

HANDSHAKE_SECONDS = 10.0


def check_site(node_config: dict[str, Any]) -> None:
    """See that the node config, and every file that it names, can be used.

    Raises
    ------
    ConfigError
        It names what is wrong.
    """
    node = NodeConfig.parse(node_config, where="node config")
    data = Path(node.data_path).expanduser()
    if not data.is_file():
        raise ConfigError(f"data-path = {node.data_path}: there is no such file; is it mounted?")
    policy = SitePolicy.read(node.policy)
    if node.site_key:
        read_site_key(node.site_key)
    elif policy.roster:
        raise ConfigError("the policy pins a roster: name this site's own key as site-key")
    folders = {"output-dir": node.output_dir, "cache-dir": node.cache_dir}
    for key, folder in {**folders, "state-dir": policy.state_dir}.items():
        if folder:
            _writable(key, Path(folder).expanduser())
    if why := node.why_no_emissions:
        print(f"{why}. Until then the site's energy is told without emissions.", file=sys.stderr)
    if node.carbon_file:
        try:
            read_carbon_hours(node.carbon_file).require_now(time.time())
        except InputError as error:
            # No reason to keep a site out of a run, and its hours may come later.
            print(f"{error}. Until then the site works without them.", file=sys.stderr)


def _writable(key: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{key} = {folder} cannot be written: {error.strerror}; user {os.getuid()} needs it"
        ) from None


def check_coordinator(address: str, root_certificates: Path | None) -> bool:
    """See that the coordinator's certificate is the right one; that it is not there is no fault.

    Parameters
    ----------
    address
        ``HOST:PORT`` of its Fleet API.
    root_certificates
        The authority's certificate, or None without TLS.

    Returns
    -------
    Whether it was there.

    Raises
    ------
    ConfigError
        The certificate does not hold, or only one end speaks TLS.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not (host and port.isdigit()):
        raise ConfigError(f"--superlink {address}: write it as HOST:PORT, as coordinator.org:9092")
    try:
        connection = socket.create_connection((host, int(port)), HANDSHAKE_SECONDS)
    except OSError:
        return False
    with connection:
        if root_certificates is None:
            if _speaks_tls(connection):
                raise ConfigError(
                    f"{address} speaks TLS: give --root-certificates ca.crt in place of --insecure"
                )
            return True
        try:
            context = ssl.create_default_context(cafile=str(root_certificates))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"--root-certificates {root_certificates} cannot be read: {error}; it is the "
                "ca.crt that the coordinator sent"
            ) from None
        context.set_alpn_protocols(["h2"])
        try:
            context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            raise ConfigError(
                f"the certificate of {address} does not hold: {error.verify_message}; "
                f"{_mend(error.verify_message)}"
            ) from None
        except ssl.SSLError as error:
            raise ConfigError(f"{address} does not speak TLS as it should: {error}") from None
        except OSError:
            return False
    return True


def _mend(message: str) -> str:
    if "expired" in message or "not yet valid" in message:
        return "the coordinator makes a new one with `syncytium certs`, or a clock here is wrong"
    if "match" in message:
        return "the coordinator makes one for this name with `syncytium certs NAME...`"
    return "--root-certificates is another federation's ca.crt: ask the coordinator for theirs"


def _speaks_tls(connection: socket.socket) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    connection.settimeout(2.0)
    with contextlib.suppress(OSError), context.wrap_socket(connection):
        return True
    return False
