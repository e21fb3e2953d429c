"""Fixtures for tests of the client."""
