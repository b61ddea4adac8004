"""A site's certificate authority: signs the broker and its clients, and says who is no longer one.

Everything is valid from 1970 on. A kit has no clock battery and may wake up decades in the past, in a school
without a time server for good; and a key that did not exist then cannot have been stolen then. Time is passed
in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.broker.certificates import CertificateError, make_key

BEGIN = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAY = timedelta(days=1)
AUTHORITY = 20 * 365 * DAY
"""As long as nobody wants to visit every kit with a new one."""
BROKER = 730 * DAY
"""`suasana site renew` makes another in time, without anybody noticing."""
CLIENT = 1825 * DAY
"""A kit's life. A lost one is revoked, not waited for."""
SHORTEST_RSA = 2048

Purpose = Literal["server", "client"]


@dataclass(frozen=True, slots=True)
class Authority:
    """Key and certificate of who signs."""

    key: bytes
    certificate: bytes

    @classmethod
    def found(cls, name: str, now: datetime) -> Authority:
        """A new one for the site *name*."""
        pem = make_key()
        key: Any = serialization.load_pem_private_key(pem, None)
        subject = _named(f"{name} (Suasana)")
        made = (
            _draft(subject, subject, key.public_key(), now + AUTHORITY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(pem, made.public_bytes(serialization.Encoding.PEM))

    def sign_broker(
        self, key: bytes, hosts: Sequence[str], now: datetime, *, lasts: timedelta = BROKER
    ) -> bytes:
        """A server's certificate for these names and addresses."""
        loaded: Any = serialization.load_pem_private_key(key, None)
        names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
        return self._sign(hosts[0], loaded.public_key(), "server", now + lasts, names)

    def sign_client(self, name: str, request: bytes, now: datetime, *, lasts: timedelta = CLIENT) -> bytes:
        """A client's certificate. Of the request only the key counts, never what it calls itself.

        Raises:
            CertificateError: not a request, or its key is too weak or not its sender's.
        """
        try:
            asked = x509.load_pem_x509_csr(request)
            key = asked.public_key()
            its_own = asked.is_signature_valid
        except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
            raise CertificateError("not a certificate signing request") from error
        if not its_own:
            raise CertificateError("whoever sent the request does not have its key")
        if not _is_strong(key):
            raise CertificateError(
                "the request's key has to be on P-256 or better, Ed25519, or RSA of 2048 bits"
            )
        return self._sign(name, key, "client", now + lasts)

    def revoke(self, serials: Iterable[str], now: datetime) -> bytes:
        """The list of certificates that count no more (CRL); it never runs out before the authority does."""
        own = x509.load_pem_x509_certificate(self.certificate)
        signer: Any = serialization.load_pem_private_key(self.key, None)
        draft = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(own.subject)
            .last_update(BEGIN)
            .next_update(own.not_valid_after_utc)
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
        )
        for serial in serials:
            one = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(now).build()
            draft = draft.add_revoked_certificate(one)
        made: bytes = draft.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return made

    def _sign(
        self, name: str, key: Any, purpose: Purpose, until: datetime, *extensions: x509.ExtensionType
    ) -> bytes:
        own = x509.load_pem_x509_certificate(self.certificate)
        signer: Any = serialization.load_pem_private_key(self.key, None)
        until = min(until, own.not_valid_after_utc)
        use = ExtendedKeyUsageOID.SERVER_AUTH if purpose == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
        draft = (
            _draft(_named(name), own.subject, key, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            # A kit's certificate must never pass for the broker's.
            .add_extension(x509.ExtendedKeyUsage([use]), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )
        for extension in extensions:
            draft = draft.add_extension(extension, critical=False)
        made: bytes = draft.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return made


def _draft(subject: x509.Name, issuer: x509.Name, key: Any, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(until)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_strong(key: object) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return bool(key.key_size >= SHORTEST_RSA)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return bool(key.curve.key_size >= 256)
    return isinstance(key, ed25519.Ed25519PublicKey)
