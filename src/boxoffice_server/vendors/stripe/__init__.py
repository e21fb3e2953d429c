"""Stripe: the payment gateway and the source of notifications, over the official SDK.

Nothing of the SDK's leaves this package, neither objects nor exceptions.
"""
