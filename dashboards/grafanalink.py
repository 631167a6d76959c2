"""How is Grafana's HTTP API spoken to?

Through ``grafana-api``, or its maintained fork ``grafana-client`` where that is installed: both have the same calls for folders,
dashboards and data sources, and both pass on any verb to any other address. Neither is a dependency of the service (the extra
``[grafana]`` brings the first), and nothing else imports them.

:class:`Transport` is what is asked of either; :func:`connect` makes one. An answer without a body, which the older library takes for an
error, is one here. What goes wrong is a :class:`PushError` that says what to do; a token is never in it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

__all__ = ["LIBRARIES", "Link", "PushError", "Transport", "connect"]

LIBRARIES: Final = {"grafana_client": "GrafanaApi", "grafana_api.grafana_face": "GrafanaFace"}
"""Modules that have what is needed, the maintained one first, and the name of the class."""

_TIMEOUT_S: Final = 10.0
_HOW_TO_INSTALL: Final = (
    "no library for Grafana's API is here; install one in an environment of its own: pip install 'gridfuse[grafana]' (or grafana-client)"
)
_REMEDIES: Final = {
    401: "the token is not valid: make one for a service account of role Admin (Administration, Service accounts)",
    403: "the token may not do this: the service account needs the role Admin",
    412: "somebody else has changed it meanwhile; push again",
}


class PushError(Exception):
    """Something could not be brought to Grafana; the message says what, and what to do."""


class Transport(Protocol):
    """What both libraries have in common, by the names they give it."""

    @property
    def folder(self) -> Any:
        """``get_folder``, ``create_folder``, ``update_folder``."""

    @property
    def dashboard(self) -> Any:
        """``get_dashboard``, ``update_dashboard``."""

    @property
    def datasource(self) -> Any:
        """``create_datasource``."""


def connect(url: str, token: str, library: str = "") -> Transport:
    """Return a library's object for a Grafana; nothing is sent yet.

    Args:
        url: of Grafana, as ``https://grafana.example.org/grafana``.
        token: of a service account.
        library: a key of :data:`LIBRARIES`; by default the first that is installed.

    Raises:
        PushError: no library is there, or this is no URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PushError("--url is not an http or https URL; give Grafana's, as http://localhost:3000")
    for module, name in LIBRARIES.items():
        if library in {"", module}:
            try:
                made = getattr(importlib.import_module(module), name)
            except ImportError:
                continue
            prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
            face: Transport = made(
                token, host=parts.hostname, port=parts.port, url_path_prefix=prefix, protocol=parts.scheme, timeout=_TIMEOUT_S
            )
            return face
    raise PushError(_HOW_TO_INSTALL)


class Link:
    """Asks through a transport, and turns what goes wrong into words.

    Args:
        face: from :func:`connect`.
        where: Grafana's URL, for people.
    """

    def __init__(self, face: Transport, where: str) -> None:
        self.face = face
        self._where = where
        # The fork calls it otherwise.
        self._verbs: Any = getattr(face, "api", None) or getattr(face, "client", None)

    def find(self, what: str, ask: Callable[[], Any]) -> Any | None:
        """Return what ``ask`` is answered, or None where Grafana has no such thing.

        Raises:
            PushError: anything else than an answer.
        """
        return self._asked(what, ask, absent=True)

    def get(self, what: str, path: str) -> Any | None:
        """GET an address below ``/api``; None where there is nothing. Raises as :meth:`find`."""
        return self.find(what, lambda: self._verbs.GET(path))

    def do(self, what: str, change: Callable[[], Any]) -> None:
        """Have something changed. Raises as :meth:`find`."""
        self._asked(what, change, absent=False)

    def send(self, what: str, verb: str, path: str, body: dict[str, Any] | None = None) -> None:
        """POST, PUT or DELETE at an address below ``/api``. Raises as :meth:`find`."""
        request = getattr(self._verbs, verb)
        self.do(what, lambda: request(path) if body is None else request(path, json=body))

    def _asked(self, what: str, ask: Callable[[], Any], *, absent: bool) -> Any | None:
        try:
            return ask()
        except ValueError:
            # An answer without a body: done, with nothing to say. In requests this is an OSError as well, so it comes first.
            return None
        except OSError as exc:
            # Of requests and niquests alike; the text may quote headers, the type does not.
            raise PushError(f"{what}: {self._where} does not answer ({type(exc).__name__}); is --url right, and does Grafana run?") from exc
        except Exception as exc:
            status = getattr(exc, "status_code", None)
            if status is None:
                raise
            if status == 404 and absent:
                return None
            raise PushError(f"{what}: {self._where} answered {status}: {_said(exc)}{_remedy(status)}") from exc


def _said(exc: Exception) -> str:
    """Return Grafana's own words."""
    response = getattr(exc, "response", None)
    return str(response["message"]) if isinstance(response, dict) and "message" in response else str(exc)


def _remedy(status: int) -> str:
    if status in _REMEDIES:
        return f"; {_REMEDIES[status]}"
    return "; see Grafana's log, and push again" if status >= 500 else ""
