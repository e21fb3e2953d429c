"""The console over HTTP: on loopback only, and read only."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.console.tale import HOSTILE, USER, tell_everything
from tests.console.test_page import read
from tests.support.logs import recorded_log
from tests.support.service import ServiceThread, running_service
from tests.test_http import Answer, ask

PAGE = f"/console/users/{USER}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceThread]:
    """A running service to which the story was told."""
    url = f"sqlite:///{tmp_path_factory.mktemp('service') / 'boxoffice.db'}"
    with running_service(url, timings=None) as service:
        now = datetime.now(UTC)
        service.run(lambda application: tell_everything(application._store, now))
        yield service


def get(service: ServiceThread, path: str, *, host: str = "localhost:8080") -> Answer:
    """Ask for a page; whatever it is, it is a whole one that runs nothing."""
    answer = ask(service, "GET", path, headers={"Host": host})
    if answer.status != 303:
        assert answer.type == "text/html; charset=utf-8"
        read(answer.body.decode())
    return answer


def test_a_users_page_tells_the_whole_story(service: ServiceThread) -> None:
    """What is current, the drawing, the events, who held it, and what waits."""
    answer = get(service, PAGE)
    text = answer.body.decode()
    assert answer.status == 200
    for heading in ("Now", "Over time", "Events", "Who held what", "Waiting"):
        assert f">{heading}</h2>" in text
    assert text.count('class="lane-name"') == 4
    for words in ("in billing retry", "refunded", "using promotion", "is not in the catalogue"):
        assert words in text
    assert HOSTILE not in text


def test_the_time_can_be_chosen(service: ServiceThread) -> None:
    """What lies outside is not drawn; a moment that is asked for has a line."""
    text = get(service, f"{PAGE}?from=2001-01-01&until=2001-02-01&as_of=2001-01-05").body.decode()
    assert text.count("nothing at this time") == 4
    assert "As of 5 Jan 2001 UTC" in text
    assert 'class="as-of"' in text
    assert 'value="2001-01-05"' in text


@pytest.mark.parametrize(
    "query", ["from=x", "as_of=9999-01-01", "from=2026-01-02&until=2026-01-01"]
)
def test_a_question_without_sense_is_refused_in_words(service: ServiceThread, query: str) -> None:
    """400, with the parameter's name."""
    answer = get(service, f"{PAGE}?{query}")
    assert answer.status == 400
    assert query.split("=", maxsplit=1)[0] in answer.body.decode()


@pytest.mark.parametrize(
    "name", ["nobody", "%3Cscript%3E", "a%2Fb", "x" * 200, "%00", "%FF", "%E2%82%AC"]
)
def test_an_unknown_user_has_an_empty_page(service: ServiceThread, name: str) -> None:
    """200, whatever the id looks like."""
    answer = get(service, f"/console/users/{name}")
    assert answer.status == 200
    assert "Nothing is known of this user" in answer.body.decode()


def test_a_user_is_found_by_id_and_by_the_newest_changes(service: ServiceThread) -> None:
    """The index leads to the page."""
    assert f'href="{PAGE}"' in get(service, "/console").body.decode()
    assert get(service, f"/console/users?id=+{USER}+").status == 303
    assert get(service, "/console/users").status == 303


def test_nothing_can_be_changed(service: ServiceThread) -> None:
    """Pages are read, and that is all."""
    for path in ("/console", PAGE):
        assert ask(service, "POST", path).status == 405


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8080", "localhost.evil.example", "["])
def test_a_page_of_another_site_reads_nothing(service: ServiceThread, host: str) -> None:
    """One that has its own name lead to this machine."""
    answer = get(service, PAGE, host=host)
    assert answer.status == 403
    assert USER.encode() not in answer.body


@pytest.mark.parametrize("host", ["127.0.0.1:1", "[::1]:8080", "localhost"])
def test_this_machine_may_read(service: ServiceThread, host: str) -> None:
    """By each of its names."""
    assert get(service, PAGE, host=host).status == 200


def test_trouble_is_told_without_its_words(service: ServiceThread) -> None:
    """503 where the store is away, 500 for a fault of ours, whose story is in the log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "_is_open", False)
        assert get(service, PAGE).status == 503

    async def fail(*_: object) -> None:
        raise RuntimeError("SELECT secrets")

    with recorded_log() as log, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application._store, "read", fail)
        answer = get(service, PAGE)
    assert answer.status == 500
    assert b"SELECT" not in answer.body
    (line,) = (line for line in log.lines if line["level"] == "error")
    assert line["request_id"] in answer.body.decode()


def test_beyond_loopback_the_console_is_off(tmp_path: Path) -> None:
    """404, and the log says why; health is told all the same."""
    url = f"sqlite:///{tmp_path / 'boxoffice.db'}"
    everywhere = {"BOXOFFICE_HTTP_ADDRESS": "0.0.0.0:0"}
    with recorded_log() as log, running_service(url, timings=None, **everywhere) as service:
        assert ask(service, "GET", "/console").status == 404
        assert ask(service, "GET", PAGE).status == 404
        assert ask(service, "GET", "/healthz").status == 200
    (line,) = (line for line in log.lines if "the console is off" in line["event"])
    assert line["address"] == "0.0.0.0:0"
