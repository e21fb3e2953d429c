"""Currencies: which Stripe knows, how many decimals they have, the smallest charge."""

from boxoffice_sandbox.errors import invalid_request, malformed

# Stripe's list, https://docs.stripe.com/currencies.
_KNOWN = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn
bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf
gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp
lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab
pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs
tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
"""
CURRENCIES = frozenset(_KNOWN.split())
_NO_DECIMALS = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
})  # fmt: skip
_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
_SMALLEST = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
LARGEST = 99_999_999


def checked_currency(written: str) -> str:
    """Return the currency in lower case; an unknown one is refused."""
    currency = written.lower()
    if currency not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        message = (
            f"Invalid currency: {currency}. Stripe currently supports these currencies: {known}"
        )
        raise malformed(message, param="currency")
    return currency


def check_amount(amount: int, currency: str) -> None:
    """Refuse what is below Stripe's smallest charge or above its largest."""
    smallest = _SMALLEST.get(currency, 1)
    if amount < smallest:
        message = f"Amount must be at least {written_amount(smallest, currency)} {currency}"
        raise invalid_request(message, param="amount", code="amount_too_small")
    if amount > LARGEST:
        message = f"Amount must be no more than {written_amount(LARGEST, currency)}"
        raise invalid_request(message, param="amount", code="amount_too_large")


def written_amount(amount: int, currency: str) -> str:
    """Write an amount as Stripe's messages do, such as €10.00."""
    symbol = _SYMBOLS.get(currency, "")
    if currency in _NO_DECIMALS:
        return f"{symbol}{amount:,}"
    return f"{symbol}{amount / 100:,.2f}"
