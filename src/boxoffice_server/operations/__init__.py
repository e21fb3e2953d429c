"""Writes that ask a vendor for something: recorded first, asked for next, settled last.

`engine.py` says how; each other module holds the work of some of them.
"""
