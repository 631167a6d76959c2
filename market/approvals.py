"""The register of approvals: what GOV and REG were asked for, and what each said of it (Art. 14, 16, 18, 22, 30).

An approval is bound to one measure and to the digest of its content: change the content, and it is void. It always takes both bodies. In an
emergency they may be asked by telephone; what they say then counts, and is to be asked for in writing afterwards.

A request is remembered until its measure was carried out (:func:`spent`) or it is asked for anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from market.causes import BODIES
from market.commands import ORDERS, refused
from market.decisions import DecisionBody
from market.facts import CommandGiven, Segment
from market.handling import ApprovalRecorded, ApprovalRequested, ApprovalVoided
from market.rules import MarketRules
from market.view import ApprovalView

__all__ = [
    "MEASURES",
    "Approvals",
    "Request",
    "Said",
    "Standing",
    "canonical",
    "changed",
    "digest_of",
    "missing",
    "ordered",
    "references",
    "requested",
    "spent",
    "view",
    "withdrawn",
]

_BOTH: Final = tuple(str(body) for body in BODIES)

MEASURES: Final[Mapping[str, str]] = {
    "PAUSE": "Art. 13",
    "CORRECT": "Art. 14",
    "CANCEL": "Art. 16",
    "PUBLISH_RESULT": "Art. 22",
    "CLEAR_AGAIN": "Art. 22",
    "SUSPEND": "Art. 25",
    "RESUME": "Art. 30",
}
"""Kinds of measure that are approved, with the article that asks for it; a measure is ``KIND/WHAT``, as ``RESUME/RT``."""


_OF_SEGMENTS: Final = ("SUSPEND", "RESUME")
"""Kinds of measure that are about a segment of the market."""


class Standing(StrEnum):
    """What a body said of a measure so far."""

    REQUESTED = "REQUESTED"
    ORAL = "ORAL"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    VOID = "VOID"


_CONSENT: Final = (Standing.ORAL, Standing.APPROVED)
_LASTING: Final = (Standing.REQUESTED, *_CONSENT)
"""What need not be asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one body said; ``scope`` is what of the measure it approved, all that was asked for where empty; ``reference`` is its paper."""

    standing: Standing = Standing.REQUESTED
    scope: tuple[str, ...] = ()
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A measure that was put to both bodies.

    Attributes:
        measure: ``KIND/WHAT``.
        digest: of its content.
        scope: what of the market it is about; all of it where empty.
        emergency: whether it may be approved by telephone.
        said: by GOV and by REG.
    """

    measure: str
    article: str
    digest: str
    scope: tuple[str, ...]
    emergency: bool
    said: dict[str, Said] = field(default_factory=lambda: dict.fromkeys(_BOTH, Said()))

    @property
    def void(self) -> bool:
        """Whether its content was changed since."""
        return any(said.standing is Standing.VOID for said in self.said.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """The requests that are remembered, the oldest first; at most one for a measure."""

    requests: tuple[Request, ...] = ()


Step = tuple[Approvals, tuple[DecisionBody, ...]]


def digest_of(content: str | Mapping[str, Any]) -> str:
    """Return the SHA-256 of a measure's content, hex: of text as it stands, of a mapping in one canonical form.

    >>> digest_of({"b": 1, "a": "x"}) == digest_of({"a": "x", "b": 1})
    True
    """
    return hashlib.sha256((content if isinstance(content, str) else canonical(content)).encode()).hexdigest()


def canonical(content: Mapping[str, Any]) -> str:
    """Return a measure's content as the one text that is approved.

    >>> canonical({"b": 1, "a": "x"})
    '{"a":"x","b":1}'
    """
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def view(register: Approvals) -> tuple[ApprovalView, ...]:
    """Return what waits for approval, or has it, as people see it."""
    return tuple(
        ApprovalView(
            measure=each.measure,
            article=each.article,
            digest=each.digest,
            scope=each.scope,
            bodies={body: str(said.standing) for body, said in each.said.items()},
        )
        for each in register.requests
    )


def _of(register: Approvals, measure: str) -> Request | None:
    return next((each for each in register.requests if each.measure == measure), None)


def _with(register: Approvals, request: Request) -> Approvals:
    """Put a request into the register, in the place of the one for the same measure."""
    if _of(register, request.measure) is None:
        return Approvals(requests=(*register.requests, request))
    return Approvals(requests=tuple(request if each.measure == request.measure else each for each in register.requests))


def requested(
    register: Approvals,
    measure: str,
    content: str | Mapping[str, Any],
    by: str,
    *,
    scope: tuple[str, ...] = (),
    emergency: bool = False,
) -> Step:
    """Put a measure to both bodies; what they said of an earlier content of it is void.

    Args:
        measure: ``KIND/WHAT``, its kind one of :data:`MEASURES`.
        content: what is to be approved, word for word.
        by: who asks.
        scope: what of the market it is about; all of it where empty.
        emergency: whether it may be approved by telephone.
    """
    digest = digest_of(content)
    register, voided = changed(register, measure, digest)
    article = MEASURES[measure.partition("/")[0]]
    request = Request(measure=measure, article=article, digest=digest, scope=scope, emergency=emergency)
    asked = ApprovalRequested(measure=measure, article=article, digest=digest, scope=scope, by=by)
    return _with(register, request), (*voided, asked)


def changed(register: Approvals, measure: str, digest: str) -> Step:
    """Void what was said of a measure where its content is another one by now."""
    request = _of(register, measure)
    if request is None or request.void or request.digest == digest:
        return register, ()
    voided = replace(request, said=dict.fromkeys(_BOTH, Said(standing=Standing.VOID)))
    body = ApprovalVoided(measure=measure, why="its content was changed", digest=request.digest)
    return _with(register, voided), (body,)


def spent(register: Approvals, measure: str) -> Approvals:
    """Forget the request of a measure that was carried out: the next one needs approval of its own."""
    return Approvals(requests=tuple(each for each in register.requests if each.measure != measure))


def withdrawn(register: Approvals, measure: str, why: str) -> Step:
    """Ask no longer for a measure that nobody can carry out any more; where it was not asked for, nothing changes."""
    request = _of(register, measure)
    if request is None:
        return register, ()
    return spent(register, measure), (ApprovalVoided(measure=measure, why=why, digest=request.digest),)


def missing(register: Approvals, measure: str, digest: str | None = None, scope: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return who has not approved a measure, in words; nothing where both have.

    Args:
        digest: of the content that is about to be carried out; None where that is what was asked for.
        scope: what is about to be carried out; the whole of it where empty.
    """
    request = _of(register, measure)
    if request is None:
        return tuple(f"approval of {body}, which was not asked for {measure}" for body in _BOTH)
    if request.void or (digest is not None and digest != request.digest):
        return tuple(f"approval of {body} for {measure} as it is now: its content was changed" for body in _BOTH)
    return tuple(f"approval of {body}{why}" for body, said in request.said.items() if (why := _lacking(request, said, scope)) is not None)


def references(register: Approvals, measure: str) -> dict[str, str]:
    """Return the paper of each approval of a measure, by who gave it; those without one are left out."""
    request = _of(register, measure)
    given = () if request is None else request.said.items()
    return {body: said.reference for body, said in given if said.standing in _CONSENT and said.reference}


def _lacking(request: Request, said: Said, scope: tuple[str, ...]) -> str | None:
    """Return what is wrong with what a body said, or None where it covers the scope."""
    if said.standing is Standing.REFUSED:
        return f", which refused {request.measure}"
    if said.standing not in _CONSENT:
        return f" for {request.measure}"
    covered = said.scope or request.scope
    if not covered or (scope and set(scope) <= set(covered)):
        return None
    beyond = ", ".join(each for each in scope if each not in covered) or "the whole"
    return f" for {beyond}: it covers {', '.join(covered)}"


def ordered(register: Approvals, command: CommandGiven, now_ns: int, rules: MarketRules) -> Step:
    """Put a measure to both bodies, or record what one of them says; or refuse to.

    Args:
        command: REQUEST_APPROVAL or APPROVE, in order by :func:`market.commands.refusal`.
    """
    result = _asked(register, command) if command.action == "REQUEST_APPROVAL" else _answered(register, command)
    if isinstance(result, str):
        return register, (refused(command, ORDERS[command.action].article, result),)
    return result


def _scope(command: CommandGiven) -> tuple[str, ...]:
    return tuple(part for each in command.args.get("scope", "").split(",") if (part := each.strip()))


def _asked(register: Approvals, command: CommandGiven) -> Step | str:
    measure = command.args["measure"].strip()
    kind, _, what = measure.partition("/")
    if kind not in MEASURES or not what:
        return f"{measure} is no measure that is approved; write KIND/WHAT, as RESUME/RT; kinds: {', '.join(MEASURES)}"
    if kind in _OF_SEGMENTS and what not in tuple(Segment):
        return f"{measure} is about no segment; write {kind}/RT or {kind}/DA"
    urgent = command.args.get("emergency", "no")
    if urgent not in ("yes", "no"):
        return f"emergency is yes or no, not {urgent!r}"
    if urgent == "yes" and not command.args.get("reason", "").strip():
        return "an emergency needs a reason; give reason=…"
    content = command.args["content"]
    before = _of(register, measure)
    if before is not None and before.digest == digest_of(content) and all(said.standing in _LASTING for said in before.said.values()):
        return f"{measure} was asked for already with this content, digest {before.digest[:12]}"
    return requested(register, measure, content, command.by, scope=_scope(command), emergency=urgent == "yes")


def _answered(register: Approvals, command: CommandGiven) -> Step | str:
    request = _meant(register, command.args["measure"].strip())
    if isinstance(request, str):
        return request
    verdict = command.args.get("verdict", "APPROVED")
    form = command.args.get("form", "written")
    if verdict not in ("APPROVED", "REFUSED"):
        return f"verdict is APPROVED or REFUSED, not {verdict!r}"
    if form not in ("written", "oral"):
        return f"form is written or oral, not {form!r}"
    if form == "oral" and not request.emergency:
        return f"{request.measure} is no emergency: it is approved in writing; give form=written"
    if form == "oral" and not command.args.get("contact", "").strip():
        return "what is said on the telephone needs who was spoken to, and at which number; give contact=…"
    digest = command.args.get("digest", request.digest).strip()
    if digest != request.digest:
        return f"{request.measure} was asked for with digest {request.digest}, not {digest}; look at what is asked for now"
    scope = _scope(command)
    if beyond := [each for each in scope if request.scope and each not in request.scope]:
        return f"{', '.join(beyond)} was not asked for; {request.measure} is about {', '.join(request.scope)}"
    standing = Standing.REFUSED if verdict == "REFUSED" else Standing.ORAL if form == "oral" else Standing.APPROVED
    before = request.said[command.role]
    if (before.standing, before.scope) == (standing, scope):
        return f"{command.role} said so already of {request.measure}"
    if before.standing is Standing.APPROVED and form == "oral":
        return f"{command.role} approved {request.measure} in writing; what is said on the telephone does not change that"
    body = ApprovalRecorded(
        measure=request.measure,
        body=command.role,
        verdict=verdict,
        form=form,
        digest=request.digest,
        scope=scope,
        by=command.by,
        reference=command.args.get("reference", "") or command.args.get("contact", ""),
    )
    said = {**request.said, command.role: Said(standing=standing, scope=scope, reference=body.reference)}
    return _with(register, replace(request, said=said)), (body,)


def _meant(register: Approvals, name: str) -> Request | str:
    """Return the request an answer is about, by its measure or by its kind where one of it is open; or why that cannot be told."""
    there = [each for each in register.requests if not each.void]
    found = [each for each in there if name in (each.measure, each.measure.partition("/")[0])]
    if len(found) == 1:
        return found[0]
    if found:
        return f"{name} was asked for {len(found)} times; give one of {', '.join(each.measure for each in found)}"
    return f"nothing to approve: {name} was not asked for; asked for: {', '.join(each.measure for each in there) or 'nothing'}"
