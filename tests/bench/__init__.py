"""Measures, each beside its baseline, taken on the machine at hand: a table and build/bench.json.

Nothing here asserts a time. Ratios are of one run, so they hold on a slow or busy machine too.
"""
