"""What the sandbox's App Store signs with: a root, an intermediate and a leaf of its own.

They are made once per sandbox file and have the marks by which Apple's library knows Apple's.
"""

import base64
import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from boxoffice_sandbox.store import Store

Json = dict[str, Any]
Key = ec.EllipticCurvePrivateKey

_SETTING = "app_store_chain"
_SIGNS_RECEIPTS = "1.2.840.113635.100.6.11.1"
_ISSUES_SIGNERS = "1.2.840.113635.100.6.2.1"
# The sandbox's clock may show any year, and what it signed is checked at that time.
_VALID_FROM = dt.datetime(2010, 1, 1, tzinfo=dt.UTC)
_VALID_UNTIL = dt.datetime(2110, 1, 1, tzinfo=dt.UTC)
_NULL = b"\x05\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One certificate of the chain and the key that belongs to it."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The chain, and what it signs."""

    root: Link
    intermediate: Link
    leaf: Link
    header: Json = field(init=False, repr=False)
    """What a JWS has in its header: made once, for it is most of the work of a signature."""

    def __post_init__(self) -> None:
        """Write the chain as the App Store does, the leaf first."""
        links = (self.leaf, self.intermediate, self.root)
        chain = [base64.b64encode(link.der).decode() for link in links]
        object.__setattr__(self, "header", {"typ": None, "x5c": chain})

    def sign(self, payload: Json) -> str:
        """Return a payload as a JWS with the chain in its header."""
        return jwt.encode(payload, self.leaf.key, algorithm="ES256", headers=self.header)

    def issued(self) -> list[tuple[Link, Link]]:
        """Return each certificate that can be asked after, with its issuer."""
        return [(self.leaf, self.intermediate), (self.intermediate, self.root)]


def load(store: Store, *, ocsp_url: str) -> Trust:
    """Return the file's chain, made on first use.

    The root stays for ever. The two below it name the address that answers for them, so where
    the sandbox listens elsewhere than before they are issued anew, with the keys they had.
    """
    text = store.setting(_SETTING)
    kept = None if text is None else json.loads(text)
    root = _make_root() if kept is None else _read(kept["root"])
    if kept is not None and kept["ocsp_url"] == ocsp_url:
        return Trust(root=root, intermediate=_read(kept["intermediate"]), leaf=_read(kept["leaf"]))
    keys = (
        (_new_key(), _new_key())
        if kept is None
        else (_read(kept["intermediate"]).key, _read(kept["leaf"]).key)
    )
    trust = _issue(root, *keys, ocsp_url=ocsp_url)
    written = {name: _written(getattr(trust, name)) for name in ("root", "intermediate", "leaf")}
    store.set_setting(_SETTING, json.dumps({"ocsp_url": ocsp_url, **written}))
    return trust


def new_private_key() -> str:
    """Make a key as App Store Connect hands them out: PKCS#8 in PEM."""
    return _pem(_new_key())


def read_private_key(pem: str) -> Key:
    """Read a key from PEM."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(type(key).__name__)
    return key


def _new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: Key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _written(link: Link) -> Json:
    certificate = link.certificate.public_bytes(Encoding.PEM).decode()
    return {"certificate": certificate, "key": _pem(link.key)}


def _read(written: Json) -> Link:
    certificate = x509.load_pem_x509_certificate(written["certificate"].encode())
    return Link(certificate=certificate, key=read_private_key(written["key"]))


def _make_root() -> Link:
    key = _new_key()
    builder = _builder("Boxoffice Sandbox Root CA", key=key, issuer=None, authority=True)
    return Link(certificate=builder.sign(key, hashes.SHA256()), key=key)


def _issue(root: Link, intermediate_key: Key, leaf_key: Key, *, ocsp_url: str) -> Trust:
    intermediate = _signed(
        _builder(
            "Boxoffice Sandbox Worldwide Developer Relations",
            key=intermediate_key,
            issuer=root,
            authority=True,
        ),
        key=intermediate_key,
        issuer=root,
        mark=_ISSUES_SIGNERS,
        ocsp_url=ocsp_url,
    )
    leaf = _signed(
        _builder("Boxoffice Sandbox App Store", key=leaf_key, issuer=intermediate, authority=False),
        key=leaf_key,
        issuer=intermediate,
        mark=_SIGNS_RECEIPTS,
        ocsp_url=ocsp_url,
    )
    return Trust(root=root, intermediate=intermediate, leaf=leaf)


def _builder(
    name: str, *, key: Key, issuer: Link | None, authority: bool
) -> x509.CertificateBuilder:
    """Start a certificate with everything that X.509 in its strict reading wants."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Boxoffice"),
        ]
    )
    issuer_key = (key if issuer is None else issuer.key).public_key()
    path_length = None if issuer is None or not authority else 0
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    builder: x509.CertificateBuilder, *, key: Key, issuer: Link, mark: str, ocsp_url: str
) -> Link:
    answers = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url)
    )
    marked = x509.UnrecognizedExtension(x509.ObjectIdentifier(mark), _NULL)
    complete = builder.add_extension(
        x509.AuthorityInformationAccess([answers]), critical=False
    ).add_extension(marked, critical=False)
    return Link(certificate=complete.sign(issuer.key, hashes.SHA256()), key=key)
