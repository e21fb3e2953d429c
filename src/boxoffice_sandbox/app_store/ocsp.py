"""Answers whether the sandbox's certificates still hold (RFC 6960): each issuer for its own."""

import datetime as dt
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from boxoffice_sandbox.app_store.trust import Link, Trust

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_HOLDS_FOR = dt.timedelta(hours=1)


def answer(trust: Trust, request: bytes, *, now: dt.datetime) -> bytes:
    """Answer a DER request with a DER response; `now` is real time, as whoever asks has it."""
    try:
        asked = ocsp.load_der_ocsp_request(request)
    except ValueError:
        return _refused(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    if asked.hash_algorithm.name not in _HASHES:
        return _refused(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    for link, issuer in trust.issued():
        if _is_issued_by(asked, link, issuer):
            known = link.certificate.serial_number == asked.serial_number
            return _answered(asked, issuer, known=known, now=now)
    return _refused(ocsp.OCSPResponseStatus.UNAUTHORIZED)


def _is_issued_by(asked: ocsp.OCSPRequest, link: Link, issuer: Link) -> bool:
    """Tell whether a request is about an issuer's certificates, by the digest it chose."""
    algorithm = _HASHES[asked.hash_algorithm.name]()
    builder = ocsp.OCSPRequestBuilder()
    same = builder.add_certificate(link.certificate, issuer.certificate, algorithm).build()
    return (same.issuer_key_hash, same.issuer_name_hash) == (
        asked.issuer_key_hash,
        asked.issuer_name_hash,
    )


def _answered(asked: ocsp.OCSPRequest, issuer: Link, *, known: bool, now: dt.datetime) -> bytes:
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=asked.issuer_name_hash,
        issuer_key_hash=asked.issuer_key_hash,
        serial_number=asked.serial_number,
        algorithm=_HASHES[asked.hash_algorithm.name](),
        cert_status=ocsp.OCSPCertStatus.GOOD if known else ocsp.OCSPCertStatus.UNKNOWN,
        this_update=now,
        next_update=now + _HOLDS_FOR,
        revocation_time=None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
    for extension in asked.extensions:
        # A nonce is sent back, so that whoever asked knows the answer is fresh.
        if isinstance(extension.value, x509.OCSPNonce):
            builder = builder.add_extension(extension.value, critical=False)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def _refused(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
