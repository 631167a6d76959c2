// What is open besides the clocks? Cases, approvals that are awaited, notices in force, warnings, what dispatch follows.

import { $, el, sign } from "./dom.js";
import { lang, moment, t, tOr } from "./words.js";

/** Rows of the panel: `[priority, what, detail]`, the gravest first. Grey where all is as it should be. */
function rowsOf(market, now) {
  const rows = [];
  for (const warning of market.warnings ?? []) rows.push([2, t("incident.warning", { warning }), t("incident.warning_means")]);
  if (market.guidance) rows.push([3, t("incident.guidance", { article: articleName(market.guidance) }), t("incident.guidance_means")]);
  for (const approval of market.approvals ?? []) rows.push(approvalRow(approval));
  for (const one of market.cases ?? []) rows.push(caseRow(one));
  for (const notice of market.notices ?? []) rows.push(noticeRow(notice, now));
  const order = (row) => row[0] || 9; // what is normal stands last
  return rows.map((row, index) => [row, index]).sort((a, b) => order(a[0]) - order(b[0]) || a[1] - b[1]).map(([row]) => row);
}

/** A citation as the page's language writes it: `Art. 27` or 第27条. */
const articleName = (article) => (article.startsWith("Art. ") ? t("incident.article", { n: article.slice(5) }) : article);

function approvalRow({ measure, scope, bodies }) {
  const verdicts = Object.entries(bodies).map(([body, verdict]) => t("incident.verdict", { body: tOr(`body.${body}`, body), verdict: tOr(`verdict.${verdict}`, verdict) }));
  const said = Object.values(bodies);
  const priority = said.includes("REFUSED") || said.includes("VOID") ? 2 : said.every((verdict) => verdict === "APPROVED") ? 0 : 3;
  const part = scope?.length ? ` [${scope.join(", ")}]` : "";
  return [priority, t("incident.approval", { measure: `${measure}${part}` }), verdicts.join(" · ")];
}

/** What a case lacks: the record says it in English, in the words of its entries and duties. */
const lackName = (what) => (lang() === "zh" ? tOr(`entry.${what.toUpperCase()}`, tOr(`duty.${what}`, what)) : what);

function caseRow(one) {
  const about = [one.major ? t("incident.major") : "", one.segment ? tOr(`segment.short.${one.segment}`, one.segment) : "", tOr(`anomaly.${one.anomaly}`, one.anomaly)];
  about.push(one.cause ? tOr(`cause.${one.cause}`, one.cause) : t("incident.no_cause"));
  if (one.missing?.length) about.push(t("incident.missing", { what: one.missing.map(lackName).join(lang() === "zh" ? "、" : ", ") }));
  return [one.major ? 3 : 4, t("incident.case", { case: one.case }), about.filter(Boolean).join(" · "), one.subject];
}

function noticeRow({ number, kind, next_update_ms: update }, now) {
  const at = moment(update, now, false);
  const late = update !== null && update < now;
  const promised = update === null ? "" : t(late ? "incident.update_late" : "incident.update_due", { at });
  return [late ? 2 : 0, t("incident.notice", { number }), [tOr(`announcement.${kind}`, kind), promised].filter(Boolean).join(" · ")];
}

export function renderIncident(store) {
  const rows = store.market ? rowsOf(store.market, store.clock.now_ms) : [];
  const list = $("incidents");
  // Redrawn only when it says something else, so that a reader's place in the list stays.
  const drawn = JSON.stringify(rows) + document.documentElement.lang;
  if (list.dataset.drawn === drawn) return;
  list.dataset.drawn = drawn;
  const open = rows.filter(([priority]) => priority > 0).length;
  $("incident-count").textContent = open ? t("incident.open", { n: open }) : "";
  if (!rows.length) return list.replaceChildren(el("li", "quiet", t("incident.none")));
  list.replaceChildren(...rows.map(([priority, what, detail, more]) => {
    const row = el("li", `open-item p${priority}`, sign(priority), el("b", "", what), el("span", "text", detail));
    row.title = [what, detail, more].filter(Boolean).join(" · ");
    return row;
  }));
}
