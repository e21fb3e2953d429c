"""Traces: renewals that fail: grace, retry, silence, and who has the last word of them."""

from tests.support.trace import Trace

OFF = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"
UP = "DID_CHANGE_RENEWAL_PREF/UPGRADE"
GRACE = "DID_FAIL_TO_RENEW/GRACE_PERIOD"
RECOVERED = "DID_RENEW/BILLING_RECOVERY"
BUY = "SUBSCRIBED/INITIAL_BUY w1:A:0101-0201"
BOUGHT = "0101 A started exp=0201"

TRACES = (
    Trace(
        id="grace, recovered before its end: the billing date is kept",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            f"0205 {RECOVERED} w2:A:0201-0301",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0201 A renewed exp=0301 arr=0205",
        ),
        at=(
            "0201T00:00:30 A=active_with_renewal/0201",
            "0203 A=in_grace_period/0207",
            "0206 A=active_with_renewal/0301",
        ),
    ),
    Trace(
        id="grace, recovered after its end: a new cycle",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            f"0210 {RECOVERED} w2:A:0210-0310",
            "0211 GRACE_PERIOD_EXPIRED s=0207T00:02 of=w1",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0207 A billing_retry_started",
            "0210 A renewed exp=0310",
        ),
        at=("0208 A=in_billing_retry/0207", "0210 A=active_with_renewal/0310"),
    ),
    Trace(
        id="the clock ends grace, and a renewal signed before that arrives after",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            f"0210 {RECOVERED} s=0206T23 w2:A:0201-0301",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0201 A renewed exp=0301 arr=0210",
        ),
        at=("0208 A=in_billing_retry/0207", "0210 A=active_with_renewal/0301"),
        superseded=("0207 A billing_retry_started clk",),
    ),
    Trace(
        id="the vendor ends grace with the clock's own event",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            "0207T05 GRACE_PERIOD_EXPIRED",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0207 A billing_retry_started",
            "0402 A expired_from_billing clk",
        ),
        at=(
            "0207T00:00:01 A=in_billing_retry/0207",
            "0208 A=in_billing_retry/0207",
            "0401T23 A=in_billing_retry/0207",
            "0402 A=expired_from_billing/0207",
        ),
    ),
    Trace(
        id="sixty days of retry end by the clock; the vendor's word changes nothing",
        told=(
            f"0101 {BUY}",
            "0201T00:01 DID_FAIL_TO_RENEW",
            f"0402T05 {OFF} n=1",
            "0402T05 EXPIRED/BILLING_RETRY",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A billing_retry_started",
            "0402 A expired_from_billing",
        ),
        at=("0203 A=in_billing_retry/0201", "0402T00:01 A=expired_from_billing/0201"),
    ),
    Trace(
        id="the vendor gives up before day sixty",
        told=(
            f"0101 {BUY}",
            "0201T00:01 DID_FAIL_TO_RENEW",
            "0315 EXPIRED/BILLING_RETRY",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A billing_retry_started",
            "0315 A expired_from_billing",
        ),
        at=("0314 A=in_billing_retry/0201", "0316 A=expired_from_billing/0201"),
    ),
    Trace(
        id="a failure that is told early never cuts what was paid for",
        told=(
            f"0101 {BUY}",
            "0131T20 DID_FAIL_TO_RENEW",
        ),
        events=(
            BOUGHT,
            "0201 A billing_retry_started arr=0131T20",
            "0402 A expired_from_billing clk",
        ),
        at=("0131T22 A=active_with_renewal/0201", "0201 A=in_billing_retry/0201"),
    ),
    Trace(
        id="upgrade during grace",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            f"0204 {UP} w2:B:0204-0304",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0204 A switched_product new=B",
            "0204 B renewed exp=0304",
        ),
        at=(
            "0203 A=in_grace_period/0207",
            "0205 A=switched_product/0204",
            "0205 B=active_with_renewal/0304",
        ),
    ),
    Trace(
        id="renewal switched off in grace: over at its end",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            f"0203 {OFF}",
            "0207T00:10 EXPIRED/VOLUNTARY",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0203 A renewal_disabled",
            "0207 A expired_voluntarily",
        ),
        at=(
            "0202 A=in_grace_period/0207",
            "0204 A=active_without_renewal/0207",
            "0208 A=expired_voluntarily/0207",
        ),
    ),
    Trace(
        id="renewal switched off in grace and nobody told of it: the expiry corrects the clock",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            "0209 EXPIRED/VOLUNTARY s=0207T00:10 retry=0",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0207 A expired_voluntarily arr=0209",
        ),
        at=("0208 A=in_billing_retry/0207", "0210 A=expired_voluntarily/0207"),
        superseded=("0207 A billing_retry_started clk",),
    ),
    Trace(
        id="switched on again unheard, then grace: the failure corrects the clock's expiry",
        told=(
            f"0101 {BUY}",
            f"0110 {OFF}",
            f"0202 {GRACE} s=0201T00:01 auto=1 grace=0207",
            "0207T00:01 GRACE_PERIOD_EXPIRED",
            "0301 EXPIRED/BILLING_RETRY",
        ),
        events=(
            BOUGHT,
            "0110 A renewal_disabled",
            "0201T00:01 A grace_period_started exp=0207 arr=0202",
            "0201T00:01 A renewal_enabled arr=0202",
            "0207 A billing_retry_started",
            "0301 A expired_from_billing",
        ),
        at=(
            "0201T12 A=expired_voluntarily/0201",
            "0203 A=in_grace_period/0207",
            "0302 A=expired_from_billing/0207",
        ),
        superseded=("0201 A expired_voluntarily clk",),
    ),
    Trace(
        id="switched on again unheard, then a failure: it had not ended by choice",
        told=(
            f"0101 {BUY}",
            f"0110 {OFF}",
            "0201T00:05 DID_FAIL_TO_RENEW auto=1",
        ),
        events=(
            BOUGHT,
            "0110 A renewal_disabled",
            "0201T00:05 A billing_retry_started",
            "0402 A expired_from_billing clk",
        ),
        at=("0201T00:01 A=expired_voluntarily/0201", "0202 A=in_billing_retry/0201"),
        superseded=("0201 A expired_voluntarily clk",),
    ),
    Trace(
        id="switched on again unheard, given up by the vendor: no access in between",
        told=(
            f"0101 {BUY}",
            f"0110 {OFF}",
            "0315 EXPIRED/BILLING_RETRY auto=1",
        ),
        events=(BOUGHT, "0110 A renewal_disabled", "0315 A expired_from_billing"),
        at=(
            "0215 A=expired_voluntarily/0201",
            "0315 A=expired_from_billing/0201",
        ),
        superseded=("0201 A expired_voluntarily clk",),
    ),
    Trace(
        id="silence, its leeway, and the vendor's late word",
        told=(f"0101 {BUY}", "0203 EXPIRED/VOLUNTARY s=0201T00:05 intent=1"),
        events=(BOUGHT, "0201 A expired_voluntarily arr=0203"),
        at=(
            "0201T00:59:59 A=active_with_renewal/0201",
            "0201T01 A=in_billing_retry/0201",
            "0204 A=expired_voluntarily/0201",
        ),
    ),
    Trace(
        id="silence for ever is no event",
        told=(f"0101 {BUY}",),
        events=(BOUGHT,),
        at=("0601 A=in_billing_retry/0201", "20300101 A=in_billing_retry/0201"),
    ),
    Trace(
        id="silence, then a late failure",
        told=(f"0101 {BUY}", "0201T05 DID_FAIL_TO_RENEW", f"0210 {RECOVERED} w2:A:0210-0310"),
        events=(
            BOUGHT,
            "0201T05 A billing_retry_started",
            "0210 A renewed exp=0310",
        ),
        at=("0201T03 A=in_billing_retry/0201", "0211 A=active_with_renewal/0310"),
    ),
)
