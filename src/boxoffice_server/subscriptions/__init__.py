"""Subscriptions: facts are kept, what follows from them is worked out, and told."""
