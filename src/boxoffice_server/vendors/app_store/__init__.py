"""The App Store: its signatures, its notifications and its Server API, over Apple's own library.

Nothing of the library's leaves this package, neither objects nor exceptions.
"""
