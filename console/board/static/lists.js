// What was said and decided? Announcements, alerts, and the audit trail, newest first.

import { $, el, sign } from "./dom.js";
import { basisName, phaseName, reasonName, regimeName } from "./market.js";
import { clock, lang, moment, num, span, t, tOr } from "./words.js";

function fill(list, rows, emptyText, make) {
  list.replaceChildren(...(rows.length ? rows.map(make) : [el("li", "quiet", emptyText)]));
}

const segmentName = (segment) => tOr(`segment.short.${segment}`, segment);

export function renderAnnouncements(store) {
  const now = store.clock.now_ms;
  const inForce = new Set((store.market?.notices ?? []).map((notice) => notice.number));
  const drawn = JSON.stringify([store.announcements.map((notice) => [notice.number, notice.superseded]), [...inForce], lang()]);
  if ($("announcements").dataset.drawn === drawn) return;
  $("announcements").dataset.drawn = drawn;
  fill($("announcements"), store.announcements, t("announcements.none"), (notice) => {
    const kind = tOr(`announcement.${notice.kind}`, notice.kind);
    const head = el("span", "head", el("b", "", kind), el("span", "num", notice.number), el("span", "num quiet", moment(notice.at_ms, now)));
    const row = el("li", "notice", head);
    if (notice.superseded) head.append(el("span", "chip", t("announcements.superseded")));
    else if (inForce.has(notice.number)) head.append(el("span", "chip force", t("announcements.in_force")));
    row.append(el(notice.superseded ? "s" : "p", "text", notice[lang()]));
    row.classList.toggle("over", notice.superseded);
    return row;
  });
}

export function renderAlerts(store) {
  const now = store.clock.now_ms;
  const raised = (priority) => store.alerts.filter((alert) => alert.priority === priority && alert.state === "RAISED" && alert.at_ms > now - 86_400_000).length;
  $("alerts-counts").textContent = t("alerts.counts", { p1: raised("P1"), p2: raised("P2"), p3: raised("P3") });
  fill($("alerts"), store.alerts, t("alerts.none"), (alert) => {
    const cleared = alert.state === "CLEARED";
    const quiet = cleared || alert.over;
    const priority = quiet ? 0 : Number(alert.priority.slice(1));
    const row = el("li", `event p${priority}${quiet ? " over" : ""}`);
    row.append(el("span", "num quiet at", moment(alert.at_ms, now)), sign(priority, alert.priority), el("span", "text", alert[lang()]));
    if (cleared) row.append(el("span", "chip", t("alerts.cleared")));
    row.title = `${alert.priority} · ${alert.name}`;
    return row;
  });
}

export function renderDecisions(store) {
  const now = store.clock.now_ms;
  fill($("decisions"), store.decisions, t("decisions.none"), (decision) => {
    const row = el("li", "event");
    const refused = decision.kind === "Refused";
    row.append(el("span", "num quiet at", moment(decision.at_ms, now)), el("span", "num quiet seq", `#${decision.seq}`));
    row.title = grounds(decision);
    row.append(el("span", "text", `${refused ? "✕ " : ""}${describe(decision, store.site, now)}`));
    return row;
  });
}

/** What a decision rests on, for who asks: its article and evidence as recorded, in English. */
const grounds = ({ body: { article, rule, evidence } }) => [article ?? rule ?? "", ...(evidence ?? [])].filter(Boolean).join("; ");

const dutyName = ({ duty }) => tOr(`duty.${duty}`, duty);
const bodyName = (body) => tOr(`body.${body}`, body);
const missingOf = ({ missing }) => (missing?.length ? t("duties.missing", { who: missing.map(bodyName).join(", ") }) : "");

/** A decision in one sentence; a kind the page does not know is shown by its name. */
function describe({ kind, body }, site, now) {
  const segment = segmentName(body.segment);
  switch (kind) {
    case "Transition":
      return t("decision.Transition", { segment, before: phaseName(body.before), after: phaseName(body.after), basis: basisName(body.basis, site) });
    case "Announcement":
      return t("decision.Announcement", { number: body.number });
    case "AnomalyNoted":
      return t("decision.AnomalyNoted", { segment, interval: clock(body.interval_start_ms), how: tOr(`how.${body.how}`, body.how), reason: reasonName(body.reason) });
    case "OutageEnded":
      return t("decision.OutageEnded", { segment, duration: span(body.outage_end_ms - body.outage_start_ms), n: body.failed_intervals });
    case "Reminded":
      return t("decision.Reminded", { segment, min: num(body.minutes), headroom: num(body.headroom_min) });
    case "FindingNoted":
      return t("decision.FindingNoted", { finding: tOr(`finding.${body.finding}`, basisName(body.finding, site)), article: body.article });
    case "RecoveryProposed":
      return t("decision.RecoveryProposed", { segment, n: num(body.shadow_ok) });
    case "DutyOpened":
      if (body.due_ms === null) return t("decision.DutyTask", { duty: dutyName(body) });
      return t("decision.DutyOpened", { duty: tOr(`duty.${body.duty}`, body.duty), at: moment(body.due_ms, now, false) });
    case "DutySettled":
      return t("decision.DutySettled", { duty: tOr(`duty.${body.duty}`, body.duty), outcome: tOr(`duty.outcome.${body.outcome}`, body.outcome) });
    case "DutyReminded":
      return t(body.overdue ? "decision.DutyOverdue" : "decision.DutyReminded", { duty: dutyName(body), at: moment(body.due_ms, now, false), missing: missingOf(body) });
    case "DutyReceived":
      return t("decision.DutyReceived", { duty: dutyName(body), body: bodyName(body.recipient), at: moment(body.delivered_at_ms, now, false) });
    case "ApprovalRequested":
      return t("decision.ApprovalRequested", { measure: body.measure, by: body.by });
    case "ApprovalRecorded":
      return t("decision.ApprovalRecorded", { measure: body.measure, body: bodyName(body.body), verdict: tOr(`verdict.${body.verdict}`, body.verdict) });
    case "ApprovalVoided":
      return t("decision.ApprovalVoided", { measure: body.measure });
    case "CaseOpened":
      return t("decision.CaseOpened", { case: body.case, anomaly: tOr(`anomaly.${body.anomaly}`, body.anomaly), subject: body.subject });
    case "CaseNoted":
      return t("decision.CaseNoted", { case: body.case, entry: tOr(`entry.${body.entry}`, body.entry), text: body.text });
    case "CaseClosed":
      return t("decision.CaseClosed", { case: body.case, by: body.by });
    case "RegimeProposed":
      return t("decision.RegimeProposed", { segment, regime: regimeName(body.regime), at: moment(body.from_ms, now, false) });
    case "ProfilePublished":
      return t("decision.ProfilePublished", { day: body.day, article: body.article });
    case "CommandAccepted":
      return t("decision.CommandAccepted", { action: body.action, by: body.by, role: body.role });
    case "ClearingOrdered":
      return t("decision.ClearingOrdered", { segment, interval: clock(body.interval_start_ms), by: body.by, reason: body.reason });
    case "ResultRevised":
      return t("decision.ResultRevised", { segment, interval: clock(body.interval_start_ms), n: num(body.version), by: body.by, reason: body.reason });
    case "Refused":
      return t("decision.Refused", { action: body.action, by: body.by, role: body.role, why: body.why });
    default:
      return kind;
  }
}
