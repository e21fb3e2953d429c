"""The limits of names, ids and tags, which are the same wherever they appear."""

from collections.abc import Sequence

from boxoffice_server.domain.errors import FieldViolation

MAX_REQUEST_ID = 36
MAX_USER_ID = 64
MAX_ID = 64
MAX_STRIPE_ID = 255
MAX_TAG = 64
MAX_TAGS = 50


def text_violations(value: str, field: str, *, most: int, least: int = 1) -> list[FieldViolation]:
    """Tell what is wrong with a text that must have from `least` to `most` characters.

    A NUL character is refused everywhere, since PostgreSQL can't keep one.
    """
    if not least <= len(value) <= most:
        what = f"must have from {least} to {most} characters"
        return [FieldViolation(field=field, description=what)]
    if "\x00" in value:
        return [FieldViolation(field=field, description="must not hold a NUL character")]
    return []


def tag_violations(tags: Sequence[str], field: str) -> list[FieldViolation]:
    """Tell what is wrong with a list of tags."""
    found = []
    if len(tags) > MAX_TAGS:
        found.append(FieldViolation(field=field, description=f"must have at most {MAX_TAGS} tags"))
    if len(set(tags)) != len(tags):
        found.append(FieldViolation(field=field, description="must not hold a tag twice"))
    for index, tag in enumerate(tags[: MAX_TAGS + 1]):
        found.extend(text_violations(tag, f"{field}[{index}]", most=MAX_TAG))
    return found
