"""EntitlementsService: how purchases become a user's, and what is given by hand."""

import uuid
from datetime import datetime

from boxoffice.entitlements.v1 import purchases_pb2 as pb
from boxoffice.entitlements.v1 import subscriptions_pb2
from boxoffice_server.api.context import Context
from boxoffice_server.api.convert import from_timestamp, to_timestamp
from boxoffice_server.api.convert_entitlements import (
    from_environment,
    subscription_product_not_found,
    to_entitlement,
    to_environment,
)
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.errors import BoxofficeError, Reason, invalid_field
from boxoffice_server.domain.facts import AccountToken, SubscriptionFact
from boxoffice_server.domain.grant import Grant
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.subscription import Environment, LineageKey, SubscriptionSource
from boxoffice_server.domain.text import text_violations
from boxoffice_server.ports import Clock, Repository, SubmittedPurchase, SubmittedPurchases
from boxoffice_server.subscriptions.granting import Granting
from boxoffice_server.subscriptions.linking import Linking

MAX_REASON = 500
MAX_ACTOR = 64


class PurchaseMethods:
    """Links purchases to users, and gives by hand."""

    def __init__(
        self,
        *,
        clock: Clock,
        writes: Writes,
        linking: Linking,
        granting: Granting,
        purchases: SubmittedPurchases,
        environment: Environment,
    ) -> None:
        self._clock = clock
        self._writes = writes
        self._linking = linking
        self._granting = granting
        self._purchases = purchases
        self._environment = environment

    async def CreateAppAccountToken(
        self, request: pb.CreateAppAccountTokenRequest, context: Context
    ) -> pb.CreateAppAccountTokenResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.user_id(request.user_id, "user_id")
        faults.refuse()
        key = self._writes.key(request.request_id, "CreateAppAccountToken", context)

        def create(repo: Repository) -> pb.CreateAppAccountTokenResponse:
            now = self._clock.now()
            token = AccountToken(token=str(uuid.uuid4()), user_id=request.user_id, create_time=now)
            repo.account_tokens.insert(token)
            return pb.CreateAppAccountTokenResponse(
                app_account_token=token.token,
                create_time=to_timestamp(now),
                resume_token=repo.log.here().encode(),
            )

        return await self._writes.once(key, request, pb.CreateAppAccountTokenResponse, create)

    async def SubmitAppStoreTransaction(
        self, request: pb.SubmitAppStoreTransactionRequest, context: Context
    ) -> pb.SubmitAppStoreTransactionResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.user_id(request.user_id, "user_id")
        faults.extend(text_violations(request.actor, "actor", most=MAX_ACTOR))
        faults.refuse()
        key = self._writes.key(request.request_id, "SubmitAppStoreTransaction", context)
        answer_type = pb.SubmitAppStoreTransactionResponse
        known = await self._writes.known(key, request, answer_type)
        if known is not None:
            return known
        fact = await self._read_purchase(request)

        def link(repo: Repository) -> pb.SubmitAppStoreTransactionResponse:
            brought = self._linking.hand_in(
                repo,
                [fact],
                user_id=request.user_id,
                reassign=request.reassign,
                actor=request.actor,
            )
            lineage = brought.lineage.key
            return answer_type(
                entitlements=self._entitlements(repo, lineage, request.user_id),
                lineage_id=lineage.id,
                resume_token=repo.log.here().encode(),
            )

        return await self._writes.once(key, request, answer_type, link)

    async def _read_purchase(
        self, request: pb.SubmitAppStoreTransactionRequest
    ) -> SubscriptionFact:
        match request.WhichOneof("purchase"):
            case "signed_transaction":
                purchase = SubmittedPurchase(signed_transaction=request.signed_transaction)
            case "transaction_id":
                purchase = SubmittedPurchase(transaction_id=request.transaction_id)
            case "receipt_data":
                purchase = SubmittedPurchase(receipt=request.receipt_data)
            case None:
                raise invalid_field(
                    "purchase",
                    "must be one of signed_transaction, transaction_id and receipt_data",
                )
        return await self._purchases.read(purchase, now=self._clock.now())

    async def GrantEntitlement(
        self, request: pb.GrantEntitlementRequest, context: Context
    ) -> pb.GrantEntitlementResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.user_id(request.user_id, "user_id")
        faults.id(request.product_id, "product_id")
        _check_why(faults, request.reason, request.actor)
        faults.refuse()
        environment = from_environment(
            request.environment, "environment", default=self._environment
        )
        key = self._writes.key(request.request_id, "GrantEntitlement", context)

        def give(repo: Repository) -> pb.GrantEntitlementResponse:
            now = self._clock.now()
            _check_grantable(repo, request.product_id)
            start, end = _span(request, now)
            grant = Grant(
                id=new_id(Prefix.GRANT, now),
                product_id=request.product_id,
                user_id=request.user_id,
                environment=environment,
                from_time=start,
                until_time=end,
                reason=request.reason,
                actor=request.actor,
                create_time=now,
            )
            self._granting.grant(repo, grant)
            return pb.GrantEntitlementResponse(
                grant=_to_grant(grant),
                entitlement=self._granted(repo, grant),
                resume_token=repo.log.here().encode(),
            )

        return await self._writes.once(key, request, pb.GrantEntitlementResponse, give)

    async def RevokeGrant(
        self, request: pb.RevokeGrantRequest, context: Context
    ) -> pb.RevokeGrantResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.grant_id, "grant_id")
        _check_why(faults, request.reason, request.actor)
        faults.refuse()
        key = self._writes.key(request.request_id, "RevokeGrant", context)

        def revoke(repo: Repository) -> pb.RevokeGrantResponse:
            grant = self._granting.revoke(
                repo, request.grant_id, reason=request.reason, actor=request.actor
            )
            return pb.RevokeGrantResponse(
                grant=_to_grant(grant),
                entitlement=self._granted(repo, grant),
                resume_token=repo.log.here().encode(),
            )

        return await self._writes.once(key, request, pb.RevokeGrantResponse, revoke)

    async def DetachUser(
        self, request: pb.DetachUserRequest, context: Context
    ) -> pb.DetachUserResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.user_id(request.user_id, "user_id")
        faults.extend(text_violations(request.actor, "actor", most=MAX_ACTOR))
        faults.refuse()
        key = self._writes.key(request.request_id, "DetachUser", context)

        def detach(repo: Repository) -> pb.DetachUserResponse:
            detached = self._linking.detach(repo, request.user_id, actor=request.actor)
            return pb.DetachUserResponse(
                lineage_ids=detached.lineage_ids,
                ended_tokens=detached.ended_tokens,
                resume_token=repo.log.here().encode(),
            )

        return await self._writes.once(key, request, pb.DetachUserResponse, detach)

    def _entitlements(
        self, repo: Repository, lineage: LineageKey, user_id: str
    ) -> list[subscriptions_pb2.Entitlement]:
        now = self._clock.now()
        return [
            to_entitlement(each, each.at(now))
            for each in repo.entitlements.of_lineage(lineage.id)
            if each.user_id == user_id
        ]

    def _granted(self, repo: Repository, grant: Grant) -> subscriptions_pb2.Entitlement | None:
        return next(iter(self._entitlements(repo, grant.lineage, grant.user_id)), None)


