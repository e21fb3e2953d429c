"""OrdersService: the order methods, and with them the whole servicer."""

import asyncio

from boxoffice.orders.v1 import orders_pb2 as pb
from boxoffice.orders.v1 import orders_pb2_grpc
from boxoffice_server.api import convert
from boxoffice_server.api.context import Context
from boxoffice_server.api.order_changes import OrderChangeMethods
from boxoffice_server.api.pages import read_page
from boxoffice_server.api.products import ProductMethods, check_etag, mask_violations
from boxoffice_server.api.requests import Faults
from boxoffice_server.api.tasks import Follow, TaskMethods
from boxoffice_server.api.watch import watch
from boxoffice_server.api.writes import Writes
from boxoffice_server.domain.order import Order, change
from boxoffice_server.domain.stream import LogFilter, RecordKind
from boxoffice_server.domain.task import LeasePolicy
from boxoffice_server.domain.text import tag_violations
from boxoffice_server.ports import Clock, FrameSource, OrderFilter, Repository, Store
from boxoffice_server.settlement import Settlement

MOST_ORDER_IDS = 500


# grpc.aio takes coroutines that write their stream themselves; the generated types don't say so.
class OrdersServicer(  # type: ignore[misc]
    ProductMethods, OrderChangeMethods, TaskMethods, orders_pb2_grpc.OrdersServiceServicer
):
    """Products, orders and tasks over gRPC."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        writes: Writes,
        feed: FrameSource,
        follow: Follow,
        draining: asyncio.Event,
        leases: LeasePolicy,
        settlement: Settlement,
    ) -> None:
        ProductMethods.__init__(self, store=store, clock=clock, writes=writes)
        OrderChangeMethods.__init__(
            self, store=store, clock=clock, writes=writes, settlement=settlement
        )
        TaskMethods.__init__(
            self,
            store=store,
            clock=clock,
            follow=follow,
            draining=draining,
            leases=leases,
            settlement=settlement,
        )
        self._feed = feed

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.GetOrderResponse:
        del context
        faults = Faults()
        faults.id(request.order_id, "order_id")
        faults.refuse()
        order = await self._store.read(lambda repo: repo.orders.get(request.order_id))
        if order is None:
            raise convert.order_not_found(request.order_id)
        return pb.GetOrderResponse(order=convert.to_order(order))

    async def ListOrders(
        self, request: pb.ListOrdersRequest, context: Context
    ) -> pb.ListOrdersResponse:
        del context
        wanted = _read_filter(request)
        page = read_page(request, page_size=request.page_size, page_token=request.page_token)

        def load(repo: Repository) -> tuple[str, list[Order]]:
            token = repo.log.bounds().head_token().encode()
            return token, repo.orders.find(wanted, before_id=page.before_id, limit=page.fetch)

        token, loaded = await self._store.read(load)
        orders, next_page_token = page.cut(loaded)
        return pb.ListOrdersResponse(
            orders=[convert.to_order(order) for order in orders],
            next_page_token=next_page_token,
            resume_token=token,
        )

    async def UpdateOrder(
        self, request: pb.UpdateOrderRequest, context: Context
    ) -> pb.UpdateOrderResponse:
        faults = Faults()
        faults.request_id(request.request_id)
        faults.id(request.order.id, "order.id")
        faults.extend(mask_violations(request.update_mask, {"tags"}))
        faults.extend(tag_violations(request.order.tags, "order.tags"))
        faults.refuse()
        key = self._writes.key(request.request_id, "UpdateOrder", context)

        def update(repo: Repository) -> pb.UpdateOrderResponse:
            order = repo.orders.get(request.order.id, lock=True)
            if order is None:
                raise convert.order_not_found(request.order.id)
            check_etag(request.order.etag, order.version)
            event = change(order, now=self._clock.now(), tags=tuple(request.order.tags))
            if event is not None:
                order = event.order
                repo.orders.update(order)
                repo.log.append(event)
            return pb.UpdateOrderResponse(
                order=convert.to_order(order), resume_token=repo.log.here().encode()
            )

        return await self._writes.once(key, request, pb.UpdateOrderResponse, update)

    async def WatchOrders(  # type: ignore[override]
        self, request: pb.WatchOrdersRequest, context: Context
    ) -> None:
        faults = Faults()
        faults.user_id(request.user_id, "user_id", required=False)
        faults.optional_id(request.order_id, "order_id")
        faults.optional_id(request.product_id, "product_id")
        faults.refuse()
        wanted = LogFilter(
            kind=RecordKind.ORDER,
            subject_id=request.order_id,
            user_id=request.user_id,
            product_id=request.product_id,
            statuses=frozenset(convert.from_order_statuses(request.statuses, "statuses")),
        )
        await watch(context, self._feed, wanted, request, pb.WatchOrdersResponse)


def _read_filter(request: pb.ListOrdersRequest) -> OrderFilter:
    faults = Faults()
    faults.page_size(request.page_size)
    if len(request.order_ids) > MOST_ORDER_IDS:
        faults.add("order_ids", f"must hold at most {MOST_ORDER_IDS} ids")
    for index, order_id in enumerate(request.order_ids[: MOST_ORDER_IDS + 1]):
        faults.id(order_id, f"order_ids[{index}]")
    faults.user_id(request.user_id, "user_id", required=False)
    faults.user_id(request.target_user_id, "target_user_id", required=False)
    faults.optional_id(request.product_id, "product_id")
    faults.optional_tag(request.tag, "tag")
    faults.refuse()
    from_time = until_time = None
    if request.HasField("from_time"):
        from_time = convert.from_timestamp(request.from_time, "from_time")
    if request.HasField("until_time"):
        until_time = convert.from_timestamp(request.until_time, "until_time")
    return OrderFilter(
        order_ids=tuple(request.order_ids),
        user_id=request.user_id,
        target_user_id=request.target_user_id,
        statuses=convert.from_order_statuses(request.statuses, "statuses"),
        product_id=request.product_id,
        tag=request.tag,
        from_time=from_time,
        until_time=until_time,
    )
