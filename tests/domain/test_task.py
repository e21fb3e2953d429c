"""How a task is offered, and who starts it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.task import LeasePolicy, Task, TaskState, acknowledge, offer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = LeasePolicy()
TASK = Task(
    id="tsk_1",
    order_id="ord_1",
    function_name="print-ticket",
    priority=5,
    state=TaskState.PENDING,
    attempts=0,
    worker_id="",
    lease_id="",
    lease_time=None,
    available_time=NOW,
    create_time=NOW,
)


def offered(task: Task = TASK, *, lease_id: str = "lse_1", now: datetime = NOW) -> Task:
    """Offer a task to a worker."""
    return offer(task, worker_id="worker-1", lease_id=lease_id, now=now, policy=POLICY)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 300), (11, 300), (10**9, 300)],
)
def test_the_pause_between_offers_doubles_up_to_five_minutes(attempts: int, seconds: int) -> None:
    """A function that fails for days is not asked every second."""
    assert POLICY.backoff(attempts) == timedelta(seconds=seconds)


@given(st.integers(min_value=0, max_value=1000))
def test_the_pause_never_shrinks(attempts: int) -> None:
    """Nor is it ever below the first or above the most."""
    pause = POLICY.backoff(attempts)
    assert POLICY.first_backoff <= pause <= POLICY.backoff(attempts + 1) <= POLICY.most_backoff


def test_an_offer_holds_for_a_lease() -> None:
    """The next one comes a pause after the lease has run out."""
    task = offered()
    assert task.state is TaskState.OFFERED
    assert (task.attempts, task.worker_id, task.lease_id) == (1, "worker-1", "lse_1")
    assert task.lease_time == NOW + timedelta(seconds=30)
    assert task.available_time == NOW + timedelta(seconds=31)


def test_every_further_offer_counts() -> None:
    """And waits longer."""
    task = offered(offered(), lease_id="lse_2")
    assert (task.attempts, task.lease_id) == (2, "lse_2")
    assert task.available_time == NOW + timedelta(seconds=32)


def test_who_holds_the_lease_starts_the_task() -> None:
    """The task keeps who it was and when."""
    task = acknowledge(offered(), lease_id="lse_1", now=NOW)
    assert task.state is TaskState.ACKNOWLEDGED
    assert (task.worker_id, task.acknowledge_time) == ("worker-1", NOW)


def test_starting_twice_changes_nothing() -> None:
    """A worker that did not hear the answer asks again."""
    started = acknowledge(offered(), lease_id="lse_1", now=NOW)
    later = NOW + timedelta(hours=1)
    assert acknowledge(started, lease_id="lse_1", now=later) == started


def test_a_late_start_counts_until_the_task_is_offered_again() -> None:
    """The work is not done twice because an answer was slow."""
    late = NOW + timedelta(minutes=10)
    assert acknowledge(offered(), lease_id="lse_1", now=late).acknowledge_time == late


@pytest.mark.parametrize(
    ("task", "lease_id"),
    [
        (TASK, ""),
        (TASK, "lse_1"),
        (offered(), ""),
        (offered(), "lse_2"),
        (offered(offered(), lease_id="lse_2"), "lse_1"),
        (acknowledge(offered(), lease_id="lse_1", now=NOW), "lse_2"),
        (replace(offered(), state=TaskState.WITHDRAWN), "lse_1"),
        (replace(offered(), state=TaskState.PENDING), "lse_1"),
    ],
    ids=[
        "never offered",
        "never offered, a lease",
        "no lease",
        "a stranger's",
        "offered again",
        "started by another",
        "withdrawn",
        "put back",
    ],
)
def test_nobody_else_starts_it(task: Task, lease_id: str) -> None:
    """A task starts once, under the last lease that was given."""
    with pytest.raises(BoxofficeError) as caught:
        acknowledge(task, lease_id=lease_id, now=NOW)
    assert caught.value.reason is Reason.LEASE_LOST
    assert caught.value.metadata == {"task_id": "tsk_1"}
