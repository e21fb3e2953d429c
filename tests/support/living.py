"""How a life goes on: which moves are possible at each moment, of which one is drawn."""

from collections.abc import Callable

from tests.support.lives import (
    BEGIN,
    DAY,
    EARLY,
    HOUR,
    LATE,
    LENGTHS,
    OFFERS,
    RETRIES,
    Choose,
    Life,
)

Move = Callable[[Life], None]


def live(choose: Choose, moves: int) -> Life:
    """Live a life of so many moves, and then hear nothing more."""
    life = Life(choose)
    life.now = BEGIN
    life.begin("A", "SUBSCRIBED/INITIAL_BUY", start=BEGIN, offer=choose(len(OFFERS)), first=True)
    for _ in range(moves):
        possible = _moves(life)
        possible[choose(len(possible))](life)
    life.run_out()
    return life


def _moves(life: Life) -> list[Move]:
    it = life.it
    if it.refunded:
        return _after_refund(life)
    if it.over:
        return [_buy_again]
    if it.retry:
        return [_recover_late, _give_up, _give_up_late, _upgrade, _buy_in_retry]
    if it.grace:
        return _in_grace(life)
    if it.paid_until - life.now < DAY:
        return _at_end(life)
    within: list[Move] = [_toggle, _refund, _upgrade, _extend, _refund_older]
    if it.renews:
        within += [_ask_other, _price]
    if it.follower:
        within.append(_ask_same)
    return [*within, *_at_end(life)]


def _at_end(life: Life) -> list[Move]:
    it = life.it
    if not it.renews:
        return [_expire]
    if it.price_asked:
        return [_refuse]
    moves: list[Move] = [_renew_early, _renew_late, _fail]
    return [*moves, _toggle_early] if it.paid_until - life.now > HOUR else moves


def _in_grace(life: Life) -> list[Move]:
    if not life.it.renews:
        return [_expire_in_grace]
    moves: list[Move] = [_end_grace]
    if life.it.expires - life.now > HOUR:
        moves.append(_recover)
    if life.it.expires - life.now > DAY:
        moves += [_toggle, _upgrade]
    return moves


def _after_refund(life: Life) -> list[Move]:
    it = life.it
    if it.over:
        return [_buy_again]
    if it.paid_until - life.now < DAY:
        return [_expire_refunded] if not it.renews else [_renew_after_refund]
    moves: list[Move] = [_reverse, _toggle]
    return (
        [*moves, _reverse_late, _expire_refunded]
        if not it.renews
        else [
            *moves,
            _renew_after_refund,
        ]
    )


def _toggle(life: Life) -> None:
    life.pass_time(life.it.paid_until if not life.it.grace else life.it.expires)
    if life.it.renews:
        life.switch_off()
    else:
        life.switch_on()


def _ask_other(life: Life) -> None:
    life.pass_time(life.it.paid_until)
    life.ask_other(_other(life))


def _ask_same(life: Life) -> None:
    life.pass_time(life.it.paid_until)
    if not life.it.renews:
        life.switch_on()
        life.pass_time(life.it.paid_until)
    life.ask_same()


def _price(life: Life) -> None:
    life.pass_time(life.it.paid_until)
    if life.it.price_asked:
        life.agree_price()
    else:
        life.ask_price()


def _refund(life: Life) -> None:
    life.pass_time(life.it.paid_until)
    life.refund(life.choose(2))


def _refund_older(life: Life) -> None:
    life.pass_time(life.it.paid_until)
    life.refund_older()


def _toggle_early(life: Life) -> None:
    """Renew early, and toggle before the new period begins."""
    end = life.it.paid_until
    life.now = max(life.now + LATE, end - EARLY)
    if life.it.follower:
        _renew(life)
        return
    signed = life.now
    _renew(life)
    life.now = signed
    life.pass_time(end)
    life.switch_off()
    life.now = end


def _reverse(life: Life) -> None:
    life.pass_time(life.it.paid_until)
    life.reverse()


def _reverse_late(life: Life) -> None:
    it = life.it
    life.now = it.paid_until + DAY
    life.is_reversed_late = True
    it.refunded, it.over, it.expires = "", "expired_voluntarily", it.paid_until
    life.stands()
    life.say("REFUND_REVERSED", of=it.key)


