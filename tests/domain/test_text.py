"""The limits of texts and tags."""

import pytest

from boxoffice_server.domain.text import MAX_TAG, MAX_TAGS, tag_violations, text_violations


@pytest.mark.parametrize("text", ["a", "abc", "日本語", "a b"])
def test_a_text_within_its_limits_is_right(text: str) -> None:
    """Characters are counted, not bytes."""
    assert text_violations(text, "name", most=3) == []


@pytest.mark.parametrize("text", ["", "abcd"])
def test_a_text_beyond_its_limits_is_refused(text: str) -> None:
    """The description says both limits."""
    (found,) = text_violations(text, "name", most=3)
    assert (found.field, found.description) == ("name", "must have from 1 to 3 characters")


def test_a_text_may_be_empty_where_it_says_so() -> None:
    """The least length is the caller's to choose."""
    assert text_violations("", "name", most=3, least=0) == []


def test_a_nul_character_is_refused() -> None:
    """PostgreSQL can't keep one, and SQLite must not keep what PostgreSQL can't."""
    (found,) = text_violations("a\x00b", "name", most=3)
    assert found.description == "must not hold a NUL character"


def test_as_many_tags_as_allowed_are_right() -> None:
    """Each as long as allowed."""
    tags = [f"{number:0{MAX_TAG}}" for number in range(MAX_TAGS)]
    assert tag_violations(tags, "tags") == []


@pytest.mark.parametrize(
    ("tags", "fields"),
    [
        (["a", "a"], ["tags"]),
        ([str(number) for number in range(MAX_TAGS + 1)], ["tags"]),
        (["a", ""], ["tags[1]"]),
        (["a" * (MAX_TAG + 1)], ["tags[0]"]),
        (["a", "b\x00"], ["tags[1]"]),
        (["", ""], ["tags", "tags[0]", "tags[1]"]),
    ],
    ids=["twice", "too many", "empty", "too long", "NUL", "several"],
)
def test_a_wrong_tag_is_named_by_its_place(tags: list[str], fields: list[str]) -> None:
    """A caller finds the tag that is meant."""
    assert [each.field for each in tag_violations(tags, "tags")] == fields


def test_a_flood_of_tags_gives_a_short_answer() -> None:
    """However many are sent, only the first few are looked at one by one."""
    found = tag_violations([f"{number}\x00" for number in range(100_000)], "tags")
    assert len(found) <= MAX_TAGS + 2
