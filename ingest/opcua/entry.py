"""What may a point list say of OPC UA servers only?

A point may say ``sampling`` (how often the server looks at it; ``every`` where not given, and ``0`` for each change that it knows of),
``queue`` (how many values the server keeps for one publish) and ``deadband`` (how far it must move to be told: ``0.5`` in its unit, or
``2%`` of the range its server knows). ``mode: poll`` in a map reads the points at their periods instead of subscribing to them.

``node`` may be a path, ``browse:/Objects/nsu=urn:x;Feeders/*/{feeder}/P`` (:mod:`ingest.opcua.browsepath`), and a device may give a list
for one of its ``vars``, ``vars: {feeder: [F1, F2, F3]}``: every point that has the placeholder is then there once for each. The names
stand in the list and are not taken from the server, because every reader of frames knows the points before anything connects.

A device may give ``backfill`` (:mod:`ingest.opcua.backfill`): ``true``, or how far back, as in ``6h``; and ``security``, without
which a session has none and no user::

    security:
      policy: Basic256Sha256        # or Aes128Sha256RsaOaep, Aes256Sha256RsaPss, None
      mode: SignAndEncrypt          # default; or Sign
      cert: certs/gridfuse.der      # ours, and its key; files are looked up from the folder of the point list
      key: certs/gridfuse-key.pem
      pin: certs/ems.der            # the server's certificate; or `trust`, a folder of certificates it may have or be signed by
      user: gridfuse                # with `password_env: NAME` or `password_file`; or `user_cert` and `user_key`
      password_env: EMS_PASSWORD
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, model_validator

from ingest.devices import Deadband, UaSecurity
from ingest.yamlfile import Strict, duration_ns
from market.units import NS_PER_H

__all__ = ["BackfillNs", "DeadbandValue", "SamplingNs", "SecurityModel"]

_BACKFILL_NS: Final = 24 * NS_PER_H


def _deadband(value: object) -> Deadband:
    text = value.strip() if isinstance(value, str) else value
    is_percent = isinstance(text, str) and text.endswith("%")
    try:
        number = float(text[:-1] if isinstance(text, str) and is_percent else text)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < (100 if is_percent else float("inf")):
        raise ValueError(f"{value!r} is no deadband; write a number of the point's unit, as in 0.5, or a share of its range, as in 2%")
    return Deadband(value=number, is_percent=is_percent)


def _backfill(value: object) -> int | None:
    """Read ``true``, ``false`` or a length of time."""
    if isinstance(value, bool):
        return _BACKFILL_NS if value else None
    try:
        return duration_ns(value)
    except ValueError:
        raise ValueError(f"{value!r} is not how far back to fill; write true (for 24h), false, or a length of time: 6h") from None


def _sampling(value: object) -> int:
    """Read a length of time, or 0 for every change."""
    return 0 if value == 0 and not isinstance(value, bool) else duration_ns(value)


SamplingNs = Annotated[int, BeforeValidator(_sampling)]
DeadbandValue = Annotated[Deadband, BeforeValidator(_deadband)]
BackfillNs = Annotated[int | None, BeforeValidator(_backfill)]


def _policy(value: Any) -> Any:
    return "None" if value is None or (isinstance(value, str) and value.lower() == "none") else value


class SecurityModel(Strict):
    """How a server is told from an impostor, and we from a stranger."""

    policy: Annotated[Literal["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"], BeforeValidator(_policy)]
    mode: Literal["Sign", "SignAndEncrypt"] | None = None
    cert: str | None = None
    key: str | None = None
    pin: str | None = None
    trust: str | None = None
    user: str | None = None
    password_env: str | None = None
    password_file: str | None = None
    user_cert: str | None = None
    user_key: str | None = None

    @model_validator(mode="after")
    def _fits_its_policy(self) -> Self:
        if self.policy == "None":
            unfit = [key for key in ("mode", "cert", "key") if getattr(self, key) is not None]
            if unfit:
                raise ValueError(
                    f"policy None signs and encrypts nothing; remove {', '.join(f'`{key}`' for key in unfit)}, or give a policy"
                )
            return self
        if self.cert is None or self.key is None:
            raise ValueError("needs our certificate; give `cert` and `key` (`gridfuse ingest certs create` makes both)")
        if self.pin is None and self.trust is None:
            raise ValueError("says nothing of which server to trust; give `pin`, its certificate, or `trust`, a folder of certificates")
        return self

    @model_validator(mode="after")
    def _knows_its_user(self) -> Self:
        if self.pin is not None and self.trust is not None:
            raise ValueError("`pin` allows one certificate and `trust` several; give one of them")
        passwords = [key for key in ("password_env", "password_file") if getattr(self, key) is not None]
        if self.user is None and passwords:
            raise ValueError(f"`{passwords[0]}` is the password of nobody; give `user` too")
        if self.user is not None and len(passwords) != 1:
            raise ValueError("a `user` has a password; give `password_env`, the environment variable that holds it, or `password_file`")
        if (self.user_cert is None) != (self.user_key is None):
            raise ValueError("`user_cert` and `user_key` go together; give both or neither")
        if self.user is not None and self.user_cert is not None:
            raise ValueError("a session has one user; give `user` or `user_cert`")
        return self

    def record(self, folder: Path) -> UaSecurity:
        """Return what a session is made with; files are looked up from the folder of the point list."""

        def path(text: str | None) -> Path | None:
            return None if text is None else folder / text

        return UaSecurity(
            policy=self.policy,
            mode="None" if self.policy == "None" else self.mode or "SignAndEncrypt",
            cert=path(self.cert),
            key=path(self.key),
            pin=path(self.pin),
            trust=path(self.trust),
            user=self.user,
            password_env=self.password_env,
            password_file=path(self.password_file),
            user_cert=path(self.user_cert),
            user_key=path(self.user_key),
        )
