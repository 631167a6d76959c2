"""The notice of an anomaly of a trading session, within thirty minutes of its discovery (Art. 11).

People write what is the matter, in both languages; case, discovery and number come with it. Given again for the same case, a notice
supersedes the one before; with the case it ends (:func:`market.notices.followed`). Its publication settles the duty to announce.

An anomaly of the spot market has no such notice: the breaker's speak of it.
"""

from __future__ import annotations

from market.caseorders import unknown
from market.caserecord import CaseBook
from market.commands import ORDERS, refused
from market.facts import CommandGiven
from market.notices import NoticeBoard, Step, anomaly_subject, issued
from market.rules import MarketRules
from market.units import instant_text

__all__ = ["announced"]


def announced(board: NoticeBoard, book: CaseBook, command: CommandGiven, now_ns: int, rules: MarketRules) -> Step:
    """Publish the notice of an anomaly, or refuse to.

    Args:
        board: the notices in force.
        book: the cases that are open.
        command: ANNOUNCE_ANOMALY, in order by :func:`market.commands.refusal`.
        now_ns: event time.
        rules: the rule set in force.
    """
    article, number = ORDERS[command.action].article, command.args["case"].strip()
    case = next((case for case in book.cases if case.case == number), None)
    if case is None:
        return board, (refused(command, "policy", unknown(book, number, rules)),)
    if case.segment is not None:
        why = f"case {number} is of {case.segment}, whose notices say what is so; PUBLISH_UPDATE adds to them"
        return board, (refused(command, article, why),)
    if (shown := command.args.get("version", str(case.version))) != str(case.version):
        why = f"the screen showed version {shown}, case {number} is at {case.version}; look again"
        return board, (refused(command, "policy", why),)
    facts = {
        "article": article,
        "by": command.by,
        "case": number,
        "discovered_at": instant_text(case.discovered_ns, rules.zone),
        "words_zh": command.args["text_zh"].strip(),
        "words_en": command.args["text_en"].strip(),
    }
    board, announcement = issued(board, "ANOMALY", None, facts, now_ns, rules, subject=anomaly_subject(number))
    return board, (announcement,)