def _check_why(faults: Faults, reason: str, actor: str) -> None:
    faults.extend(text_violations(reason, "reason", most=MAX_REASON))
    faults.extend(text_violations(actor, "actor", most=MAX_ACTOR))


def _check_grantable(repo: Repository, product_id: str) -> None:
    """Raise unless the product is one that is given by hand; holds it, so that it stays."""
    product = repo.subscription_products.get(product_id, lock=True)
    if product is None:
        raise subscription_product_not_found(product_id)
    if product.source is not SubscriptionSource.MANUAL:
        raise BoxofficeError(
            Reason.PRODUCT_NOT_GRANTABLE,
            f"subscription product {product_id} is sold by {product.source}, not given by hand",
            metadata={"product_id": product_id},
        )


def _span(request: pb.GrantEntitlementRequest, now: datetime) -> tuple[datetime, datetime | None]:
    start = from_timestamp(request.from_time, "from_time") if request.HasField("from_time") else now
    if not request.HasField("until_time"):
        return start, None
    end = from_timestamp(request.until_time, "until_time")
    if end <= start:
        raise invalid_field("until_time", "must be after from_time")
    return start, end


def _to_grant(grant: Grant) -> pb.Grant:
    until, revoked = grant.until_time, grant.revoke_time
    return pb.Grant(
        id=grant.id,
        product_id=grant.product_id,
        user_id=grant.user_id,
        environment=to_environment(grant.environment),
        from_time=to_timestamp(grant.from_time),
        until_time=None if until is None else to_timestamp(until),
        reason=grant.reason,
        actor=grant.actor,
        create_time=to_timestamp(grant.create_time),
        revoke_time=None if revoked is None else to_timestamp(revoked),
        revoke_reason=grant.revoke_reason,
        revoke_actor=grant.revoke_actor,
    )
