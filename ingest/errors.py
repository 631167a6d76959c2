"""What can go wrong between a device and its frame. See :mod:`market.errors` for the whole tree."""

from __future__ import annotations

from market.errors import GridfuseError

__all__ = ["DeviceError", "DeviceLate", "DeviceRefused", "DeviceSilent", "DiskRefused", "FrameError", "SpoolError", "SpoolLocked"]


class DeviceError(GridfuseError):
    """A device did not do what it was asked; the message begins with the device's name."""


class DeviceSilent(DeviceError):
    """No answer, no connection, or a connection that closed: try again after a back-off."""


class DeviceLate(DeviceSilent):
    """It was asked, over a connection that stood, and did not answer in time: it is the device that is away, not its connection."""


class DeviceRefused(DeviceError):
    """The device answered that it will not: the request is wrong for it, and repeating it will not help.

    Attributes:
        code: the protocol's own code (Modbus exception code, OPC UA status code).
    """

    def __init__(self, message: str, code: int) -> None:
        self.code = code
        super().__init__(message)


class FrameError(GridfuseError, ValueError):
    """Bytes that are not a telemetry frame, or columns that do not fit each other."""


class SpoolError(GridfuseError):
    """A spool's directory cannot be used, or what was written to it did not reach the disk."""


class SpoolLocked(SpoolError):
    """Another process has the spool open."""


class DiskRefused(SpoolError):
    """Not now: the disk is full or refuses, nothing of what was given is kept, and the same may be given again."""
