"""Parameter shapes that several resources share."""

from boxoffice_sandbox.params import Bool, Either, Email, Int, Obj, Shape, Str

METHOD_TYPES = ("card", "bancontact", "giropay", "ideal")
"""What the sandbox can take money with."""
KNOWN_METHOD_TYPES = (*METHOD_TYPES, "sepa_debit")
"""With those that only come of another method."""

_ADDRESS_MEMBERS: dict[str, Shape] = {
    name: Str(clearable=True)
    for name in ("city", "country", "line1", "line2", "postal_code", "state")
}
NO_ADDRESS: dict[str, str | None] = dict.fromkeys(_ADDRESS_MEMBERS)
ADDRESS = Obj(members=_ADDRESS_MEMBERS, clearable=True)
SHIPPING = Obj(
    members={
        "address": Obj(members=_ADDRESS_MEMBERS, required=True),
        "carrier": Str(),
        "name": Str(required=True),
        "phone": Str(),
        "tracking_number": Str(),
    },
    clearable=True,
)
BILLING_DETAILS = Obj(
    members={
        "address": ADDRESS,
        "email": Email(clearable=True),
        "name": Str(clearable=True),
        "phone": Str(clearable=True),
    }
)
METHOD_MEMBERS: dict[str, Shape] = {
    "card": Obj(
        members={
            "token": Str(),
            "number": Str(),
            "exp_month": Int(),
            "exp_year": Int(),
            "cvc": Str(),
        }
    ),
    "bancontact": Obj(),
    "giropay": Obj(),
    "ideal": Obj(members={"bank": Str()}),
}
OPTIONS = Obj(
    members={
        "card": Obj(
            members={
                "request_three_d_secure": Str(one_of=("any", "automatic", "challenge")),
                "setup_future_usage": Str(one_of=("none", "off_session", "on_session")),
            }
        ),
        "bancontact": Obj(
            members={
                "preferred_language": Str(one_of=("de", "en", "fr", "nl")),
                "setup_future_usage": Str(one_of=("none", "off_session")),
            }
        ),
        "giropay": Obj(members={"setup_future_usage": Str(one_of=("none",))}),
        "ideal": Obj(members={"setup_future_usage": Str(one_of=("none", "off_session"))}),
    }
)
AUTOMATIC_METHODS = Obj(
    members={
        "enabled": Bool(required=True),
        "allow_redirects": Str(one_of=("always", "never")),
    }
)
MANDATE_DATA = Obj(
    members={
        "customer_acceptance": Obj(
            required=True,
            members={
                "accepted_at": Int(),
                "type": Str(one_of=("online", "offline"), required=True),
                "offline": Obj(),
                "online": Obj(members={"ip_address": Str(), "user_agent": Str()}),
            },
        )
    },
    clearable=True,
)
OFF_SESSION = Either(of=(Bool(), Str(one_of=("one_off", "recurring"))))
