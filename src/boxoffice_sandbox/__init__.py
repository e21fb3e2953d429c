"""The vendor sandbox: a stand-in for Stripe and the App Store that runs as a process of its own.

It speaks HTTP only. Nothing here is imported by the service, and nothing of the service is
imported here.
"""
