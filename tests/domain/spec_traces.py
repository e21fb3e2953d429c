"""The ten traces that the mapping of vendors' signals gives as examples: the eight of Apple's."""

from tests.support.trace import Trace

ON = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED"
OFF = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"

TRACES = (
    Trace(
        id="T01 first buy, early renewal",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:A:0101-0201",
            "0131T16 DID_RENEW w2:A:0201-0301",
        ),
        events=("0101 A started exp=0201", "0201 A renewed exp=0301 arr=0131T16"),
        at=(
            "0115 A=active_with_renewal/0201",
            "0131T20 A=active_with_renewal/0301",
            "0215 A=active_with_renewal/0301",
        ),
    ),
    Trace(
        id="T02 trial, off, on, converts, off, expires",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY offer=1/FREE_TRIAL w1:A:0101-0108",
            f"0103 {OFF}",
            f"0105 {ON}",
            "0107T20 DID_RENEW w2:A:0108-0208",
            f"0120 {OFF}",
            "0208T01 EXPIRED/VOLUNTARY",
        ),
        events=(
            "0101 A started_with_free_trial exp=0108",
            "0103 A renewal_disabled",
            "0105 A renewal_enabled",
            "0108 A renewed exp=0208 arr=0107T20",
            "0120 A renewal_disabled",
            # The clock is there an hour before Apple's word, with the same event.
            "0208 A expired_voluntarily",
        ),
        at=(
            "0102 A=using_free_trial/0108",
            "0104 A=active_without_renewal/0108",
            "0106 A=using_free_trial/0108",
            "0110 A=active_with_renewal/0208",
            "0121 A=active_without_renewal/0208",
            "0210 A=expired_voluntarily/0208",
        ),
    ),
    Trace(
        id="T04 T02 delivered fully reversed and each twice",
        told=2
        * (
            "0209 EXPIRED/VOLUNTARY s=0208T01",
            f"0209 {OFF} s=0120",
            "0209 DID_RENEW s=0107T20 w2:A:0108-0208",
            f"0209 {ON} s=0105",
            f"0209 {OFF} s=0103",
            "0209 SUBSCRIBED/INITIAL_BUY s=0101 offer=1/FREE_TRIAL w1:A:0101-0108",
        ),
        events=(
            "0101 A started_with_free_trial exp=0108 arr=0209",
            "0103 A renewal_disabled arr=0209",
            "0105 A renewal_enabled arr=0209",
            "0108 A renewed exp=0208 arr=0209",
            "0120 A renewal_disabled arr=0209",
            "0208 A expired_voluntarily arr=0209",
        ),
        at=("0210 A=expired_voluntarily/0208",),
    ),
    Trace(
        id="T05 a renewal three days late; the clock passes expiry with renewal on",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:A:0101-0201",
            "0204 DID_RENEW s=0131T20 w2:A:0201-0301",
        ),
        events=("0101 A started exp=0201", "0201 A renewed exp=0301 arr=0204"),
        at=(
            "0201T00:30 A=active_with_renewal/0201",
            "0202 A=in_billing_retry/0201",
            "0205 A=active_with_renewal/0301",
        ),
    ),
    Trace(
        id="T11 upgrade in mid-period, from a year to a month: the new expiry is earlier",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:A:0101-1231",
            "0301 DID_CHANGE_RENEWAL_PREF/UPGRADE w2:B:0301-0401",
        ),
        events=(
            "0101 A started exp=1231",
            "0301 A switched_product new=B",
            "0301 B renewed exp=0401",
        ),
        at=(
            "0228 A=active_with_renewal/1231",
            "0315 A=switched_product/0301",
            "0315 B=active_with_renewal/0401",
        ),
    ),
    Trace(
        id="T12 downgrade at the period's end; an early renewal must not cut the old one",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:B:0101-0201",
            "0110 DID_CHANGE_RENEWAL_PREF/DOWNGRADE next=A",
            "0131T18 DID_RENEW w2:A:0201-0301",
        ),
        events=(
            "0101 B started exp=0201",
            "0110 B switching_product new=A",
            "0201 B switched_product new=A arr=0131T18",
            "0201 A renewed exp=0301 arr=0131T18",
        ),
        at=(
            "0120 B=switching_product/0201",
            "0131T20 B=switching_product/0201",
            "0131T20 A=none",
            "0202 B=switched_product/0201",
            "0202 A=active_with_renewal/0301",
        ),
    ),
    Trace(
        id="T16 refund for an issue in mid-period, reversed; renewal stays off",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:A:0101-0201",
            f"0110 {OFF}",
            "0112 REFUND of=w1 revoked=0112 reason=1",
            "0120 REFUND_REVERSED of=w1 auto=0",
        ),
        events=(
            "0101 A started exp=0201",
            "0110 A renewal_disabled",
            "0112 A refunded_for_issue exp=0112",
            "0120 A renewed exp=0201",
            "0120 A renewal_disabled",
            "0201 A expired_voluntarily clk",
        ),
        at=(
            "0111 A=active_without_renewal/0201",
            "0115 A=refunded_for_issue/0112",
            "0121 A=active_without_renewal/0201",
            "0202 A=expired_voluntarily/0201",
        ),
    ),
    Trace(
        id="T22 bought again during billing retry: a new lineage, and the old one dies at day 60",
        told=(
            "0321 SUBSCRIBED/INITIAL_BUY L=o1 w1:A:0321-0621",
            "0621 DID_FAIL_TO_RENEW/GRACE_PERIOD L=o1 grace=0707",
            "0707 GRACE_PERIOD_EXPIRED L=o1",
            "0729 SUBSCRIBED/RESUBSCRIBE L=o2 w5:B:0729-1029",
            "0820 EXPIRED/BILLING_RETRY L=o1",
        ),
        events=(
            "0321 o1/A started exp=0621",
            "0621 o1/A grace_period_started exp=0707",
            "0707 o1/A billing_retry_started",
            "0729 o2/B renewed exp=1029",
            "0820 o1/A expired_from_billing",
        ),
        at=(
            "0801 o1/A=in_billing_retry/0707",
            "0821 o1/A=expired_from_billing/0707",
            "0821 o2/B=active_with_renewal/1029",
        ),
    ),
)
