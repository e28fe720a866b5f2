"""The certificates that are trusted for network addresses: the system's, or those of a file."""

from __future__ import annotations

import os
import socket
import ssl

from voiceid.errors import ConfigError

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Debian, Red Hat, SUSE, Alpine and macOS (Go's crypto/x509/root_linux.go and root_bsd.go): the TLS
library in PyAV's wheel knows only one path, of Red Hat."""


def trusted_file(ca_file: str | None) -> str | None:
    """Return the file (PEM) of the certificates that are trusted: the one given, or the system's.

    None: the TLS library looks for the system's itself.  Raises `ConfigError`: the file that is
    given has no certificates.
    """
    if ca_file is None:
        places = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
        return next((place for place in places if place and os.path.isfile(place)), None)
    try:
        ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # SSLError too
        raise ConfigError(
            f"no certificate can be read from audio.ca_file {ca_file}: {error.strerror}",
            hint="Name a file with certificates in PEM: -----BEGIN CERTIFICATE-----.",
        ) from error
    return ca_file


def distrust(host: str, port: int, ca_file: str | None, timeout_s: float) -> str:
    """Return why the certificate that a server shows is not trusted; empty: that is not known.

    The server is asked again: FFmpeg only says that the address cannot be opened.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
        with (
            socket.create_connection((host, port), timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return ""
