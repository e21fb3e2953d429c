"""The key of the Server API: the sandbox makes it, and checks the tokens that are made with it."""

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from boxoffice_sandbox.app_store import trust
from boxoffice_sandbox.store import Store

KEY_ID = "BOXOFFICE1"
ISSUER_ID = "b0c0ff1c-e5a4-4d0b-8000-5a4db0c0ff1c"
_AUDIENCE = "appstoreconnect-v1"
# https://developer.apple.com/documentation/appstoreserverapi/generating-json-web-tokens-for-api-requests
_LONGEST_LIFE_SECONDS = 3600
_SETTING = "app_store_api_key"


class ApiKey:
    """The key pair in the sandbox's file."""

    def __init__(self, store: Store) -> None:
        """Read it, or make it on first use."""
        kept = store.setting(_SETTING)
        self.pem = kept or trust.new_private_key()
        """The private key, as App Store Connect hands it out once."""
        if kept is None:
            store.set_setting(_SETTING, self.pem)
        self._public: ec.EllipticCurvePublicKey = trust.read_private_key(self.pem).public_key()

    def bundle_of(self, authorization: str | None) -> str | None:
        """Return the app that a request's token is for, or None when the token is not good.

        Tokens are made by whoever calls, so they are judged by real time.
        """
        scheme, _, token = (authorization or "").partition(" ")
        try:
            if scheme != "Bearer" or jwt.get_unverified_header(token).get("kid") != KEY_ID:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                self._public,
                algorithms=["ES256"],
                audience=_AUDIENCE,
                issuer=ISSUER_ID,
                options={"require": ["exp", "bid"]},
            )
        except jwt.InvalidTokenError:
            return None
        if claims["exp"] > time.time() + _LONGEST_LIFE_SECONDS:
            return None
        return str(claims["bid"])
