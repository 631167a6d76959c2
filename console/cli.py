"""The ``gridfuse`` command: what each subcommand does stands in its own module; here they are put together."""

from __future__ import annotations

import typer

from console import (
    audit,
    breaker,
    certs,
    clear,
    clearagain,
    dashboards,
    doctor,
    drill,
    handling,
    influx,
    ingest,
    probe,
    reload,
    replay,
    rules,
    run,
    simulate,
    spool,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="gridfuse",
    help="Real-time grid monitoring, market clearing and the market breaker (熔断), as a stream.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for room in (run, doctor, clear, clearagain, drill, rules, replay, breaker, handling, audit, ingest, spool, influx, dashboards):
    room.register(app)
simulate.register(ingest.ingest_group(app))
probe.register(ingest.ingest_group(app))
certs.register(ingest.ingest_group(app))
reload.register(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
