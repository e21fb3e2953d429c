"""Benchmarks: what the service does against a baseline of the same run.

`python -m bench` prints all of them. Rates and delays of one machine say little about another;
the ratios are what to compare.
"""
