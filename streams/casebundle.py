"""A case in one file, as evidence: what was known, what was decided, by whom, what was said to whom, what it cost.

A zip file. ``decisions.jsonl`` is the piece of the audit chain from before the case was found to its end, whole, so that its hashes can
be recomputed; it is stored without compression, so that a byte that was changed spoils one record and not the file. ``facts.jsonl`` is what
the breaker was told in that time, with a digest of each record in ``facts.digests``. ``users.json``, ``notices.json``, ``receipts.json``
and ``prices.json`` are the same record by subject. ``manifest.json`` has the checksum of every file and both ends of the chain.

Whoever can change a record can also compute the hashes after it again, and the manifest's. What cannot be computed is the end of the
chain as the ledger, a notice or a printed report has it: :func:`verify_bundle` returns it to be compared.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from market.decisions import Decision, first_broken
from market.errors import ConfigError, Problem
from market.facts import Fact
from market.prices import PriceInForce
from market.units import NS_PER_MIN
from market.version import CODE
from streams import wire

__all__ = ["CaseSpan", "Verdict", "decisions_in", "is_bundle", "span_of", "verify_bundle", "write_bundle"]

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_DECISIONS: Final = "decisions.jsonl"
_FACTS: Final = "facts.jsonl"
_DIGESTS: Final = "facts.digests"
_BEFORE_NS: Final = 30 * NS_PER_MIN
"""Shown of the time before a case was found: how it came about."""

_LOCAL_HEADER: Final = struct.Struct("<26xHH")
"""Of a member of a zip file: the lengths of its name and of what follows it."""

_DIGEST_HEX: Final = 16
_DECISION: Final = msgspec.json.Decoder(Decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSpan:
    """The event time of a case, UTC ns: from a while before it was found to its end, or to the newest decision."""

    case: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What verifying found.

    Attributes:
        records: decisions that were looked at.
        last_seq, last_hash: the end of the chain, to be compared with what the ledger or a printed report has.
        bad_seq: number of the first decision that is not credible; None where all are, or another file is at fault.
        problems: everything that is wrong, the audit chain first.
    """

    records: int
    first_seq: int
    last_seq: int
    last_hash: str
    bad_seq: int | None = None
    problems: tuple[str, ...] = ()


def span_of(case: str, decisions: Sequence[Decision]) -> CaseSpan:
    """Return the time of a case.

    Args:
        decisions: all that are recorded, in their order.

    Raises:
        ConfigError: no such case is recorded.
    """
    mine = [one for one in decisions if one.body.get("case") == case and one.kind in ("CaseOpened", "CaseNoted", "CaseClosed")]
    opened = next((one for one in mine if one.kind == "CaseOpened"), None)
    if opened is None:
        known = [one.body["case"] for one in decisions if one.kind == "CaseOpened"]
        raise ConfigError([Problem(case, f"no such case is recorded; there are {', '.join(known[-8:]) or 'none'}")])
    closed = next((one for one in mine if one.kind == "CaseClosed"), None)
    found_ns = min(opened.ts_event_ns, opened.body["discovered_ns"])
    return CaseSpan(case=case, from_ns=found_ns - _BEFORE_NS, to_ns=(closed or decisions[-1]).ts_event_ns)


