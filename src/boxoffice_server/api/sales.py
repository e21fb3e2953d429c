"""What is recorded of a sale: an order for a product, by whichever way it will be paid."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from google.protobuf.struct_pb2 import Struct

from boxoffice_server.api import convert
from boxoffice_server.api.products import product_deleted, product_not_found
from boxoffice_server.api.requests import Faults
from boxoffice_server.domain.ids import Prefix, new_id
from boxoffice_server.domain.money import DEFAULT_CURRENCY, is_currency_code
from boxoffice_server.domain.order import Order, OrderStatus
from boxoffice_server.domain.product import check_data, price_in
from boxoffice_server.domain.text import tag_violations
from boxoffice_server.ports import Repository


class SaleRequest(Protocol):
    """What all requests for a sale have in common."""

    request_id: str
    user_id: str
    target_user_id: str
    product_id: str
    currency_code: str

    @property
    def data(self) -> Struct: ...
    @property
    def tags(self) -> Sequence[str]: ...


def sale_faults(request: SaleRequest) -> Faults:
    """Tell what no state of the store could make right about a sale."""
    faults = Faults()
    faults.request_id(request.request_id)
    faults.user_id(request.user_id, "user_id")
    faults.user_id(request.target_user_id, "target_user_id", required=False)
    faults.id(request.product_id, "product_id")
    if request.currency_code and not is_currency_code(request.currency_code):
        faults.add("currency_code", "must be an ISO 4217 code in lower case, such as eur")
    faults.extend(tag_violations(request.tags, "tags"))
    return faults


def new_order(
    repo: Repository,
    request: SaleRequest,
    *,
    created_by: str,
    payment_id: str,
    now: datetime,
) -> Order:
    """Make the order that a request asks for. Raises what is wrong with it and the product."""
    product = repo.products.on_sale(request.product_id)
    if product is None:
        raise product_not_found(request.product_id)
    if product.delete_time is not None:
        raise product_deleted(request.product_id)
    return Order(
        id=new_id(Prefix.ORDER, now),
        user_id=request.user_id,
        target_user_id=request.target_user_id or request.user_id,
        created_by=created_by,
        status=OrderStatus.CREATED,
        price=price_in(product, request.currency_code or DEFAULT_CURRENCY),
        product=product,
        data=check_data(product, convert.from_data(request.data)),
        tags=tuple(request.tags),
        payment_id=payment_id,
        vendor_events=(),
        version=1,
        create_time=now,
        update_time=now,
    )
