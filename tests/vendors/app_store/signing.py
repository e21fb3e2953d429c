"""An Apple of the tests' own: a root, an intermediate and a leaf, and what they sign."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

LEAF_OID = x509.ObjectIdentifier("1.2.840.113635.100.6.11.1")
INTERMEDIATE_OID = x509.ObjectIdentifier("1.2.840.113635.100.6.2.1")
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2044, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """A key and the certificate that speaks for it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate as bytes."""
        return self.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True, kw_only=True)
class Apple:
    """Three certificates, each signed by the one before it."""

    root: Issuer
    intermediate: Issuer
    leaf: Issuer
    revoked: set[int] = field(default_factory=set)

    @property
    def chain(self) -> list[str]:
        """The certificates as a JWS names them: the leaf first."""
        each = (self.leaf, self.intermediate, self.root)
        return [base64.b64encode(one.der).decode() for one in each]

    def sign(
        self,
        payload: Mapping[str, Any],
        *,
        chain: Sequence[str] | None = None,
        algorithm: str = "ES256",
    ) -> str:
        """Sign a payload as the App Store does (RFC 7515, with x5c)."""
        key = "" if algorithm == "none" else self.leaf.key
        headers = {"x5c": list(self.chain if chain is None else chain)}
        return jwt.encode(dict(payload), key, algorithm=algorithm, headers=headers)

    def answer(self, request: bytes) -> bytes:
        """Answer a responder's request about one of the certificates (RFC 6960)."""
        asked = ocsp.load_der_ocsp_request(request)
        subjects = {
            self.leaf.certificate.serial_number: (self.leaf, self.intermediate),
            self.intermediate.certificate.serial_number: (self.intermediate, self.root),
        }
        subject, issuer = subjects[asked.serial_number]
        is_revoked = asked.serial_number in self.revoked
        now = datetime.now(UTC)
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=subject.certificate,
                issuer=issuer.certificate,
                algorithm=SHA256(),
                cert_status=ocsp.OCSPCertStatus.REVOKED if is_revoked else ocsp.OCSPCertStatus.GOOD,
                this_update=now - timedelta(minutes=1),
                next_update=now + timedelta(hours=1),
                revocation_time=now if is_revoked else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
            .sign(issuer.key, SHA256())
        )
        return response.public_bytes(Encoding.DER)


def make_apple(
    *, responder: str = "http://127.0.0.1:9/ocsp", leaf_end: datetime = END, leaf_mark: bool = True
) -> Apple:
    """Make an Apple whose certificates name this responder."""
    root = _issue("Root", None, responder=responder)
    intermediate = _issue("Intermediate", root, responder=responder, mark=INTERMEDIATE_OID)
    leaf = _issue(
        "Leaf",
        intermediate,
        responder=responder,
        mark=LEAF_OID if leaf_mark else None,
        is_leaf=True,
        end=leaf_end,
    )
    return Apple(root=root, intermediate=intermediate, leaf=leaf)


@cache
def the_apple() -> Apple:
    """The Apple that most tests share; its responder is never there."""
    return make_apple()


def _issue(
    name: str,
    issuer: Issuer | None,
    *,
    responder: str,
    mark: x509.ObjectIdentifier | None = None,
    is_leaf: bool = False,
    end: datetime = END,
) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Tests {name}")])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=not is_leaf, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .add_extension(_usage(is_leaf=is_leaf), critical=True)
    )
    if issuer is not None:
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    if mark is not None:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(mark, b"\x05\x00"), critical=False
        )
    return Issuer(key=key, certificate=builder.sign(signer, SHA256()))


def _usage(*, is_leaf: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=is_leaf,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not is_leaf,
        crl_sign=not is_leaf,
        encipher_only=False,
        decipher_only=False,
    )