def _extend(life: Life) -> None:
    life.pass_time(life.it.paid_until)
    life.extend(1 + life.choose(9))


def _upgrade(life: Life) -> None:
    if life.it.retry:
        life.now += DAY
    else:
        life.pass_time(life.it.expires)
    life.begin(
        _other(life),
        "DID_CHANGE_RENEWAL_PREF/UPGRADE",
        start=life.now,
        offer=0,
        first=False,
    )


def _renew_early(life: Life) -> None:
    end = life.it.paid_until
    life.now = max(life.now + LATE, end - EARLY)
    _renew(life)


def _renew_late(life: Life) -> None:
    life.now = life.it.paid_until + LATE
    _renew(life)


def _renew_after_refund(life: Life) -> None:
    life.now = life.it.paid_until
    _renew(life)


def _renew(life: Life) -> None:
    it = life.it
    life.begin(
        it.follower or it.name,
        "DID_RENEW",
        start=it.paid_until,
        offer=life.choose(len(OFFERS)),
        first=False,
    )


def _recover(life: Life) -> None:
    """Pay within grace: the billing date is kept."""
    it = life.it
    life.pass_time(it.expires)
    life.begin(
        it.follower or it.name,
        "DID_RENEW/BILLING_RECOVERY",
        start=it.paid_until,
        offer=0,
        first=False,
    )


def _recover_late(life: Life) -> None:
    life.pass_time(life.it.paid_until + RETRIES)
    it = life.it
    name = it.follower or it.name
    life.begin(name, "DID_RENEW/BILLING_RECOVERY", start=life.now, offer=0, first=False)


def _fail(life: Life) -> None:
    life.now = life.it.paid_until + LATE
    # A week's grace is never longer than six days.
    life.fail((0, 6, 6 if life.it.name == "C" else 16)[life.choose(3)])


def _end_grace(life: Life) -> None:
    life.now = life.it.expires + LATE
    life.start_retry(life.it.expires)
    life.say("GRACE_PERIOD_EXPIRED")
    life.clockwork.append(life.told[-1])


def _buy_in_retry(life: Life) -> None:
    """Buy another product while Apple still tries to renew this one."""
    life.now += DAY
    offer = life.choose(len(OFFERS))
    life.begin(_other(life), "SUBSCRIBED/RESUBSCRIBE", start=life.now, offer=offer, first=False)


def _give_up(life: Life) -> None:
    life.pass_time(life.it.paid_until + RETRIES)
    life.end("expired_from_billing", "EXPIRED/BILLING_RETRY", time=life.now)


def _give_up_late(life: Life) -> None:
    end = life.it.paid_until + RETRIES
    life.now = end + LATE
    life.end("expired_from_billing", "EXPIRED/BILLING_RETRY", time=end)


def _expire(life: Life) -> None:
    end = life.it.paid_until
    life.now = end + LATE
    life.end("expired_voluntarily", "EXPIRED/VOLUNTARY", time=end)


def _expire_in_grace(life: Life) -> None:
    end = life.it.expires
    life.now = end + LATE
    life.end("expired_voluntarily", "EXPIRED/VOLUNTARY", time=end)


def _expire_refunded(life: Life) -> None:
    end = life.it.paid_until
    life.now = end + LATE
    life.end("expired_voluntarily", "EXPIRED/VOLUNTARY", time=end)


def _refuse(life: Life) -> None:
    end = life.it.paid_until
    life.now = end + LATE
    life.end("failed_to_confirm_price_change", "EXPIRED/PRICE_INCREASE", time=end)


def _buy_again(life: Life) -> None:
    life.now += DAY * (1 + life.choose(90))
    names = sorted(LENGTHS)
    life.begin(
        names[life.choose(len(names))],
        "SUBSCRIBED/RESUBSCRIBE",
        start=life.now,
        offer=life.choose(len(OFFERS)),
        first=False,
    )


def _other(life: Life) -> str:
    names = [each for each in sorted(LENGTHS) if each != life.it.name]
    return names[life.choose(len(names))]
