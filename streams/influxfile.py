"""What is said in the settings about InfluxDB, and what it means.

All of it::

    influx:
      url: http://127.0.0.1:8086
      bucket: grid                   # v1: database or database/retention_policy; v3: a database
      org: grid                      # v2 only
      token_file: /run/secrets/influx   # or token_env: NAME
      api: v2                        # or v1, v3: which address is written to
      gzip: false                    # true for a server behind a slow line
      backlog: 20000                 # lines per second of what waited, beside those that are new
      raw_bucket: grid_raw           # raw telemetry apart from the rest, so that it may be kept for a shorter time; default: bucket
      raw_keep: 720h                 # how long, when `gridfuse influx prepare` makes that bucket
      keep: 87600h                   # likewise of the other one; default: for ever

Boards read raw telemetry where they read everything else; with a ``raw_bucket`` those panels need a data source for it. Roll-ups stay in
``bucket``.

Nothing here connects to anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from ingest.yamlfile import DurationNs, Located, Strict
from market.errors import ConfigError
from market.units import NS_PER_H, NS_PER_S
from streams.influxapi import Api, InfluxTarget

__all__ = ["Bucket", "InfluxModel", "Sinking", "check_influx_model", "influx_of"]

_KEEP_NS_MIN: Final = NS_PER_H


class InfluxModel(Strict):
    """Where telemetry and results are written; without it they stay in the spool."""

    url: str
    org: str = ""
    bucket: str
    token_file: str | None = None
    token_env: str = ""
    api: Api = Api.V2
    gzip: bool = False
    backlog: Annotated[int, Field(ge=100, le=10_000_000)] = 20_000
    raw_bucket: str | None = None
    raw_keep: DurationNs = 720 * NS_PER_H
    keep: DurationNs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket that must be there.

    Attributes:
        keep_s: how long it keeps what is in it when it is made, s; None for ever.
    """

    target: InfluxTarget
    keep_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinking:
    """How lines go to InfluxDB, beside where.

    Attributes:
        raw: where raw telemetry goes; None where everything goes to one bucket.
        raw_keep_s: how long the bucket of raw telemetry keeps it, s.
        keep_s: likewise of the other one, None for ever.
        backlog_per_s: lines per second of what waited, for each bucket.
    """

    raw: InfluxTarget | None = None
    raw_keep_s: int = 30 * 86_400
    keep_s: int | None = None
    backlog_per_s: int = 20_000

    def buckets(self, target: InfluxTarget) -> tuple[Bucket, ...]:
        """Return every bucket that must be there."""
        main = Bucket(target=target, keep_s=self.keep_s)
        return (main,) if self.raw is None else (main, Bucket(target=self.raw, keep_s=self.raw_keep_s))


def influx_of(model: InfluxModel, beside: Path) -> tuple[InfluxTarget, Sinking]:
    """Return where lines go, and how.

    Args:
        beside: directory that relative paths are relative to.

    Raises:
        ConfigError: the token that is configured cannot be read.
    """
    token_file = None if model.token_file is None else beside / model.token_file
    target = InfluxTarget(
        url=model.url,
        org=model.org,
        bucket=model.bucket,
        token_file=token_file,
        token_env=model.token_env,
        api=model.api,
        gzip=model.gzip,
    )
    target.token()
    apart = model.raw_bucket not in (None, model.bucket)
    return target, Sinking(
        raw=replace(target, bucket=str(model.raw_bucket)) if apart else None,
        raw_keep_s=model.raw_keep // NS_PER_S,
        keep_s=None if model.keep is None else model.keep // NS_PER_S,
        backlog_per_s=model.backlog,
    )


def check_influx_model(model: InfluxModel, located: Located) -> None:
    """Say everything that cannot be right, each with its line.

    Raises:
        ConfigError: something cannot.
    """
    if problems := [located.problem(what, "influx", key) for key, what in _problems(model)]:
        raise ConfigError(problems)


def _problems(model: InfluxModel) -> Iterator[tuple[str, str]]:
    target = InfluxTarget(url=model.url, org=model.org, bucket=model.bucket, api=model.api)
    yield from target.problems()
    if model.raw_bucket is not None:
        yield from (("raw_bucket", what) for key, what in replace(target, bucket=model.raw_bucket).problems() if key == "bucket")
    if model.raw_bucket is None and "raw_keep" in model.model_fields_set:
        yield "raw_keep", "without `raw_bucket` raw telemetry lies with everything else and is kept as long; give it a bucket of its own"
    for key, ns in (("raw_keep", model.raw_keep), ("keep", model.keep)):
        if ns is not None and ns < _KEEP_NS_MIN:
            yield key, "InfluxDB keeps nothing for less than an hour; write 1h or more"
        elif ns is not None and ns % _KEEP_NS_MIN:
            yield key, f"InfluxDB is told whole hours; write {-(-ns // _KEEP_NS_MIN)}h"
    if model.token_file is not None and model.token_env:
        yield "token_env", "give `token_file` or `token_env`, not both"
