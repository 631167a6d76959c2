"""An explanation as a document: headings, paragraphs, tables and figures in one language, whatever they are written as.

Sections follow what Art. 24 is read to ask for: cause, timeline, segments and periods, measures, pricing, duties, recovery; then the
analysis and the place in the audit chain.
"""

from __future__ import annotations

from collections.abc import Iterator

from market.explanation import DutyRecord, Explanation, RegimeSpan
from market.explanationblocks import Block, Figure, Heading, Page, Quote, Table, Text, Tile, Tiles
from market.explanationtimeline import events
from market.explanationwords import Language, at, cause, day, duration, evidence, item, moment, name, signed
from market.prices import PriceInForce
from market.units import instant_text

__all__ = ["page"]


def page(told: Explanation, language: Language) -> Page:
    """Write an explanation as a document in one language."""
    writer = _Writer(told, language)
    return Page(language=language, title=writer.title(), subtitle=writer.subtitle(), blocks=tuple(writer.blocks()))


class _Writer:
    """Says one explanation in one language."""

    def __init__(self, told: Explanation, language: Language) -> None:
        self._told, self._language, self._zone = told, language, told.rules.zone

    def _say(self, zh: str, en: str) -> str:
        return zh if self._language is Language.ZH else en

    def _name(self, code: str) -> str:
        return name(code, self._language)

    def _at(self, ns: int | None) -> str:
        return "–" if ns is None else at(ns, self._zone, self._language)

    def _lasted(self, seconds: float) -> str:
        return duration(seconds, self._language)

    def _segment(self) -> str:
        return self._name(self._told.segment) if self._told.segment else str(self._told.opened["subject"])

    def title(self) -> str:
        if self._told.suspended:
            what = self._say("熔断及中止情况说明", "Explanation of the market breaker and suspension")
            return self._say(f"电力现货{self._segment()}{what}", f"{what}: {self._segment()}")
        if self._told.trips:
            return self._say(f"电力现货{self._segment()}熔断情况说明", f"Explanation of the market breaker: {self._segment()}")
        return self._say(f"市场异常情况说明：{self._segment()}", f"Explanation of a market anomaly: {self._segment()}")

    def subtitle(self) -> str:
        told = self._told
        offset = self._offset()
        return self._say(
            f"案件 {told.number} · 截至 {self._at(told.as_of_ns)} · 时间均为 {offset} · 送：政府主管部门、监管机构、市场主体",
            f"Case {told.number} · as of {self._at(told.as_of_ns)} · times are {offset} · "
            "to: government department, regulator, participants",
        )

    def _offset(self) -> str:
        return f"UTC{instant_text(self._told.as_of_ns, self._zone)[-6:]}"

    def blocks(self) -> Iterator[Block]:
        yield Tiles(tuple(self._tiles()))
        yield Text(self._summary())
        yield from self._missing()
        yield Figure("phases", self._say("市场状态", "State of the market"))
        yield from self._section(self._say("一、基本情况", "1. The case"), self._case())
        yield from self._section(self._say("二、原因与依据", "2. Cause and evidence"), self._causes())
        yield from self._section(self._say("三、经过", "3. Timeline"), self._timeline())
        yield from self._section(self._say("四、处置措施", "4. Measures"), self._measures())
        yield from self._section(self._say("五、价格", "5. Pricing"), self._prices())
        yield from self._section(self._say("六、法定义务与送达", "6. Duties and receipts"), self._duties())
        yield from self._section(self._say("七、恢复", "7. Recovery"), self._recovery())
        yield from self._section(self._say("八、原因分析与整改", "8. Analysis and rectification"), self._analysis())
        yield from self._section(self._say("九、审计", "9. Audit"), self._audit())

    def _section(self, heading: str, blocks: Iterator[Block]) -> Iterator[Block]:
        yield Heading(heading)
        yield from blocks

    # ---- first of all

    def _tiles(self) -> Iterator[Tile]:
        told = self._told
        if told.tripped_at_ns is not None:
            running = told.effective_from_ns is None and told.over_ns is None
            note = self._say("仍在持续", "still running") if running else ""
            lasted = self._lasted((told.out_until_ns - told.tripped_at_ns) / 1e9)
            label = self._say("市场中断历时", "Time out of the market") if told.suspended else self._say("熔断历时", "Time in the breaker")
            yield Tile(label, lasted, note, running)
        substituted = [span for span in told.regimes if span.regime not in ("MARKET", "GAP")]
        gaps = sum(span.intervals for span in told.regimes if span.regime == "GAP")
        note = self._say(f"另有 {gaps} 个缺口时段", f"and {gaps} gap intervals before") if gaps else ""
        if told.regimes:
            yield Tile(self._say("按规则定价时段", "Intervals priced by rule"), str(sum(span.intervals for span in substituted)), note)
        for key, label in (
            ("explain", self._say("48 小时说明", "48 h explanation")),
            ("limit", self._say("72 小时限期", "72 h limit")),
            ("announce_anomaly", self._say("30 分钟公告", "30 min announcement")),
        ):
            duty = next((duty for duty in told.duties if duty.duty == key), None)
            if duty is not None:
                yield self._duty_tile(label, duty)

    def _duty_tile(self, label: str, duty: DutyRecord) -> Tile:
        late = duty.outcome in ("late", "overdue")
        if duty.due_ns is not None and duty.settled_ns is None:
            left_s = (duty.due_ns - self._told.as_of_ns) / 1e9
            note = (
                self._say(f"剩余 {self._lasted(left_s)}", f"{self._lasted(left_s)} left") if left_s >= 0 else signed(left_s, self._language)
            )
            return Tile(label, self._name(duty.outcome), note, late)
        note = "" if duty.margin_s is None else self._say("余量 ", "margin ") + signed(duty.margin_s, self._language)
        return Tile(label, self._name(duty.outcome), note, late)

    def _summary(self) -> str:
        told = self._told
        if told.tripped_at_ns is None:
            opened = self._at(told.opened["discovered_ns"])
            return self._say(
                f"{opened} 发现异常：{told.opened['subject']}（{item(told.opened['item'], self._language)}）。"
                + ("未触发熔断。" if told.segment else ""),
                f"An anomaly was found at {opened}: {told.opened['subject']} ({told.opened['item']})."
                + (" The breaker did not trip." if told.segment else ""),
            )
        trip = told.trips[0].body
        who_zh, who_en = (
            (f"调度机构 {trip['by']} ", f"Dispatch ({trip['by']})") if trip["by"] else ("系统按规则自动", "The service, by rule,")
        )
        met, basis, article = self._at(trip["condition_met_at_ns"]), self._name(trip["basis"]), item(trip["article"], self._language)
        zh = f"{met} {basis}的条件成立（{article}），{self._at(told.tripped_at_ns)} {who_zh}对{self._segment()}实施熔断。"
        tripped = f"{who_en} tripped the {self._segment()} at {self._at(told.tripped_at_ns)}."
        en = f"At {met} the condition was met ({basis}, {article}). {tripped}"
        return self._say(zh + self._suspended() + self._recovered(), f"{en} {self._suspended()}{self._recovered()}")

    def _suspended(self) -> str:
        if not self._told.suspended:
            return ""
        body = self._told.suspended[0].body
        began, end, by = self._at(body["suspended_from_ns"]), self._at(self._told.suspended[-1].body["expected_end_ns"]), body["by"]
        decided = self._at(self._told.suspended[0].ts_event_ns)
        return self._say(
            f"熔断超过限期未恢复，{decided} 市场运营机构 {by} 决定自 {began} 起中止市场，预计 {end} 结束。",
            f"It did not recover within its limit; the market operators ({by}) decided at {decided} to suspend it from {began}, "
            f"with {end} as the expected end. ",
        )

    def _recovered(self) -> str:
        told = self._told
        if told.effective_from_ns is None:
            return self._say("截至本说明，市场尚未恢复。", "The market has not recovered by the time of this report.")
        recovery, effective = told.resumptions[-1], self._at(told.effective_from_ns)
        by, decided = recovery.body["by"], self._at(recovery.ts_event_ns)
        if recovery.body["basis"] == "RESUMED":
            return self._say(
                f"{decided} 市场运营机构 {by} 经两部门批准公告恢复，自 {effective} 起的时段恢复市场出清价格。",
                f"With both approvals, the market operators ({by}) announced at {decided} that it resumes; "
                f"market prices return from the interval at {effective}.",
            )
        return self._say(
            f"{decided} 调度机构 {by} 决定恢复，自 {effective} 起的时段恢复市场出清价格。",
            f"Dispatch ({by}) decided the recovery at {decided}; market prices return from the interval at {effective}.",
        )

    def _missing(self) -> Iterator[Block]:
        missing = []
        if not self._told.cause:
            missing.append(self._say("原因（第五条）", "a cause (Art. 5)"))
        if self._told.major and not self._told.noted("ANALYSIS"):
            missing.append(self._say("原因分析", "the analysis of the cause"))
        if self._told.major and not self._told.noted("RECTIFICATION"):
            missing.append(self._say("整改事项", "items to be rectified"))
        if missing:
            yield Text(self._say("尚缺：", "Still missing: ") + self._say("、", ", ").join(missing), warning=True)

    # ---- sections

    def _case(self) -> Iterator[Block]:
        told, opened = self._told, self._told.opened
        discovered = told.noted("DISCOVERED")
        found = discovered[-1].body["text"] if discovered else self._at(opened["discovered_ns"])
        status = "closed" if told.closed_ns else "over" if told.over_ns else "running"
        states = {
            "closed": ("已结案", "closed"),
            "over": ("异常已结束，案件未结", "the anomaly is over, the case is open"),
            "running": ("进行中", "running"),
        }
        rows = [
            (self._say("案件编号", "Case"), told.number),
            (self._say("市场", "Market"), self._segment()),
            (self._say("异常类别", "Class"), f"{self._name(opened['anomaly'])} · {item(opened['item'], self._language)}"),
            (self._say("发现时刻", "Discovered"), found),
            (self._say("性质", "Weight"), self._say("重大", "major") if told.major else self._say("一般", "minor")),
            (self._say("状态", "Status"), self._say(*states[status])),
            (self._say("规则集", "Rule set"), ", ".join(told.rule_sets)),
        ]
        yield Table((), tuple(rows))

    def _causes(self) -> Iterator[Block]:
        yield Text(
            self._say("原因：", "Cause: ") + (cause(self._told.cause, self._language) or self._say("尚未认定", "nobody has said yet"))
        )
        for d in self._told.records:
            trip = d.kind == "Transition" and d.body["after"] in ("PROPOSED", "TRIPPED")
            if (trip or (d.kind == "FindingNoted" and self._told.segment is None)) and d.body["evidence"]:
                what, article = self._name(d.body["basis" if trip else "finding"]), item(d.body["article"], self._language)
                title = f"{what} · {article} · {self._at(d.ts_event_ns)} · #{d.seq}"
                rows = tuple((str(number), evidence(line, self._language)) for number, line in enumerate(d.body["evidence"], start=1))
                yield Table((self._say("序", "No."), title), rows)

    def _timeline(self) -> Iterator[Block]:
        rows: list[tuple[str, ...]] = []
        tones: list[str] = []
        shown = ""
        for event in events(self._told, self._language):
            date = day(event.ts_ns, self._zone, self._language)
            if date != shown:
                shown = date
                rows.append((date,))
                tones.append("")
            rows.append((moment(event.ts_ns, self._zone), event.text, event.who, f"#{event.seq}"))
            tones.append(event.tone)
        head = (self._say("时刻", "When"), self._say("事项", "What"), self._say("经办", "By"), self._say("记录", "Record"))
        yield Table(head, tuple(rows), tones=tuple(tones))

    def _measures(self) -> Iterator[Block]:
        actions = self._told.noted("ACTION")
        if actions:
            rows = tuple((self._at(d.ts_event_ns), d.body["text"], d.body["by"]) for d in actions)
            yield Table((self._say("时刻", "When"), self._say("措施", "Measure"), self._say("经办", "By")), rows)
        else:
            yield Text(
                self._say("除下列公告与命令外，未登记其他措施。", "No measures are entered besides the orders and the notices."), quiet=True
            )
        for d in self._told.of_kind("Announcement"):
            body = d.body
            supersedes = self._say(f" · 取代 {body['supersedes']}", f" · supersedes {body['supersedes']}") if body["supersedes"] else ""
            text = body["text_zh"] if self._language is Language.ZH else body["text_en"]
            yield Quote(f"{body['number']} · {self._at(body['published_at_ns'])}{supersedes}", text)

    def _prices(self) -> Iterator[Block]:
        if not self._told.regimes:
            yield Text(self._say("本案不涉及价格替代。", "No prices of this market are concerned."), quiet=True)
            return
        yield Figure("prices", self._say("各时段执行价格，元/兆瓦时", "Price in force by interval, CNY/MWh"))
        head = (
            *(self._say("时段起", "From"), self._say("时段止", "To"), self._say("定价规则", "Rule"), self._say("时段数", "Intervals")),
            *(self._say("最低", "Low"), self._say("平均", "Mean"), self._say("最高", "High"), self._say("待确认", "Provisional")),
        )
        yield Table(head, tuple(self._regime_row(span) for span in self._told.regimes), numeric=(3, 4, 5, 6, 7), whole=(0, 1))
        yield Text(
            self._say("价格单位：元/兆瓦时；平均为各时段算术平均。", "Prices in CNY/MWh; means over intervals, unweighted."), quiet=True
        )

    def _regime_row(self, span: RegimeSpan) -> tuple[str, ...]:
        figures = tuple("–" if value is None else f"{value:.2f}" for value in (span.low, span.mean, span.high))
        return (
            self._at(span.from_ns),
            self._at(span.to_ns),
            self._name(span.regime),
            str(span.intervals),
            *figures,
            str(span.provisional or "–"),
        )

    def _duties(self) -> Iterator[Block]:
        if not self._told.duties:
            yield Text(self._say("本案未产生法定义务。", "No statutory clock ran."), quiet=True)
            return
        head = (
            *(self._say("义务", "Duty"), self._say("依据", "Article"), self._say("期限", "Due"), self._say("完成", "Settled")),
            *(self._say("结果", "Outcome"), self._say("余量", "Margin"), self._say("提醒", "Reminders")),
        )
        rows = tuple(self._duty_row(duty) for duty in self._told.duties)
        yield Table(head, rows, numeric=(5, 6), tones=tuple("late" if d.outcome in ("late", "overdue") else "" for d in self._told.duties))
        receipts = tuple(
            (self._name(duty.duty), self._name(has.recipient), self._at(has.delivered_at_ns), has.reference or "–", has.by or "–")
            for duty in self._told.duties
            for has in duty.receipts
        )
        if receipts:
            columns = (
                *(self._say("送达事项", "What"), self._say("送达对象", "Recipient"), self._say("送达时刻", "Delivered")),
                *(self._say("回执", "Receipt"), self._say("登记人", "Entered by")),
            )
            tones = tuple("late" if row[2] == "–" else "" for row in receipts)
            yield Table(columns, receipts, whole=(0, 1, 2), tones=tones)

    def _duty_row(self, duty: DutyRecord) -> tuple[str, ...]:
        margin = "–" if duty.margin_s is None else signed(duty.margin_s, self._language)
        reminders = str(duty.reminders) if duty.reminders else "–"
        article = item(duty.article, self._language)
        return (
            self._name(duty.duty),
            article,
            self._at(duty.due_ns),
            self._at(duty.settled_ns),
            self._name(duty.outcome),
            margin,
            reminders,
        )

    def _recovery(self) -> Iterator[Block]:
        told = self._told
        if told.tripped_at_ns is None:
            over = self._say(f"异常于 {self._at(told.over_ns)} 结束。", f"The anomaly was over at {self._at(told.over_ns)}.")
            yield Text(over if told.over_ns else self._say("异常尚未结束。", "The anomaly is not over."))
            return
        yield Text(self._recovered())
        proposals = told.of_kind("RecoveryProposed")
        if proposals:
            ok, first = proposals[0].body["shadow_ok"], self._at(proposals[0].ts_event_ns)
            yield Text(
                self._say(
                    f"{first} 起，影子出清连续 {ok} 次有效，具备恢复条件（第二十九条）；恢复须由人员决定。",
                    f"From {first} on, {ok} shadow clearings in a row were valid, so that a person could recover it (Art. 29).",
                )
            )
        promised = [d.body["facts"]["next_update"] for d in told.of_kind("Announcement") if d.body["facts"].get("next_update")]
        if told.effective_from_ns is None and promised:
            yield Text(self._say("下次通报不晚于 ", "Next update by ") + promised[-1])

    def _analysis(self) -> Iterator[Block]:
        analyses = self._told.noted("ANALYSIS")
        for d in analyses:
            yield Quote(f"{d.body['by']} · {self._at(d.ts_event_ns)}", d.body["text"])
        if not analyses:
            missing = self._say("原因分析尚未提交（第四条）。", "The analysis has not been entered yet (Art. 4).")
            yield Text(
                missing if self._told.major else self._say("一般异常，无需分析。", "A minor anomaly; none is asked for."), quiet=True
            )
        done = {d.body["text"].partition(":")[0]: d for d in self._told.noted("RECTIFIED")}
        rows = []
        for d in self._told.noted("RECTIFICATION"):
            which, _, what = d.body["text"].partition(": ")
            rectified = done.get(which)
            state = self._say("未完成", "open") if rectified is None else self._at(rectified.ts_event_ns)
            rows.append((which, what, state))
        if rows:
            head = (self._say("整改事项", "Item"), self._say("内容", "What"), self._say("完成", "Done"))
            yield Table(head, tuple(rows), tones=tuple("late" if row[2] in ("未完成", "open") else "" for row in rows))

    def _audit(self) -> Iterator[Block]:
        chain = self._told.chain
        if chain.broken:
            yield Text(self._say(f"审计链校验失败：{chain.broken}", f"The audit chain does not hold: {chain.broken}"), warning=True)
        elif chain.whole:
            yield Text(self._say("审计链自第 1 条记录起校验无误。", "The audit chain was verified from its first record and holds."))
        else:
            yield Text(
                self._say(
                    "本说明所用记录不含链首，未校验；请运行 gridfuse audit verify。",
                    "The records do not begin at the first one and were not verified here; run gridfuse audit verify.",
                ),
                quiet=True,
            )
        codes = ", ".join(dict.fromkeys(d.code for d in self._told.records))
        rows = (
            (self._say("软件版本", "Software"), f"Gridfuse {codes}"),
            (self._say("记录", "Records"), f"#{chain.first} – #{chain.last} ({chain.decisions})"),
            (self._say("末条哈希", "Last hash"), chain.last_hash),
        )
        yield Table((), rows)
        head = (self._say("记录", "Record"), self._say("时刻", "When"), self._say("类别", "Kind"), "SHA-256")
        listed = tuple((f"#{d.seq}", self._at(d.ts_event_ns), d.kind, d.hash) for d in self._told.records)
        yield Table(head, listed, small=True)
        points = tuple(self._point_row(point) for point in self._told.points)
        if points:
            columns = (
                *(self._say("时段", "Interval"), self._say("价格", "Price")),
                *(self._say("规则", "Rule"), self._say("来源", "Source")),
                self._say("版次", "Revision"),
            )
            yield Table(columns, points, numeric=(1, 4), small=True)

    def _point_row(self, point: PriceInForce) -> tuple[str, ...]:
        price = "–" if point.price_cny_per_mwh is None else f"{point.price_cny_per_mwh:.2f}"
        return (self._at(point.interval_start_ns), price, self._name(point.regime), point.source, str(point.rev))
