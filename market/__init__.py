"""The physics and the money: what the grid can carry, what power costs, and what the market rules say.

Everything here is a pure function of its arguments: no clock, no network, no asyncio, no logging. It runs in a notebook, and
the same code decides in the control room and in a replay. Nothing in this package imports another room of the project.
"""
