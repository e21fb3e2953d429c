"""What is a price, and what is not."""

import pytest

from boxoffice_server.domain.errors import FieldViolation
from boxoffice_server.domain.money import MAX_AMOUNT, Money, is_currency_code, price_violations


@pytest.mark.parametrize("code", ["eur", "usd", "jpy"])
def test_three_small_letters_are_a_currency_code(code: str) -> None:
    """The form of ISO 4217 in lower case; which codes there are is Stripe's to say."""
    assert is_currency_code(code)


@pytest.mark.parametrize("code", ["", "eu", "euro", "EUR", "Eur", "e1r", "eur\n", " eur", "éur"])
def test_anything_else_is_no_currency_code(code: str) -> None:
    """Neither upper case nor anything around it."""
    assert not is_currency_code(code)


@pytest.mark.parametrize("amount", [1, 1250, MAX_AMOUNT])
def test_a_price_is_from_one_to_the_most(amount: int) -> None:
    """Both ends are prices."""
    assert price_violations(Money(amount=amount, currency="eur"), "price") == []


@pytest.mark.parametrize("amount", [0, -1, MAX_AMOUNT + 1])
def test_nothing_less_or_more_is_a_price(amount: int) -> None:
    """Zero, a debt, or more than Stripe takes."""
    assert price_violations(Money(amount=amount, currency="eur"), "price") == [
        FieldViolation(field="price.amount", description="must be from 1 to 99999999")
    ]


def test_all_faults_of_a_price_are_told_at_once() -> None:
    """A caller corrects a request once."""
    found = price_violations(Money(amount=0, currency="EUR"), "product.prices[0]")
    assert [each.field for each in found] == [
        "product.prices[0].currency_code",
        "product.prices[0].amount",
    ]
