"""Stripe's resources, one module each, and what they share."""
