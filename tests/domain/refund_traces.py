"""Traces: what is taken away and given back."""

from tests.support.trace import Trace

OFF = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"
DOWN = "DID_CHANGE_RENEWAL_PREF/DOWNGRADE"
UP = "DID_CHANGE_RENEWAL_PREF/UPGRADE"
BUY = "SUBSCRIBED/INITIAL_BUY w1:A:0101-0201"
BOUGHT = "0101 A started exp=0201"

TRACES = (
    Trace(
        id="refund of an older period changes nothing",
        told=(
            f"0101 {BUY}",
            "0201 DID_RENEW w2:A:0201-0301",
            "0210 REFUND of=w1 revoked=0210 reason=0",
        ),
        events=(BOUGHT, "0201 A renewed exp=0301"),
        at=("0211 A=active_with_renewal/0301",),
    ),
    Trace(
        id="refund of the old period just before an early renewal begins",
        told=(
            f"0101 {BUY}",
            "0131T16 DID_RENEW w2:A:0201-0301",
            "0131T20 REFUND of=w1 revoked=0131T20 reason=0",
        ),
        events=(BOUGHT, "0201 A renewed exp=0301 arr=0131T16"),
        at=("0131T22 A=active_with_renewal/0301", "0202 A=active_with_renewal/0301"),
    ),
    Trace(
        id="refund of an early renewal before it begins: the old period runs to its end",
        told=(
            f"0101 {BUY}",
            "0131T16 DID_RENEW w2:A:0201-0301",
            "0131T20 REFUND of=w2 revoked=0131T20 reason=0",
        ),
        events=(
            BOUGHT,
            "0201 A renewed exp=0301 arr=0131T16",
            "0131T20 A refunded exp=0201",
        ),
        at=("0131T22 A=active_with_renewal/0201", "0202 A=refunded/0201"),
    ),
    Trace(
        id="refund of the old product before the new one begins",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:B:0101-0201",
            f"0110 {DOWN} next=A",
            "0131T18 DID_RENEW w2:A:0201-0301",
            "0131T20 REFUND of=w1 revoked=0131T20 reason=1",
        ),
        events=(
            "0101 B started exp=0201",
            "0110 B switching_product new=A",
            "0131T20 B refunded_for_issue exp=0131T20",
            "0201 B switched_product new=A arr=0131T18",
            "0201 A renewed exp=0301 arr=0131T18",
        ),
        at=(
            "0131T19 B=switching_product/0201",
            "0131T22 B=refunded_for_issue/0131T20",
            "0202 B=refunded_for_issue/0131T20",
            "0202 A=active_with_renewal/0301",
        ),
    ),
    Trace(
        id="refund of the new product before it begins",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:B:0101-0201",
            "0131T18 DID_RENEW w2:A:0201-0301",
            "0131T20 REFUND of=w2 revoked=0131T20 reason=0",
        ),
        events=(
            "0101 B started exp=0201",
            "0201 B switched_product new=A arr=0131T18",
            "0201 A renewed exp=0301 arr=0131T18",
            "0131T20 A refunded exp=0201",
        ),
        at=(
            "0131T22 B=active_with_renewal/0201",
            "0131T22 A=none",
            "0202 B=switched_product/0201",
            "0202 A=refunded/0201",
        ),
    ),
    Trace(
        id="refund reversed after the end: as if it had never been",
        told=(
            f"0101 {BUY}",
            f"0110 {OFF}",
            "0112 REFUND of=w1 revoked=0112 reason=0",
            "0215 REFUND_REVERSED of=w1",
        ),
        events=(BOUGHT, "0110 A renewal_disabled", "0112 A refunded exp=0112"),
        at=("0214 A=refunded/0112", "0216 A=expired_voluntarily/0201"),
    ),
    Trace(
        id="refund reversed after the vendor told the end",
        told=(
            f"0101 {BUY}",
            "0112 REFUND of=w1 revoked=0112 reason=0",
            "0201T00:05 EXPIRED/BILLING_RETRY",
            "0215 REFUND_REVERSED of=w1",
        ),
        events=(BOUGHT, "0112 A refunded exp=0112", "0201T00:05 A expired_from_billing"),
        at=("0202 A=refunded/0112", "0216 A=expired_from_billing/0201"),
    ),
    Trace(
        id="the refund reversed is not heard of, but a later notification shows it",
        told=(
            f"0101 {BUY}",
            "0112 REFUND of=w1 revoked=0112 reason=0",
            # The reversal is told at last; what showed it before is then not news any more.
            "0122 CONSUMPTION_REQUEST of=w1 reversed=1",
            "0125 REFUND_REVERSED s=0120 of=w1",
        ),
        events=(BOUGHT, "0112 A refunded exp=0112", "0120 A renewed exp=0201 arr=0125"),
        at=(
            "0115 A=refunded/0112",
            "0123 A=active_with_renewal/0201",
            "0126 A=active_with_renewal/0201",
        ),
        superseded=("0122 A renewed exp=0201",),
    ),
    Trace(
        id="the refund reversed is not heard of, but read: the purchase shows none",
        told=(
            f"0101 {BUY}",
            "0112 REFUND of=w1 revoked=0112 reason=0",
            "0122 READ s=0121 of=w1 reversed=1",
        ),
        events=(BOUGHT, "0112 A refunded exp=0112", "0121 A renewed exp=0201 arr=0122"),
        at=("0115 A=refunded/0112", "0123 A=active_with_renewal/0201"),
    ),
    Trace(
        id="refunded, reversed, and refunded again: each is told",
        told=(
            f"0101 {BUY}",
            "0112 REFUND of=w1 revoked=0112 reason=0",
            "0115 REFUND_REVERSED of=w1",
            "0118 REFUND of=w1 revoked=0118 reason=0",
        ),
        events=(
            BOUGHT,
            "0112 A refunded exp=0112",
            "0115 A renewed exp=0201",
            "0118 A refunded exp=0118",
        ),
        at=(
            "0113 A=refunded/0112",
            "0116 A=active_with_renewal/0201",
            "0119 A=refunded/0118",
        ),
    ),
    Trace(
        id="refund and the switch that Apple makes with it, signed at once",
        told=(
            f"0101 {BUY}",
            f"0112 {OFF}",
            "0112 REFUND of=w1 revoked=0112 reason=1",
        ),
        events=(BOUGHT, "0112 A renewal_disabled", "0112 A refunded_for_issue exp=0112"),
        at=("0113 A=refunded_for_issue/0112",),
    ),
    Trace(
        id="expiry after a refund is told and changes nothing",
        told=(
            f"0101 {BUY}",
            "0112 REFUND of=w1 revoked=0112 reason=0",
            f"0112T00:01 {OFF}",
            "0201T01 EXPIRED/VOLUNTARY",
        ),
        events=(
            BOUGHT,
            "0112T00:01 A renewal_disabled",
            "0112 A refunded exp=0112",
            "0201 A expired_voluntarily arr=0201T01",
        ),
        at=("0202 A=refunded/0112",),
    ),
    Trace(
        id="a renewal after a refund gives access again",
        told=(
            f"0101 {BUY}",
            "0112 REFUND of=w1 revoked=0112 reason=0",
            "0201 DID_RENEW w2:A:0201-0301",
        ),
        events=(BOUGHT, "0112 A refunded exp=0112", "0201 A renewed exp=0301"),
        at=("0120 A=refunded/0112", "0202 A=active_with_renewal/0301"),
    ),
    Trace(
        id="what Apple gives back of an upgraded period is no loss",
        told=(
            f"0101 {BUY}",
            f"0110 {UP} w2:B:0110-0210",
            "0110T00:01 REFUND of=w1 revoked=0110 reason=0 upgraded=1",
        ),
        events=(
            BOUGHT,
            "0110 A switched_product new=B",
            "0110 B renewed exp=0210",
        ),
        at=("0111 A=switched_product/0110", "0111 B=active_with_renewal/0210"),
    ),
    Trace(
        id="a family loses what one of it had bought",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:A:0101-0201 family",
            "0110 REVOKE of=w1 revoked=0110 reason=0",
        ),
        events=(BOUGHT, "0110 A revoked"),
        at=("0109 A=active_with_renewal/0201", "0111 A=revoked/0110"),
    ),
    Trace(
        id="a refund of the one who paid is a revocation for the family",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:A:0101-0201 family",
            "0110 REFUND of=w1 revoked=0110 reason=1",
        ),
        events=(BOUGHT, "0110 A revoked"),
        at=("0111 A=revoked/0110",),
    ),
    Trace(
        id="revoked, then refunded: the refund prevails",
        told=(
            f"0101 {BUY}",
            "0110 REVOKE of=w1 revoked=0110 reason=0",
            "0111 REFUND of=w1 revoked=0110 reason=1",
            "0112 REVOKE of=w1 revoked=0110 reason=0",
        ),
        events=(BOUGHT, "0110 A revoked", "0110 A refunded_for_issue exp=0110 arr=0111"),
        at=("0110T12 A=revoked/0110", "0113 A=refunded_for_issue/0110"),
    ),
)
