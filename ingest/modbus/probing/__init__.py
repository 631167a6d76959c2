"""What can be found out about a Modbus device that nobody knows, by asking and never by writing.

::

    asks       what may be asked, and what may come of it            pure
    units      who answers behind an address                         pure
    ranges     which registers can be read, and how many at a time   pure
    orders     in which order the registers of a number stand        pure
    expected   where a value stands that somebody knows              pure
    models     which SunSpec models there are                        pure
    findings   what was found                                        pure
    strategy   what is asked after what                              pure
    listing    a point list of it                                    pure
    run        the same over a connection                            sockets

The pure part is a generator: it yields what to ask and is sent what came of it, so it is tested without a device.
"""
