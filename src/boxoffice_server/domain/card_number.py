"""What looks like the number of a payment card, and therefore must not be taken."""

import math
import re

_DIGITS = range(13, 19 + 1)
# How numbers are printed on cards, beside those that are written in one go.
_GROUPS = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 5))
# A run that touches a letter or another digit is a part of something longer, such as an id in hex.
_BEFORE, _AFTER = r"(?<![^\W_])", r"(?![^\W_])"
_SHAPES = tuple(
    # Looks ahead without moving on, for the next number may begin within this one.
    re.compile(f"{_BEFORE}(?=({shape}){_AFTER})")
    for shape in (
        rf"\d{{{_DIGITS[0]},{_DIGITS[-1]}}}",
        *("[ .-]".join(rf"\d{{{length}}}" for length in groups) for groups in _GROUPS),
    )
)
# All shapes begin like this and few other texts hold it, so most texts are looked at once. What
# stands before is looked at last, which is twice as fast.
_BEGIN = re.compile(r"\d{4}(?<![^\W_]\d{4})[ .-]?\d{4,6}[ .-]?\d{4}")
# The digits of 2 · d, added up.
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def holds_card_number(text: str) -> bool:
    """Tell whether a card number stands somewhere in a text.

    That is 13 to 19 digits with a right check digit (ISO/IEC 7812-1), in one go or in the groups in
    which cards show them, with a space, a dot or a hyphen in between.
    """
    if len(text) < _DIGITS[0] or _BEGIN.search(text) is None:
        return False
    return any(_is_checked(found[1]) for shape in _SHAPES for found in shape.finditer(text))


def is_card_number(number: float) -> bool:
    """Tell whether a number may have been a card number before it was made a double.

    Beyond 2⁵³ a double stands for all the integers that it is the nearest one to.
    """
    value = abs(number)
    if not (value.is_integer() and 10 ** (_DIGITS[0] - 1) <= value <= 10 ** _DIGITS[-1]):
        return False
    reach = int(math.ulp(value)) // 2
    candidates = range(int(value) - reach, int(value) + reach + 1)
    return any(len(text) in _DIGITS and _is_checked(text) for text in map(str, candidates))


def _is_checked(text: str) -> bool:
    digits = list(map(int, filter(str.isdecimal, text)))
    doubled = sum(map(_DOUBLED.__getitem__, digits[-2::-2]))
    return (sum(digits[-1::-2]) + doubled) % 10 == 0
