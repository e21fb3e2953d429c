"""Card numbers are found wherever they stand, and nothing of ours is taken for one."""

import base64
import random
import re
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from boxoffice_server.domain.card_number import holds_card_number, is_card_number
from boxoffice_server.domain.ids import Prefix, hashed_id, new_id
from boxoffice_server.domain.stream import TokenKind
from tests.support.tokens import a_token

MANY = settings(max_examples=500)
# Numbers that Stripe publishes for tests, as their cards show them.
PRINTED = (
    "4242 4242 4242 4242",
    "5555 5555 5555 4444",
    "6205 5000 0000 0000 004",
    "3782 822463 10005",
    "3056 930902 5904",
    "4222 2222 22222",
)
SHAPES: dict[int, tuple[int, ...]] = {
    13: (4, 4, 5),
    14: (4, 6, 4),
    15: (4, 6, 5),
    16: (4, 4, 4, 4),
    19: (4, 4, 4, 4, 3),
}


def check_digit(digits: str) -> str:
    """What makes a number valid, by the book: every second digit is doubled, from the right."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        doubled = int(digit) * 2 if index % 2 == 0 else int(digit)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def group(number: str, lengths: tuple[int, ...], separators: list[str]) -> str:
    """Write a number in groups."""
    groups, rest = [], number
    for length in lengths:
        groups.append(rest[:length])
        rest = rest[length:]
    return "".join(a + b for a, b in zip(groups, [*separators, ""], strict=True))


_numbers = st.text("0123456789", min_size=12, max_size=18).map(
    lambda digits: digits + check_digit(digits)
)
_wrong = st.tuples(_numbers, st.integers(1, 9)).map(
    lambda drawn: drawn[0][:-1] + str((int(drawn[0][-1]) + drawn[1]) % 10)
)


@st.composite
def written(draw: st.DrawFn, numbers: st.SearchStrategy[str]) -> str:
    """A number as a person may write it."""
    number = draw(numbers)
    lengths = draw(st.sampled_from([(len(number),), SHAPES.get(len(number), (len(number),))]))
    gaps = len(lengths) - 1
    separators = draw(st.lists(st.sampled_from(" .-"), min_size=gaps, max_size=gaps))
    return group(number, lengths, separators)


# What may stand beside a number: anything, if no letter or digit touches it.
_before = st.text().filter(lambda text: not text[-1:].isalnum())
_after = st.text().filter(lambda text: not text[:1].isalnum())
# Nothing that could be a part of another number.
_words = st.text("abcxyz äß_,;:/\n")


@MANY
@given(number=written(_numbers), before=_before, after=_after)
@example(number="4242424242424242", before="1234-", after="-123")
@example(number="4242 4242 4242 4242", before="1234 ", after=" 123")
@example(number="4242424242424242", before="card_", after="_")
def test_valid_number_is_found_in_any_text(number: str, before: str, after: str) -> None:
    """In one go or in groups; also where other digits stand before and behind."""
    assert holds_card_number(before + number + after)


@pytest.mark.parametrize("printed", PRINTED)
def test_number_is_found_as_its_card_shows_it(printed: str) -> None:
    """And without the spaces."""
    assert holds_card_number(printed)
    assert holds_card_number(printed.replace(" ", ""))


def test_number_is_found_in_the_digits_of_any_script() -> None:
    """As a keyboard in full width writes it."""
    assert holds_card_number("\N{FULLWIDTH DIGIT FOUR}\N{FULLWIDTH DIGIT TWO}" * 8)


@MANY
@given(number=written(_wrong), before=_words, after=_words)
def test_number_with_a_wrong_check_digit_is_none(number: str, before: str, after: str) -> None:
    """Nine of ten long numbers are something else."""
    digits = re.sub("[ .-]", "", number)
    # The last group may be a card's security code, and the number before it a right one.
    assume(len(number) == len(digits) or check_digit(digits[:15]) != digits[15:16])
    assert not holds_card_number(f"{before} {number} {after}")


@MANY
@given(
    number=_numbers,
    letter=st.characters(categories=["L", "Nd"]),
    before=st.booleans(),
)
def test_number_that_touches_a_letter_is_none(number: str, letter: str, *, before: bool) -> None:
    """It is a part of an id, however much the rest looks like a card; a digit makes it longer."""
    if letter.isdecimal():
        number, letter = f"{number:0<19}", letter * 20
    assert not holds_card_number(letter + number if before else number + letter)


@pytest.mark.parametrize("digits", [12, 20, 32, 64])
def test_number_of_another_length_is_none(digits: int) -> None:
    """Zeros have a right check digit at any length."""
    assert not holds_card_number("0" * digits)
    assert holds_card_number("0" * 13)


@pytest.mark.parametrize(
    "text",
    [
        "4242  4242  4242  4242",
        "42 42 42 42 42 42 42 42",
        "424242 4242424242",
        "4242/4242/4242/4242",
        "2026-11-21 12:00:00.000000",
        "+49 170 1234567",
        "",
    ],
)
def test_digits_in_other_groups_are_none(text: str) -> None:
    """Nobody prints a card's number like this."""
    assert not holds_card_number(text)