def write_bundle(
    path: Path,
    span: CaseSpan,
    decisions: Iterable[Decision],
    facts: Iterable[Fact],
    prices: Iterable[PriceInForce],
    report: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """Write a case into a file; one that is there is replaced.

    Args:
        decisions: all that are recorded, or a piece of the chain around the case; in their order.
        facts: those of the span are kept.
        prices: of the intervals of the span.
        report: more files by name: the explanation report.

    Returns:
        The manifest.
    """
    kept = [one for one in decisions if span.from_ns <= one.ts_event_ns <= span.to_ns]
    told = [wire.encode(fact) for fact in facts if span.from_ns <= fact.ts_event_ns <= span.to_ns]
    files = {
        _DECISIONS: b"".join(msgspec.json.encode(one) + b"\n" for one in kept),
        _FACTS: b"".join(one + b"\n" for one in told),
        _DIGESTS: "".join(f"{_digest(one)}\n" for one in told).encode(),
        "users.json": _json(_users(kept)),
        "notices.json": _json([{"seq": one.seq, **one.body} for one in kept if one.kind == "Announcement"]),
        "receipts.json": _json([{"seq": one.seq, "kind": one.kind, **one.body} for one in kept if one.kind.startswith("Duty")]),
        "prices.json": _json([asdict(price) for price in prices]),
        **(report or {}),
    }
    manifest = {
        "format": _FORMAT,
        "code": CODE,
        "case": span.case,
        "from_ns": span.from_ns,
        "to_ns": span.to_ns,
        "first_seq": kept[0].seq,
        "prev_hash": kept[0].prev_hash,
        "last_seq": kept[-1].seq,
        "last_hash": kept[-1].hash,
        "facts": len(told),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr(_MANIFEST, _json(manifest))
        for name, content in files.items():
            bundle.writestr(name, content, zipfile.ZIP_STORED if name == _DECISIONS else zipfile.ZIP_DEFLATED)
    return manifest


def _digest(record: bytes) -> str:
    return hashlib.sha256(record).hexdigest()[:_DIGEST_HEX]


def _json(data: Any) -> bytes:
    return (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode()


def _users(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """Return who did what: each person with the capacities they acted in and the decisions that name them."""
    users: dict[str, dict[str, Any]] = {}
    for one in decisions:
        if who := one.body.get("by"):
            user = users.setdefault(who, {"by": who, "roles": [], "decisions": []})
            user["decisions"].append(one.seq)
            role = one.body.get("role") or one.body.get("body")
            if role and role not in user["roles"]:
                user["roles"].append(role)
    return list(users.values())


def is_bundle(path: Path) -> bool:
    """Whether a file is a zip file at all, whole or damaged; the other record there is, is a database."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def decisions_in(path: Path) -> list[Decision]:
    """Return the decisions of a bundle, as far as they can be read; whether they are what was written, :func:`verify_bundle` says.

    Raises:
        ConfigError: this is no bundle of a case.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            return _Checked(bundle).decisions(first_seq=1)[0]
    except (zipfile.BadZipFile, OSError) as exc:
        raise ConfigError([Problem(str(path), f"cannot be opened as a bundle: {exc}; ask for it again")]) from exc


def verify_bundle(path: Path) -> Verdict:
    """Verify a bundle: every hash of its chain, every record of its facts, every file.

    Raises:
        ConfigError: this is no bundle of a case.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            return _Checked(bundle).verdict()
    except (zipfile.BadZipFile, OSError) as exc:
        raise ConfigError([Problem(str(path), f"cannot be opened as a bundle: {exc}; ask for it again")]) from exc


@dataclass
class _Checked:
    """One bundle while it is looked at."""

    bundle: zipfile.ZipFile
    problems: list[str] = field(default_factory=list)

    def verdict(self) -> Verdict:
        try:
            manifest = json.loads(self.bundle.read(_MANIFEST))
            first_seq, prev_hash, files = manifest["first_seq"], manifest["prev_hash"], dict(manifest["files"])
        except (KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as exc:
            what = f"{_MANIFEST} is missing or was altered ({exc}); nothing can be compared with it: ask for the bundle again"
            raise ConfigError([Problem(str(self.bundle.filename), what)]) from exc
        decisions, bad_seq = self.decisions(first_seq)
        broken = first_broken(decisions, first_seq=first_seq, prev_hash=prev_hash)
        if broken is not None and (bad_seq is None or broken.seq <= bad_seq):
            bad_seq = broken.seq
            self.problems.insert(0, f"decision {broken.seq} {broken.why}")
        last = decisions[-1] if decisions else None
        if not self.problems and (last is None or (last.seq, last.hash) != (manifest["last_seq"], manifest["last_hash"])):
            bad_seq = first_seq + len(decisions)
            self.problems.append(f"decision {bad_seq} is missing: the chain ends before {manifest['last_seq']}")
        self._facts()
        self._files(files, damaged={_DECISIONS} if self.problems else set())
        return Verdict(
            records=len(decisions),
            first_seq=first_seq,
            last_seq=last.seq if last else 0,
            last_hash=last.hash if last else "",
            bad_seq=bad_seq,
            problems=tuple(self.problems),
        )

    def decisions(self, first_seq: int) -> tuple[list[Decision], int | None]:
        """Return the decisions up to the first that cannot be read, and the number of that one."""
        found: list[Decision] = []
        for line in self._raw(_DECISIONS).splitlines():
            try:
                found.append(_DECISION.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as exc:
                bad_seq = found[-1].seq + 1 if found else first_seq
                self.problems.append(f"decision {bad_seq} cannot be read: {exc}")
                return found, bad_seq
        return found, None

    def _facts(self) -> None:
        told, digests = self._raw(_FACTS).splitlines(), self._raw(_DIGESTS).decode(errors="replace").split()
        for number, (record, digest) in enumerate(zip(told, digests, strict=False), start=1):
            if _digest(record) != digest:
                self.problems.append(f"{_FACTS}: record {number} was altered")
                return
        if len(told) != len(digests):
            self.problems.append(f"{_FACTS}: record {min(len(told), len(digests)) + 1} is missing or was added")

    def _files(self, files: Mapping[str, str], damaged: set[str]) -> None:
        there = set(self.bundle.namelist()) - {_MANIFEST}
        self.problems += [f"{name} is missing" for name in files if name not in there]
        self.problems += [f"{name} was added" for name in sorted(there - files.keys())]
        for name in files:
            if name in there and name not in damaged and hashlib.sha256(self._raw(name)).hexdigest() != files[name]:
                self.problems.append(f"{name} was altered: its checksum differs")

    def _raw(self, name: str) -> bytes:
        """Return a member's bytes as they are in the file, also where they are not those that were written."""
        if name not in self.bundle.namelist():
            return b""
        try:
            return self.bundle.read(name)
        except (zipfile.BadZipFile, zlib.error):
            info = self.bundle.getinfo(name)
            return b"" if info.compress_type != zipfile.ZIP_STORED else b"".join(self._stored(info))

    def _stored(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        with Path(str(self.bundle.filename)).open("rb") as file:
            file.seek(info.header_offset)
            name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            file.seek(name + extra, 1)
            yield file.read(info.file_size)
