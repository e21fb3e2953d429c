"""Traces: what came late, out of turn, twice or not at all."""

from tests.support.trace import Trace

OFF = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"
UP = "DID_CHANGE_RENEWAL_PREF/UPGRADE"
GRACE = "DID_FAIL_TO_RENEW/GRACE_PERIOD"
BUY = "SUBSCRIBED/INITIAL_BUY w1:A:0101-0201"
BOUGHT = "0101 A started exp=0201"

TRACES = (
    Trace(
        id="history that is filled in late",
        told=(
            "0301T16 DID_RENEW w3:A:0302-0402",
            f"0302 {OFF}",
            "0305 READ w2:A:0202-0302 s=0304 of=w2",
            "0306 SUBSCRIBED/INITIAL_BUY s=0102 w1:A:0102-0202",
        ),
        events=(
            "0102 A started exp=0202 arr=0306",
            "0202 A renewed exp=0302 arr=0305",
            "0302 A renewed exp=0402 arr=0301T16",
            "0302 A renewal_disabled",
            "0402 A expired_voluntarily clk",
        ),
        at=("0302T12 A=active_without_renewal/0402", "0307 A=active_without_renewal/0402"),
    ),
    Trace(
        id="renewal switched off unheard: rule R makes it up, and the late word replaces that",
        told=(
            f"0101 {BUY}",
            "0120 CONSUMPTION_REQUEST auto=0",
            f"0125 {OFF} s=0110",
        ),
        events=(BOUGHT, "0110 A renewal_disabled arr=0125", "0201 A expired_voluntarily clk"),
        at=(
            "0115 A=active_with_renewal/0201",
            "0121 A=active_without_renewal/0201",
            "0126 A=active_without_renewal/0201",
        ),
        superseded=("0120 A renewal_disabled",),
    ),
    Trace(
        id="another product and a price asked for unheard: rule R makes both up",
        told=(
            f"0101 {BUY}",
            "0110 STATUS next=B",
            "0112 STATUS next=A price=0",
            "0114 STATUS price=1",
            "0116 STATUS auto=0",
            "0118 STATUS auto=1",
        ),
        events=(
            BOUGHT,
            "0110 A switching_product new=B",
            "0112 A renewal_enabled",
            "0112 A price_change_confirmation_requested",
            "0114 A renewal_enabled",
            "0116 A renewal_disabled",
            "0118 A renewal_enabled",
        ),
        at=(
            "0111 A=switching_product/0201",
            "0113 A=awaiting_price_change_confirmation/0201",
            "0115 A=active_with_renewal/0201",
            "0117 A=active_without_renewal/0201",
            "0119 A=active_with_renewal/0201",
        ),
    ),
    Trace(
        id="what is only mentioned gives access and no event",
        told=("0110 CONSUMPTION_REQUEST w1:A:0101-0201", "0120 REFUND_DECLINED of=w1"),
        events=(),
        at=("0111 A=active_with_renewal/0201", "0202 A=in_billing_retry/0201"),
    ),
    Trace(
        id="what was only read tells what happened by its dates",
        told=(
            "0401 READ w1:A:0101-0201 of=w1",
            "0401 READ offer=1/FREE_TRIAL w2:A:0201-0301 of=w2",
            "0401 READ w3:B:0215-0415 of=w3",
        ),
        events=(
            "0101 A started exp=0201 arr=0401",
            "0201 A renewed_with_free_trial exp=0301 arr=0401",
            "0215 A switched_product new=B arr=0401",
            "0215 B renewed exp=0415 arr=0401",
        ),
        at=("0402 A=switched_product/0215", "0402 B=active_with_renewal/0415"),
    ),
    Trace(
        id="the same purchase handed in, read and told is one event",
        told=(
            "0101 SUBMITTED w1:A:0101-0201",
            "0101T00:01 SUBSCRIBED/INITIAL_BUY of=w1 restored=t-other",
            "0102 STATUS of=w1",
        ),
        events=(BOUGHT,),
        at=("0103 A=active_with_renewal/0201",),
    ),
    Trace(
        id="a recovery that is only read comes after the failure",
        told=(
            f"0101 {BUY}",
            f"0201T00:01 {GRACE} grace=0207",
            "0206 READ w2:A:0201-0301",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207",
            "0201 A renewed exp=0301 arr=0206",
        ),
        at=("0203 A=in_grace_period/0207", "0206 A=active_with_renewal/0301"),
    ),
    Trace(
        id="a refund that is only read",
        told=(f"0101 {BUY}", "0115 READ of=w1 revoked=0110 reason=1"),
        events=(BOUGHT, "0110 A refunded_for_issue exp=0110 arr=0115"),
        at=("0112 A=active_with_renewal/0201", "0116 A=refunded_for_issue/0110"),
    ),
    Trace(
        id="asked after silence: the vendor has failed to renew, and gives grace",
        told=(
            f"0101 {BUY}",
            "0201T02 STATUS of=w1 grace=0207 retry=1",
            f"0203 {GRACE} s=0201T00:01 grace=0207",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A grace_period_started exp=0207 arr=0201T02",
            "0207 A billing_retry_started clk",
            "0402 A expired_from_billing clk",
        ),
        at=("0201T01:30 A=in_billing_retry/0201", "0202 A=in_grace_period/0207"),
    ),
    Trace(
        id="asked after silence: the vendor goes on trying, and then has given up",
        told=(
            f"0101 {BUY}",
            "0201T02 STATUS of=w1 retry=1",
            "0301 STATUS of=w1 retry=0 intent=2 auto=0",
        ),
        events=(
            BOUGHT,
            "0201 A billing_retry_started arr=0201T02",
            "0301 A expired_from_billing",
        ),
        at=("0202 A=in_billing_retry/0201", "0302 A=expired_from_billing/0201"),
    ),
    Trace(
        id="asked after silence: it was the user's choice",
        told=(f"0101 {BUY}", "0201T02 STATUS of=w1 intent=1 auto=0"),
        events=(BOUGHT, "0201 A expired_voluntarily arr=0201T02"),
        at=("0201T01:30 A=in_billing_retry/0201", "0202 A=expired_voluntarily/0201"),
    ),
    Trace(
        id="asked after silence: nothing is over that has an end to come",
        told=(f"0101 {BUY}", "0120 STATUS of=w1", "0203 STATUS of=w1"),
        events=(BOUGHT,),
        at=("0204 A=in_billing_retry/0201",),
    ),
    Trace(
        id="a switch that was signed before the purchase it belongs to",
        told=(
            f"0101T00:00:05 {BUY} auto=0",
            f"0101T00:00:06 {OFF} s=0101T00:00:03 of=w1",
        ),
        events=(
            "0101 A started exp=0201 arr=0101T00:00:05",
            "0101T00:00:03 A renewal_disabled arr=0101T00:00:06",
            "0201 A expired_voluntarily clk",
        ),
        at=("0102 A=active_without_renewal/0201",),
        superseded=("0101T00:00:05 A renewal_disabled",),
    ),
    Trace(
        id="purchase, upgrade and switch signed at once",
        told=(
            f"0101 {BUY}",
            f"0101 {UP} w2:B:0101T00:00:01-0201",
            f"0101 {OFF} n=2",
        ),
        events=(
            BOUGHT,
            "0101T00:00:01 A switched_product new=B arr=0101",
            "0101T00:00:01 B renewed exp=0201 arr=0101",
            "0101 B renewal_disabled",
            "0201 B expired_voluntarily clk",
        ),
        at=("0102 A=switched_product/0101T00:00:01", "0102 B=active_without_renewal/0201"),
    ),
    Trace(
        id="a purchase that was signed after the upgrade from it",
        told=(
            f"0101T03 {BUY}",
            f"0101T04 {UP} s=0101T02 w2:B:0101T01-0201",
        ),
        events=(
            "0101 A started exp=0201 arr=0101T03",
            "0101T01 A switched_product new=B arr=0101T04",
            "0101T01 B renewed exp=0201 arr=0101T04",
        ),
        at=("0102 A=switched_product/0101T01", "0102 B=active_with_renewal/0201"),
    ),
    Trace(
        id="a word that nobody knows says how things stand",
        told=(f"0101 {BUY}", "0110 SOMETHING_NEW auto=0"),
        events=(BOUGHT, "0110 A renewal_disabled", "0201 A expired_voluntarily clk"),
        at=("0111 A=active_without_renewal/0201",),
    ),
    Trace(
        id="Apple closes a dead retry: that is no choice of anyone's",
        told=(
            f"0101 {BUY}",
            "0201T00:01 DID_FAIL_TO_RENEW",
            f"0301 {OFF}",
            "0301T00:01 EXPIRED/BILLING_RETRY",
        ),
        events=(
            BOUGHT,
            "0201T00:01 A billing_retry_started",
            "0301T00:01 A expired_from_billing",
        ),
        at=("0301 A=in_billing_retry/0201", "0302 A=expired_from_billing/0201"),
    ),
)
