"""Traces: other products, prices and offers."""

from tests.support.trace import Trace

ON = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_ENABLED"
OFF = "DID_CHANGE_RENEWAL_STATUS/AUTO_RENEW_DISABLED"
DOWN = "DID_CHANGE_RENEWAL_PREF/DOWNGRADE"
UP = "DID_CHANGE_RENEWAL_PREF/UPGRADE"
BACK = "DID_CHANGE_RENEWAL_PREF"
BUY = "SUBSCRIBED/INITIAL_BUY w1:A:0101-0201"
BOUGHT = "0101 A started exp=0201"

TRACES = (
    Trace(
        id="downgrade reverted",
        told=(f"0101 {BUY}", f"0110 {DOWN} next=B", f"0112 {BACK} next=A"),
        events=(BOUGHT, "0110 A switching_product new=B", "0112 A renewal_enabled"),
        at=("0111 A=switching_product/0201", "0113 A=active_with_renewal/0201"),
    ),
    Trace(
        id="downgrade reverted unheard: the next notification says so",
        told=(
            f"0101 {BUY}",
            f"0110 {DOWN} next=B",
            "0115 METADATA_UPDATE next=A",
            f"0120 {BACK} s=0112 next=A",
        ),
        events=(
            BOUGHT,
            "0110 A switching_product new=B",
            "0112 A renewal_enabled arr=0120",
        ),
        at=("0113 A=switching_product/0201", "0116 A=active_with_renewal/0201"),
        superseded=("0115 A renewal_enabled",),
    ),
    Trace(
        id="A to B and back to A: the first product opens again",
        told=(
            f"0101 {BUY}",
            f"0110 {UP} w2:B:0110-0210",
            "0115 DID_CHANGE_RENEWAL_PREF/DOWNGRADE next=A",
            "0210 DID_RENEW w3:A:0210-0310",
        ),
        events=(
            BOUGHT,
            "0110 A switched_product new=B",
            "0110 B renewed exp=0210",
            "0115 B switching_product new=A",
            "0210 B switched_product new=A",
            "0210 A renewed exp=0310",
        ),
        at=(
            "0111 A=switched_product/0110",
            "0116 B=switching_product/0210",
            "0211 A=active_with_renewal/0310",
            "0211 B=switched_product/0210",
        ),
    ),
    Trace(
        id="renewal switched off between an early change of product and its begin",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY w1:B:0101-0201",
            f"0110 {DOWN} next=A",
            "0131T18 DID_RENEW w2:A:0201-0301",
            f"0131T20 {OFF}",
            f"0201T05 {ON}",
        ),
        events=(
            "0101 B started exp=0201",
            "0110 B switching_product new=A",
            "0201 B switched_product new=A arr=0131T18",
            "0201 A renewed exp=0301 arr=0131T18",
            "0131T20 A renewal_disabled",
            "0201T05 A renewal_enabled",
        ),
        at=(
            "0131T22 B=switching_product/0201",
            "0131T22 A=none",
            "0201T01 A=active_without_renewal/0301",
            "0202 A=active_with_renewal/0301",
        ),
    ),
    Trace(
        id="upgrade between an early renewal and its begin",
        told=(
            f"0101 {BUY}",
            "0131T16 DID_RENEW w2:A:0201-0301",
            f"0131T20 {UP} w3:B:0131T20-0228",
        ),
        events=(
            BOUGHT,
            "0201 A renewed exp=0301 arr=0131T16",
            "0131T20 A switched_product new=B",
            "0131T20 B renewed exp=0228",
        ),
        at=(
            "0131T18 A=active_with_renewal/0301",
            "0131T22 A=switched_product/0131T20",
            "0202 A=switched_product/0131T20",
            "0202 B=active_with_renewal/0228",
        ),
    ),
    Trace(
        id="price refused: the clock first, the vendor's word after",
        told=(
            f"0101 {BUY}",
            "0115 PRICE_INCREASE/PENDING",
            "0201T03 EXPIRED/PRICE_INCREASE",
        ),
        events=(
            BOUGHT,
            "0115 A price_change_confirmation_requested",
            "0201 A failed_to_confirm_price_change",
        ),
        at=(
            "0116 A=awaiting_price_change_confirmation/0201",
            "0201T01 A=failed_to_confirm_price_change/0201",
        ),
    ),
    Trace(
        id="price asked, but cancelled: the vendor's expiry contradicts the clock's",
        told=(
            f"0101 {BUY}",
            "0115 PRICE_INCREASE/PENDING",
            "0201T03 EXPIRED/VOLUNTARY",
        ),
        events=(
            BOUGHT,
            "0115 A price_change_confirmation_requested",
            "0201 A expired_voluntarily arr=0201T03",
        ),
        at=(
            "0201T01 A=failed_to_confirm_price_change/0201",
            "0202 A=expired_voluntarily/0201",
        ),
        superseded=("0201 A failed_to_confirm_price_change clk",),
    ),
    Trace(
        id="price agreed to, and once more when nothing was asked",
        told=(
            f"0101 {BUY}",
            "0115 PRICE_INCREASE/PENDING",
            "0116 PRICE_INCREASE/ACCEPTED",
            "0117 PRICE_INCREASE/ACCEPTED",
        ),
        events=(
            BOUGHT,
            "0115 A price_change_confirmation_requested",
            "0116 A renewal_enabled",
        ),
        at=("0118 A=active_with_renewal/0201",),
    ),
    Trace(
        id="price agreed to unheard, renewed late: the clock's refusal is superseded",
        told=(
            f"0101 {BUY}",
            "0115 PRICE_INCREASE/PENDING",
            "0203 DID_RENEW s=0131T20 price=1 w2:A:0201-0301",
        ),
        events=(
            BOUGHT,
            "0115 A price_change_confirmation_requested",
            "0201 A renewed exp=0301 arr=0203",
        ),
        at=(
            "0202 A=failed_to_confirm_price_change/0201",
            "0204 A=active_with_renewal/0301",
        ),
        superseded=("0201 A failed_to_confirm_price_change clk",),
    ),
    Trace(
        id="offers: an introduction, a promotion, a code that is free, and one to win back",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY offer=1/PAY_AS_YOU_GO w1:A:0101-0201",
            "0201 DID_RENEW offer=1/PAY_AS_YOU_GO w2:A:0201-0301",
            "0210 OFFER_REDEEMED w3:A:0210-0310 offer=2/PAY_UP_FRONT/loyal",
            "0310 DID_RENEW offer=3/FREE_TRIAL/SUMMER w4:A:0310-0410",
            f"0320 {OFF}",
            "0410T00:01 EXPIRED/VOLUNTARY",
            "0601 SUBSCRIBED/RESUBSCRIBE offer=4/PAY_UP_FRONT/come-back w5:A:0601-0701",
            "0701 DID_RENEW w6:A:0701-0801",
        ),
        events=(
            "0101 A started_with_introductory_pricing exp=0201",
            "0201 A renewed_with_introductory_pricing exp=0301",
            "0210 A renewed_with_promotion exp=0310 ref=loyal",
            "0310 A renewed_with_promotion exp=0410 ref=SUMMER",
            "0320 A renewal_disabled",
            "0410 A expired_voluntarily",
            "0601 A renewed_with_promotion exp=0701 ref=come-back",
            "0701 A renewed exp=0801",
        ),
        at=(
            "0102 A=using_introductory_pricing/0201",
            "0211 A=using_promotion/0310",
            "0311 A=using_promotion/0410",
            "0602 A=using_promotion/0701",
            "0702 A=active_with_renewal/0801",
        ),
    ),
    Trace(
        id="an offer that waits for the next period is no event of its own",
        told=(
            f"0101 {BUY}",
            "0110 OFFER_REDEEMED of=w1",
            "0201 DID_RENEW offer=3/PAY_UP_FRONT/SUMMER w2:A:0201-0301",
        ),
        events=(BOUGHT, "0201 A renewed_with_promotion exp=0301 ref=SUMMER"),
        at=("0111 A=active_with_renewal/0201", "0202 A=using_promotion/0301"),
    ),
    Trace(
        id="an offer redeemed as an upgrade and as a downgrade",
        told=(
            f"0101 {BUY}",
            "0110 OFFER_REDEEMED/UPGRADE offer=3/PAY_UP_FRONT/UP w2:B:0110-0210",
            "0115 OFFER_REDEEMED/DOWNGRADE next=A",
        ),
        events=(
            BOUGHT,
            "0110 A switched_product new=B",
            "0110 B renewed_with_promotion exp=0210 ref=UP",
            "0115 B switching_product new=A",
        ),
        at=("0111 B=using_promotion/0210", "0116 B=switching_product/0210"),
    ),
    Trace(
        id="a first purchase by a code, and a free second one",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY offer=3/FREE_TRIAL/HELLO w1:A:0101-0201",
            "0301 SUBSCRIBED/RESUBSCRIBE offer=1/FREE_TRIAL w2:A:0301-0401",
        ),
        events=(
            "0101 A started_with_promotion exp=0201 ref=HELLO",
            "0301 A renewed_with_free_trial exp=0401",
        ),
        at=("0102 A=using_promotion/0201", "0302 A=using_free_trial/0401"),
    ),
    Trace(
        id="bought again after sixty days, by another product",
        told=(
            f"0101 {BUY}",
            f"0110 {OFF}",
            "0201T00:01 EXPIRED/VOLUNTARY",
            "0415 SUBSCRIBED/RESUBSCRIBE w2:B:0415-0515",
        ),
        events=(
            BOUGHT,
            "0110 A renewal_disabled",
            "0201 A expired_voluntarily",
            "0415 B renewed exp=0515",
        ),
        at=("0416 A=expired_voluntarily/0201", "0416 B=active_with_renewal/0515"),
    ),
    Trace(
        id="two lineages of one user know nothing of each other",
        told=(
            "0101 SUBSCRIBED/INITIAL_BUY L=o1 w1:A:0101-0201",
            "0105 SUBSCRIBED/INITIAL_BUY L=o2 w9:A:0105-0205",
            f"0110 {OFF} L=o1",
        ),
        events=(
            "0101 o1/A started exp=0201",
            "0105 o2/A started exp=0205",
            "0110 o1/A renewal_disabled",
            "0201 o1/A expired_voluntarily clk",
        ),
        at=("0202 o1/A=expired_voluntarily/0201", "0202 o2/A=active_with_renewal/0205"),
    ),
    Trace(
        id="extended, twice, with renewal off",
        told=(
            f"0101 {BUY}",
            f"0110 {OFF}",
            "0115 RENEWAL_EXTENDED renewal=0205",
            "0116 RENEWAL_EXTENDED renewal=0210",
            "0210T00:01 EXPIRED/VOLUNTARY expires=0210",
        ),
        events=(
            # The period's newest values count, also for its beginning.
            "0101 A started exp=0210",
            "0110 A renewal_disabled",
            "0115 A renewed exp=0210",
            "0115 A renewal_disabled",
            "0116 A renewed exp=0210",
            "0116 A renewal_disabled",
            "0210 A expired_voluntarily",
        ),
        at=(
            "0111 A=active_without_renewal/0201",
            "0115T12 A=active_without_renewal/0205",
            "0117 A=active_without_renewal/0210",
            "0211 A=expired_voluntarily/0210",
        ),
    ),
    Trace(
        id="no longer sold",
        told=(f"0101 {BUY}", "0201T00:01 EXPIRED/PRODUCT_NOT_FOR_SALE"),
        events=(BOUGHT, "0201 A expired_from_billing arr=0201T00:01"),
        at=("0202 A=expired_from_billing/0201",),
    ),
    Trace(
        id="moved to another product by a migration: what it says now counts",
        told=(f"0101 {BUY}", "0110 MIGRATION w2:B:0110-0210"),
        events=(BOUGHT, "0110 A switched_product new=B"),
        at=("0111 A=switched_product/0110", "0111 B=active_with_renewal/0210"),
    ),
)
