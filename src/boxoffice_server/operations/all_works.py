"""How each kind of operation is done."""

from typing import Any

from boxoffice_server.operations import charges, intents, methods, refunds
from boxoffice_server.operations.customers import Customers
from boxoffice_server.operations.engine import Operations
from boxoffice_server.operations.work import Work
from boxoffice_server.ports import Clock, MethodGateway, PaymentGateway
from boxoffice_server.settlement import Settlement


def all_works(
    *,
    operations: Operations,
    settlement: Settlement,
    gateway: PaymentGateway,
    saved: MethodGateway,
    customers: Customers,
    clock: Clock,
) -> dict[str, Work[Any]]:
    """Say how each kind of operation is done, by the name of its RPC or of the service's own."""
    make_intent = intents.MakeIntent(
        operations=operations, settlement=settlement, gateway=gateway, customers=customers
    )
    cancel = intents.CancelIntent(
        operations=operations, settlement=settlement, gateway=gateway, clock=clock
    )
    return {
        "CreatePaymentIntent": make_intent,
        "ChargeUser": make_intent,
        "CapturePayment": intents.CaptureIntent(
            operations=operations, settlement=settlement, gateway=gateway
        ),
        "CancelPayment": cancel,
        "CancelOrder": cancel,
        "RefundPayment": refunds.MakeRefund(
            operations=operations, settlement=settlement, gateway=gateway, clock=clock
        ),
        "CreateCharge": charges.MakeCharge(
            operations=operations, settlement=settlement, gateway=gateway
        ),
        "CreateSetupIntent": methods.MakeSetupIntent(
            operations=operations, gateway=saved, customers=customers
        ),
        "SavePaymentMethod": methods.SaveMethod(
            operations=operations, gateway=saved, customers=customers, clock=clock
        ),
        "DetachPaymentMethod": methods.DetachMethod(
            operations=operations, gateway=saved, clock=clock
        ),
        methods.LEARN_METHOD: methods.LearnMethod(gateway=saved, clock=clock),
    }
