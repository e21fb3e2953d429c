"""The receipt of an app as old versions of it have one: ASN.1 in a PKCS#7 envelope.

Only what leads to a transaction is in it. Nobody has to verify it: its one use is to find the
transaction and then ask the App Store.
"""

import base64

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_PLAIN_DATA = "1.2.840.113549.1.7.1"
_SHA256 = "2.16.840.1.101.3.4.2.1"
# The numbers of a receipt's fields.
_BUNDLE_ID, _IN_APP = 2, 17
_QUANTITY, _PRODUCT_ID, _TRANSACTION_ID, _ORIGINAL_TRANSACTION_ID = 1701, 1702, 1703, 1705

_INTEGER, _OCTETS, _OID, _UTF8 = 0x02, 0x04, 0x06, 0x0C
_SEQUENCE, _SET, _CONTEXT = 0x30, 0x31, 0xA0
_SHORT = 0x80


def receipt(
    *, bundle_id: str, product_id: str, transaction_id: str, original_transaction_id: str
) -> str:
    """Return a receipt with one purchase in it, in base64."""
    purchase = _tlv(
        _SET,
        _field(_QUANTITY, _integer(1))
        + _field(_PRODUCT_ID, _text(product_id))
        + _field(_TRANSACTION_ID, _text(transaction_id))
        + _field(_ORIGINAL_TRANSACTION_ID, _text(original_transaction_id)),
    )
    content = _tlv(_SET, _field(_BUNDLE_ID, _text(bundle_id)) + _field(_IN_APP, purchase))
    return base64.b64encode(_envelope(content)).decode()


def _envelope(content: bytes) -> bytes:
    inner = _oid(_PLAIN_DATA) + _tlv(_CONTEXT, _tlv(_OCTETS, content))
    signed = _tlv(
        _SEQUENCE,
        _integer(1)
        + _tlv(_SET, _tlv(_SEQUENCE, _oid(_SHA256)))
        + _tlv(_SEQUENCE, inner)
        + _tlv(_SET, b""),
    )
    return _tlv(_SEQUENCE, _oid(_SIGNED_DATA) + _tlv(_CONTEXT, signed))


def _field(number: int, value: bytes) -> bytes:
    """Return an attribute: its number, the version, and the value wrapped once more."""
    return _tlv(_SEQUENCE, _integer(number) + _integer(1) + _tlv(_OCTETS, value))


def _text(text: str) -> bytes:
    return _tlv(_UTF8, text.encode())


def _integer(number: int) -> bytes:
    return _tlv(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    return _tlv(_OID, b"".join(_base128(number) for number in (first * 40 + second, *rest)))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.insert(0, number & 0x7F | 0x80)
    return bytes(digits)


def _tlv(tag: int, value: bytes) -> bytes:
    """Return a value with its tag and length before it (DER)."""
    size = len(value)
    if size < _SHORT:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _SHORT | len(length)]) + length + value
