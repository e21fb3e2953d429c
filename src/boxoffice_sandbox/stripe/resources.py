"""All endpoints of the sandbox."""

from boxoffice_sandbox.stripe import (
    balance,
    charges,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    refunds,
    setup_intents,
    sources,
    tokens,
)

ENDPOINTS = (
    *balance.ENDPOINTS,
    *charges.ENDPOINTS,
    *customers.ENDPOINTS,
    *disputes.ENDPOINTS,
    *events.ENDPOINTS,
    *payment_intents.ENDPOINTS,
    *payment_methods.ENDPOINTS,
    *refunds.ENDPOINTS,
    *setup_intents.ENDPOINTS,
    *sources.ENDPOINTS,
    *tokens.ENDPOINTS,
)
