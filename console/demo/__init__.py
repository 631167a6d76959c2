"""``gridfuse demo``: the whole service on this machine against the simulated field, with a story that fits in five minutes."""
