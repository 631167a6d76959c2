"""The timeline of a case: each decision that a reader has to know of, as one sentence in Chinese or English."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from market.decisions import Decision
from market.explanation import Explanation, key_of
from market.explanationwords import Language, at, cause, clock, duration, evidence, item, name, signed

__all__ = ["Event", "events"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a timeline; ``tone`` is ``trip``, ``back``, ``late`` or empty."""

    ts_ns: int
    seq: int
    text: str
    who: str = ""
    tone: str = ""


def events(told: Explanation, language: Language) -> Iterator[Event]:
    """Yield the timeline of a case in the order of its records; what another line says already is left out."""
    teller = _Teller(told, language)
    for d in told.records:
        tell = teller.tellers.get(d.kind)
        event = tell(d, d.body) if tell else None
        if event is not None:
            yield event


_Tell = Callable[[Decision, dict[str, Any]], Event | None]


class _Teller:
    """Tells decisions in one language."""

    def __init__(self, told: Explanation, language: Language) -> None:
        self._language, self._zone = language, told.rules.zone
        self._session = told.segment is None
        self._clocked = {duty.key for duty in told.duties if duty.due_ns is not None}
        self.tellers: dict[str, _Tell] = {
            "Transition": self._transition,
            "AnomalyNoted": self._anomaly,
            "OutageEnded": self._outage_ended,
            "Reminded": self._reminded,
            "FindingNoted": self._finding,
            "Announcement": self._announcement,
            "RecoveryProposed": self._recovery_proposed,
            "DutySettled": self._settled,
            "DutyReminded": self._duty_reminded,
            "DutyReceived": self._received,
            "ApprovalRequested": self._requested,
            "ApprovalRecorded": self._approved,
            "ApprovalVoided": self._voided,
            "CaseOpened": self._opened,
            "CaseNoted": self._noted,
            "CaseClosed": self._closed,
            "Refused": self._refused,
            "ResultRevised": self._revised,
        }

    def _say(self, zh: str, en: str) -> str:
        return zh if self._language is Language.ZH else en

    def _name(self, code: str) -> str:
        return name(code, self._language)

    def _by_article(self, text: str, article: str) -> str:
        cited = item(article, self._language)
        return self._say(f"{text}（{cited}）", f"{text} ({cited})")

    def _who(self, by: str) -> str:
        return by or self._say("系统", "service")

    def _transition(self, d: Decision, body: dict[str, Any]) -> Event:
        before, after, basis = self._name(body["before"]), self._name(body["after"]), self._name(body["basis"])
        text = f"{before} → {after}{self._say('：', ': ')}{self._by_article(basis, body['article'])}"
        if body["after"] == "RESUMING" and body["effective_from_ns"] is not None:
            effective = at(body["effective_from_ns"], self._zone, self._language)
            text += self._say(f"，自 {effective} 起生效", f", effective from {effective}")
        if body["before"] == "PROPOSED" and body["after"] in ("NORMAL", "DEGRADED") and body["evidence"]:
            text += self._say("：", ": ") + "; ".join(body["evidence"])
        return Event(d.ts_event_ns, d.seq, text, self._who(body["by"]), _TONES.get(body["after"], ""))

    def _anomaly(self, d: Decision, body: dict[str, Any]) -> Event:
        start, how = clock(body["interval_start_ns"], self._zone), self._name(body["how"])
        text = self._say(f"时段 {start}：{how}", f"interval {start}: {how}")
        if body["how"] != "MISSED":  # silence has no reason
            text += f" · {body['reason']}"
        return Event(d.ts_event_ns, d.seq, text, self._who(""))

    def _outage_ended(self, d: Decision, body: dict[str, Any]) -> Event:
        lasted = duration((body["outage_end_ns"] - body["outage_start_ns"]) / 1e9, self._language)
        failed = body["failed_intervals"]
        text = self._say(
            f"异常结束，历时 {lasted}，{failed} 个时段无结果", f"the outage ended after {lasted}, {failed} intervals without a result"
        )
        return Event(d.ts_event_ns, d.seq, text, self._who(""), "back")

    def _reminded(self, d: Decision, body: dict[str, Any]) -> Event:
        minutes, left = body["minutes"], body["headroom_min"]
        text = self._say(
            f"提醒：已 {minutes} 分钟未出清，距熔断 {left} 分钟", f"reminder: {minutes} min without a result, {left} min to the limit"
        )
        return Event(d.ts_event_ns, d.seq, text, self._who(""))

    def _finding(self, d: Decision, body: dict[str, Any]) -> Event:
        told = "; ".join(evidence(line, self._language) for line in body["evidence"])
        told = told if len(told) <= _EVIDENCE_TOLD else f"{told[:_EVIDENCE_TOLD]}…"  # the record has all of it
        text = self._by_article(self._name(body["finding"]), body["article"])
        return Event(d.ts_event_ns, d.seq, f"{text}{self._say('：', ': ') if told else ''}{told}", self._who(""))

    def _announcement(self, d: Decision, body: dict[str, Any]) -> Event:
        supersedes = self._say(f"，取代 {body['supersedes']}", f", supersedes {body['supersedes']}") if body["supersedes"] else ""
        text = self._say(f"发布公告 {body['number']}", f"notice {body['number']} published") + supersedes
        return Event(d.ts_event_ns, d.seq, text, self._who(""))

    def _recovery_proposed(self, d: Decision, body: dict[str, Any]) -> Event:
        ok = body["shadow_ok"]
        text = self._say(
            f"影子出清连续 {ok} 次有效，可由人员决定恢复", f"{ok} valid shadow clearings in a row: a person may recover the market"
        )
        return Event(d.ts_event_ns, d.seq, text, self._who(""))

    def _settled(self, d: Decision, body: dict[str, Any]) -> Event | None:
        if body["duty"] == "announce" and body["outcome"] == "met":
            return None  # the notice is a line of its own
        what, outcome = self._name(body["duty"]), self._name(body["outcome"])
        text = self._say(f"义务“{what}”：{outcome}", f"duty to {what}: {outcome}")
        if key_of(d) in self._clocked:
            margin = signed(body["margin_s"], self._language)
            text += self._say(f"，余量 {margin}", f", margin {margin}")
        return Event(d.ts_event_ns, d.seq, text, self._who(""), "late" if body["outcome"] == "late" else "")

    def _duty_reminded(self, d: Decision, body: dict[str, Any]) -> Event | None:
        if not body["overdue"]:
            return None  # counted in the record of the duty
        missing = self._say("、", ", ").join(self._name(who) for who in body["missing"])
        waits = self._say(f"，未送达：{missing}", f"; without a receipt: {missing}") if missing else ""
        text = self._say(f"义务“{self._name(body['duty'])}”逾期", f"the duty to {self._name(body['duty'])} is overdue") + waits
        return Event(d.ts_event_ns, d.seq, text, self._who(""), "late")

    def _received(self, d: Decision, body: dict[str, Any]) -> Event:
        when = at(body["delivered_at_ns"], self._zone, self._language)
        reference = f"{self._say('，', ', ')}{body['reference']}" if body["reference"] else ""
        text = self._say(
            f"“{self._name(body['duty'])}”已于 {when} 送达{self._name(body['recipient'])}{reference}",
            f"duty to {self._name(body['duty'])}: delivered to {self._name(body['recipient'])} at {when}{reference}",
        )
        return Event(d.ts_event_ns, d.seq, text, body["by"])

    def _requested(self, d: Decision, body: dict[str, Any]) -> Event:
        measure, digest = body["measure"], body["digest"][:12]
        text = self._say(f"就 {measure} 申请批复（内容摘要 {digest}）", f"approval of {measure} asked of both bodies (digest {digest})")
        return Event(d.ts_event_ns, d.seq, text, body["by"])

    def _approved(self, d: Decision, body: dict[str, Any]) -> Event:
        form = self._say("口头", " orally") if body["form"] == "oral" else ""
        who, verdict = self._name(body["body"]), self._name(body["verdict"])
        reference = f"{self._say('，', ', ')}{body['reference']}" if body["reference"] else ""
        text = self._say(f"{who}{form}{verdict} {body['measure']}{reference}", f"{who}: {body['measure']} {verdict}{form}{reference}")
        return Event(d.ts_event_ns, d.seq, text, body["by"])

    def _voided(self, d: Decision, body: dict[str, Any]) -> Event:
        text = self._say(f"对 {body['measure']} 的批复失效：{body['why']}", f"approvals of {body['measure']} are void: {body['why']}")
        return Event(d.ts_event_ns, d.seq, text, self._who(""), "late")

    def _opened(self, d: Decision, body: dict[str, Any]) -> Event:
        text = self._say(f"立案 {body['case']}", f"case {body['case']} opened") + f" · {item(body['item'], self._language)}"
        return Event(d.ts_event_ns, d.seq, text, self._who(""))

    def _noted(self, d: Decision, body: dict[str, Any]) -> Event | None:
        entry = _ENTRIES.get(body["entry"])
        if entry is None or (not body["by"] and body["entry"] in ("STATUS", "LINKED") and not self._session):
            return None  # the decision it follows from is a line of its own
        told = cause(body["text"], self._language) if body["entry"] == "CAUSE" else body["text"]
        return Event(d.ts_event_ns, d.seq, f"{self._say(*entry)}{self._say('：', ': ')}{told}", self._who(body["by"]))

    def _closed(self, d: Decision, body: dict[str, Any]) -> Event:
        return Event(
            d.ts_event_ns, d.seq, self._say(f"案件 {body['case']} 结案", f"case {body['case']} closed"), self._who(body["by"]), "back"
        )

    def _refused(self, d: Decision, body: dict[str, Any]) -> Event:
        rule = item(body["rule"], self._language)
        action, role = self._name(body["action"]), self._name(body["role"])
        text = self._say(f"拒绝“{action}”（{rule}）：{body['why']}", f"{action} refused ({rule}): {body['why']}")
        return Event(d.ts_event_ns, d.seq, text, self._say(f"{body['by']}（{role}）", f"{body['by']} ({role})"))

    def _revised(self, d: Decision, body: dict[str, Any]) -> Event:
        start, version = at(body["interval_start_ns"], self._zone, self._language), body["version"]
        text = self._say(
            f"时段 {start} 发布第 {version} 版结果：{body['reason']}", f"version {version} of the result of {start}: {body['reason']}"
        )
        return Event(d.ts_event_ns, d.seq, text, body["by"])


_EVIDENCE_TOLD: Final = 160
"""Characters of a finding's evidence that a line has room for."""

_TONES: Final = {
    "TRIPPED": "trip",
    "OVERDUE": "late",
    "SUSPENDED": "trip",
    "SUSPENDED_LONG": "trip",
    "RESUMING": "back",
    "NORMAL": "back",
}

_ENTRIES: Final = {
    "CAUSE": ("认定原因", "cause"),
    "DISCOVERED": ("发现时刻更正为", "discovery"),
    "ACTION": ("处置", "measure"),
    "ANALYSIS": ("原因分析", "analysis"),
    "RECTIFICATION": ("整改事项", "to rectify"),
    "RECTIFIED": ("整改完成", "rectified"),
    "STATUS": ("记录", "entry"),
    "LINKED": ("关联", "linked"),
}
"""Entries of a case that are lines of their own; MAJOR follows from one that is, and of a market so does what a machine enters."""
