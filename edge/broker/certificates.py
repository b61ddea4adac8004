"""Keys and certificates (X.509, RFC 5280), as both sides of a pairing need them; PEM is bytes everywhere.

``cryptography`` is imported where it is used: a kit without certificates never pays for it.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.state import durable

PRIVATE = 0o600
NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""


class CertificateError(ValueError):
    """Not what it should be; one line says what."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is told about one."""

    name: str
    """Its subject's common name; the broker takes it as the user's name."""
    serial: str
    """Hexadecimal."""
    until: datetime
    """UTC; not valid any more from here on."""
    hosts: tuple[str, ...] = ()
    """Names and addresses that a server may have."""
    fingerprint: bytes = b""
    """SHA-256 of the DER form, 32 bytes."""


def make_key() -> bytes:
    """A private key on the curve P-256: small, and known to every TLS library of the last fifteen years."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    made: bytes = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made


def make_request(key: bytes) -> bytes:
    """A signing request (PKCS #10) without a name: who signs it decides on that."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415

    loaded: Any = serialization.load_pem_private_key(key, None)
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(loaded, hashes.SHA256())
    )
    made: bytes = request.public_bytes(serialization.Encoding.PEM)
    return made


def read(pem: bytes) -> Certificate:
    """The first certificate of *pem*.

    Raises:
        CertificateError: there is none.
    """
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    try:
        loaded = x509.load_pem_x509_certificate(pem)
        names = loaded.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        der = loaded.public_bytes(Encoding.DER)
        hosts = _hosts(loaded)
    except ValueError as error:
        raise CertificateError("not a certificate in PEM form") from error
    return Certificate(
        str(names[0].value) if names else "",
        f"{loaded.serial_number:x}",
        _utc(loaded, "not_valid_after"),
        hosts,
        hashlib.sha256(der).digest(),
    )


def belong_together(certificate: bytes, key: bytes) -> bool:
    """Whether the certificate is of this key."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        ours = serialization.load_pem_private_key(key, None).public_key()
        return bool(x509.load_pem_x509_certificate(certificate).public_key() == ours)
    except (ValueError, TypeError):
        return False


def is_signed_by(certificate: bytes, authority: bytes) -> bool:
    """Whether *authority* made *certificate*; no date plays a part."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    try:
        made, maker = (x509.load_pem_x509_certificate(one) for one in (certificate, authority))
        made.verify_directly_issued_by(maker)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def first(pem: bytes) -> bytes:
    """Only the first certificate of *pem*, written anew: whatever else stood there is left behind."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    loaded: bytes = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.PEM)
    return loaded


def same_key(one: bytes, other: bytes) -> bool:
    """Whether two signing requests are of one key."""
    from cryptography import x509  # noqa: PLC0415

    try:
        keys = [x509.load_pem_x509_csr(request).public_key() for request in (one, other)]
    except (ValueError, TypeError):
        return False
    return bool(keys[0] == keys[1])


def write_private(path: Path, data: bytes) -> None:
    """Put *data* in place in one piece; nobody but the owner reads it at any moment.

    Raises:
        OSError: the disk refuses.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    durable.sync_folder(path.parent)


def exposed(path: Path) -> str:
    """Why a private key's file is open to too many, or nothing.

    Its group may read it (a service's own group, as in Debian); everybody may not.

    Raises:
        OSError: it is not there.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"every user may read it (mode {mode:04o}): chmod 600 {path}" if mode & 0o007 else ""


def check_client(cert_file: str, key_file: str) -> None:
    """See that a client could present these.

    Raises:
        CertificateError: names the setting, ``mqtt.cert_file`` or ``mqtt.key_file``.
    """
    if not cert_file:
        return
    try:
        Path(cert_file).read_bytes()
    except OSError as error:
        raise CertificateError(f"mqtt.cert_file: {cert_file}: {error.strerror}") from error
    try:
        if open_to := exposed(Path(key_file)):
            raise CertificateError(f"mqtt.key_file: {open_to}")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        reason = "not its key" if "MISMATCH" in (error.reason or "") else "not a certificate and its bare key"
        raise CertificateError(f"mqtt.cert_file, mqtt.key_file: {reason}") from error
    except OSError as error:
        raise CertificateError(f"mqtt.key_file: {key_file}: {error.strerror}") from error


class NamedContext(ssl.SSLContext):
    """Asks a server for this name, whatever address it was reached by."""

    server_name = ""

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """As ever, but under that name."""
        return super().wrap_socket(*arguments, **{**named, "server_hostname": self.server_name})


def client_context(ca_file: str, cert_file: str, key_file: str, *, name: str = "") -> ssl.SSLContext:
    """How a client shakes hands with a broker, in no other way than the MQTT library would by itself.

    Raises:
        OSError: a file cannot be read, or is not what it should be; ssl.SSLError among them.
    """
    context = NamedContext(ssl.PROTOCOL_TLS_CLIENT) if name else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(context, NamedContext):
        context.server_name = name
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.load_default_certs()
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    return context


def _hosts(certificate: Any) -> tuple[str, ...]:
    from cryptography import x509  # noqa: PLC0415

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(one.value) for one in found)


def _utc(certificate: Any, field: str) -> datetime:
    """Dates carry their zone since cryptography 42, under another name."""
    found: datetime = getattr(certificate, f"{field}_utc")
    return found.astimezone(timezone.utc)
