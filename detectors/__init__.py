"""Facts in, findings out: failed clearing, topology change, control-centre switchover.

A detector is a pure function ``observe(watch, fact, rules) -> (watch, findings)``. It does not know who listens: what a finding
does to the market is decided in :mod:`market.segment`.
"""
