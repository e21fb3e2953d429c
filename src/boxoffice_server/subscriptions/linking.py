"""Whose a subscription is: purchases that are handed in, and users that go."""

from collections.abc import Sequence
from dataclasses import dataclass

from boxoffice_server.domain.errors import BoxofficeError, Reason
from boxoffice_server.domain.facts import AccountToken, Link, SubscriptionFact
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.subscription import LineageKey
from boxoffice_server.ports import Clock, Repository
from boxoffice_server.subscriptions.engine import Brought, Subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """What a user held, and how many tokens were the user's, before they were detached."""

    lineage_ids: tuple[str, ...]
    ended_tokens: int


class Linking:
    """Links lineages to users, and lets go of them."""

    def __init__(self, *, clock: Clock, subscriptions: Subscriptions) -> None:
        self._clock = clock
        self._subscriptions = subscriptions

    def hand_in(
        self,
        repo: Repository,
        facts: Sequence[SubscriptionFact],
        *,
        user_id: str,
        reassign: bool,
        actor: str,
    ) -> Brought:
        """Link the lineage of these facts, all of one, to a user.

        Raises SUBSCRIPTION_HELD where another user holds it, unless `reassign`.
        """
        told = facts[0].lineage
        self._subscriptions.keep(repo, told, facts)
        pictures = self._subscriptions.pictures
        key = pictures.root(repo, told)
        repo.lineages.lock(key)
        now = self._clock.now()
        holder = pictures.take(repo, key).holder(now)
        if holder not in ("", user_id) and not reassign:
            raise BoxofficeError(
                Reason.SUBSCRIPTION_HELD,
                "another user holds this subscription; send reassign to take it",
                metadata={"lineage_id": key.id},
            )
        if holder != user_id:
            self._link(repo, key, user_id=user_id, actor=actor)
        return self._subscriptions.bring(repo, told)

    def detach(self, repo: Repository, user_id: str, *, actor: str) -> Detached:
        """Let go of all that a user holds.

        The user's tokens link no purchase that is made from now on, and the user's own id none
        either, which an app may have used as a token.
        """
        now = self._clock.now()
        ended = repo.account_tokens.end(user_id, now)
        own = AccountToken(token=user_id, user_id=user_id, create_time=now, end_time=now)
        repo.account_tokens.insert(own)
        held = repo.lineages.of_user(user_id)
        for lineage in held:
            repo.lineages.lock(lineage.key)
            self._link(repo, lineage.key, user_id="", actor=actor)
            self._subscriptions.bring(repo, lineage.key)
        return Detached(lineage_ids=tuple(each.key.id for each in held), ended_tokens=ended)

    def _link(self, repo: Repository, key: LineageKey, *, user_id: str, actor: str) -> None:
        now = self._clock.now()
        repo.links.insert(
            Link(
                id=new_id(Prefix.LINK, now),
                lineage_id=key.id,
                user_id=user_id,
                time=now,
                record_time=now,
                actor=actor,
            )
        )
