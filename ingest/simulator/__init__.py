"""The simulated field: the demonstration grid brought to life behind real protocol servers.

::

    daycurve   what is drawn and what nature offers at an instant     pure
    faults     what the script breaks, and when                       pure
    dispatch   what the operators do without a market                 pure
    opening    where the grid stands when it begins                   pure
    gridstate  what the grid is made of, and remembers                pure
    swing      frequency and primary response                         pure
    regulation area control                                           pure
    physics    one event-second of all that                           pure
    readings   what honest instruments show                           pure
    devices    which device serves which point, in which registers    pure
    registers  numbers into registers and back                        pure
    modbus_servers, opcua_servers, rtus                               sockets
    field      all of it together, driven by a clock

Nothing above the sockets reads a clock or draws from a global random generator: the state at an event time is a function of the
seed, the script and the base points given so far.
"""