@MANY
@given(st.uuids(version=4))
@example(uuid.UUID("12345678-1234-4123-8123-123456789012"))
@example(uuid.UUID("00000000-0000-4000-8000-000000000000"))
def test_uuid_is_none(value: uuid.UUID) -> None:
    """Neither with hyphens nor without, whichever its digits are."""
    assert not holds_card_number(str(value))
    assert not holds_card_number(value.hex)
    assert not holds_card_number(value.urn)


@MANY
@given(
    value=st.text("0123456789", min_size=32, max_size=32),
    prefix=st.sampled_from(Prefix),
)
def test_id_of_digits_alone_is_none(value: str, prefix: Prefix) -> None:
    """The unluckiest id there can be is too long to be a card."""
    assert not holds_card_number(f"{prefix}_{value}")


def test_none_of_very_many_random_texts_is_one() -> None:
    """UUIDs, tokens in base64 and hex, our own ids: what requests are full of."""
    chance = random.Random(7)
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for _ in range(20_000):
        noise = chance.randbytes(24)
        for text in (
            str(uuid.UUID(bytes=noise[:16], version=4)),
            noise.hex(),
            base64.b64encode(noise).decode(),
            base64.urlsafe_b64encode(noise).decode(),
            new_id(Prefix.PAYMENT, now),
        ):
            assert not holds_card_number(text)


@MANY
@given(
    now=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    prefix=st.sampled_from(Prefix),
    number=st.integers(0, 2**63 - 1),
    log_id=st.uuids(version=4),
    noise=st.binary(min_size=16, max_size=64),
)
def test_what_we_hand_out_is_none(
    now: datetime, prefix: Prefix, number: int, log_id: uuid.UUID, noise: bytes
) -> None:
    """Ids, tokens, and whatever else is base64."""
    assert not holds_card_number(new_id(prefix, now))
    assert not holds_card_number(hashed_id(prefix, str(number)))
    for kind in TokenKind:
        assert not holds_card_number(a_token(log_id=log_id, kind=kind, number=number).encode())
    assert not holds_card_number(base64.b64encode(noise).decode())
    assert not holds_card_number(base64.urlsafe_b64encode(noise).decode())


@MANY
@given(_numbers.filter(lambda number: number[0] != "0"))
@example("4242424242424242")
@example("6205500000000000004")
@example("9999999999999999993")
def test_valid_number_is_found_as_a_double(number: str) -> None:
    """Also one of so many digits that the double is no longer exact."""
    assert is_card_number(float(number))
    assert is_card_number(-float(number))


@MANY
@given(_wrong.filter(lambda number: number[0] != "0" and int(number) < 2**53))
def test_exact_double_with_a_wrong_check_digit_is_none(number: str) -> None:
    """As with texts."""
    assert not is_card_number(float(number))


@pytest.mark.parametrize(
    "number",
    [0.0, 12.5, 99999999.0, 4242424242424242.5, 424242424242.0, 1e20, 1.7e308, 5e-324],
)
def test_double_of_another_size_is_none(number: float) -> None:
    """Prices, weights, and numbers with a fraction."""
    assert not is_card_number(number)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_double_that_is_no_number_is_none(number: float) -> None:
    """Others refuse those."""
    assert not is_card_number(number)
