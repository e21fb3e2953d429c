"""The parameters of PaymentIntents and SetupIntents."""

from boxoffice_sandbox.params import Bool, Email, Int, List, Metadata, Obj, Shape, Str, Url
from boxoffice_sandbox.stripe.shapes import (
    AUTOMATIC_METHODS,
    BILLING_DETAILS,
    MANDATE_DATA,
    METHOD_MEMBERS,
    OFF_SESSION,
    OPTIONS,
    SHIPPING,
)

_METHOD: dict[str, Shape] = {
    "payment_method": Str(),
    "payment_method_data": Obj(
        members={
            **METHOD_MEMBERS,
            "type": Str(required=True),
            "billing_details": BILLING_DETAILS,
            "metadata": Metadata(),
            "allow_redisplay": Str(one_of=("always", "limited", "unspecified")),
        }
    ),
    "payment_method_options": OPTIONS,
}
_PAYMENT: dict[str, Shape] = {
    **_METHOD,
    "capture_method": Str(one_of=("automatic", "automatic_async", "manual")),
    "customer": Str(),
    "description": Str(longest=1000),
    "metadata": Metadata(clearable=True),
    "payment_method_types": List(of=Str()),
    "statement_descriptor": Str(longest=22),
    "statement_descriptor_suffix": Str(longest=22),
    "transfer_group": Str(),
}
_USAGE = ("off_session", "on_session")
CREATE_PAYMENT: dict[str, Shape] = {
    **_PAYMENT,
    "amount": Int(required=True, least=1),
    "automatic_payment_methods": AUTOMATIC_METHODS,
    "confirm": Bool(),
    "confirmation_method": Str(one_of=("automatic", "manual")),
    "currency": Str(required=True),
    "error_on_requires_action": Bool(),
    "mandate_data": MANDATE_DATA,
    "off_session": OFF_SESSION,
    "receipt_email": Email(),
    "return_url": Url(),
    "setup_future_usage": Str(one_of=_USAGE),
    "shipping": SHIPPING,
    "use_stripe_sdk": Bool(),
}
UPDATE_PAYMENT: dict[str, Shape] = {
    **_PAYMENT,
    "amount": Int(least=1),
    "currency": Str(),
    "receipt_email": Email(clearable=True),
    "setup_future_usage": Str(one_of=_USAGE, clearable=True),
    "shipping": SHIPPING,
}
CONFIRM_PAYMENT: dict[str, Shape] = {
    **_METHOD,
    "client_secret": Str(),
    "error_on_requires_action": Bool(),
    "mandate_data": MANDATE_DATA,
    "off_session": OFF_SESSION,
    "receipt_email": Email(clearable=True),
    "return_url": Url(),
    "setup_future_usage": Str(one_of=_USAGE, clearable=True),
    "shipping": SHIPPING,
    "use_stripe_sdk": Bool(),
}
_SETUP_METHOD: dict[str, Shape] = {
    "payment_method": Str(),
    "payment_method_data": _METHOD["payment_method_data"],
    "payment_method_options": Obj(
        members={
            "card": Obj(
                members={"request_three_d_secure": Str(one_of=("any", "automatic", "challenge"))}
            )
        }
    ),
}
UPDATE_SETUP: dict[str, Shape] = {
    **_SETUP_METHOD,
    "customer": Str(),
    "description": Str(longest=1000),
    "metadata": Metadata(clearable=True),
    "payment_method_types": List(of=Str()),
}
CREATE_SETUP: dict[str, Shape] = {
    **UPDATE_SETUP,
    "automatic_payment_methods": AUTOMATIC_METHODS,
    "confirm": Bool(),
    "mandate_data": MANDATE_DATA,
    "return_url": Url(),
    "usage": Str(one_of=_USAGE),
    "use_stripe_sdk": Bool(),
}
CONFIRM_SETUP: dict[str, Shape] = {
    **_SETUP_METHOD,
    "client_secret": Str(),
    "mandate_data": MANDATE_DATA,
    "return_url": Url(),
    "use_stripe_sdk": Bool(),
}
