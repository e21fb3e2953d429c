"""Money: an amount in one currency's minor unit."""

import re
from dataclasses import dataclass

from boxoffice_server.domain.errors import FieldViolation

DEFAULT_CURRENCY = "eur"

# Stripe takes at most eight digits in the minor unit for most currencies
# (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts). Its minimum depends on
# the account's settlement currency, so that one is Stripe's to refuse.
MAX_AMOUNT = 99_999_999

_CURRENCY_CODE = re.compile(r"[a-z]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in the minor unit of `currency`, an ISO 4217 code in lower case."""

    amount: int
    currency: str


def is_currency_code(text: str) -> bool:
    """Tell whether the text has the form of an ISO 4217 code in lower case."""
    return _CURRENCY_CODE.fullmatch(text) is not None


def price_violations(price: Money, field: str) -> list[FieldViolation]:
    """Tell what keeps this from being a price; empty when nothing does."""
    found = []
    if not is_currency_code(price.currency):
        found.append(
            FieldViolation(
                field=f"{field}.currency_code",
                description="must be an ISO 4217 code in lower case, such as eur",
            )
        )
    if not 1 <= price.amount <= MAX_AMOUNT:
        found.append(
            FieldViolation(field=f"{field}.amount", description=f"must be from 1 to {MAX_AMOUNT}")
        )
    return found
