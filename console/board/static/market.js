// How is the market? State of both segments, the 120 minutes, the intervals, the price in force, the duties.

import { $, children, el, pairs, setPriority, setSign, setText, sign } from "./dom.js";
import { clock, moment, num, span, t, tOr } from "./words.js";

const STRIP_CELLS = 48;
const RULED = ["ART27_1", "ART27_2", "ART27_3", "ART28"];

/** Priority of a segment's state, 0 for normal: what the eye is drawn to. */
export function phasePriority(segment, elapsedMin) {
  switch (segment?.phase) {
    case "PROPOSED":
    case "TRIPPED":
    case "OVERDUE":
    case "SUSPENDED":
      return 1;
    case "SUSPENDED_LONG":
      return 2;
    case "DEGRADED":
      return elapsedMin >= 60 ? 2 : 3;
    case "RESUMING":
      return 3;
    default:
      return 0;
  }
}

export const phaseName = (phase) => tOr(`phase.${phase}`, phase);
export const regimeName = (regime) => tOr(`regime.${regime}`, regime);
export const reasonName = (reason) => tOr(`reason.${reason}`, reason);
export const basisName = (basis, site) => (basis ? tOr(`basis.${basis}`, basis).replace("{limit}", site?.limit_min ?? "") : "—");

const OUT = ["TRIPPED", "OVERDUE", "SUSPENDED", "SUSPENDED_LONG"];

/** Whether the breaker is open for a cause that has nothing to do with the time without a clearing. */
const otherCause = (segment) => OUT.includes(segment?.phase) && segment.basis !== "RT_120";

/** Whether clearing works again since the breaker tripped: results that count for nothing but the recovery. */
const validAgain = (store, segment) => OUT.includes(segment?.phase) && store.market.last_valid_at_ms > segment.tripped_at_ms;

/** Minutes of the running outage, by the breaker's own count; null where none is counted. */
export function elapsedMin(store) {
  const segment = store.segment("RT");
  if (!segment || segment.headroom_s === null || otherCause(segment)) return null;
  const limit = store.market.rt_limit_s / 60;
  // Past the limit the headroom stays at 0 while the outage goes on.
  if (OUT.includes(segment.phase) && segment.outage_start_ms !== null && !validAgain(store, segment)) return (store.clock.now_ms - segment.outage_start_ms) / 60_000;
  return limit - segment.headroom_s / 60;
}

export function renderMarket(store) {
  renderSegment(store, "RT", $("rt"));
  renderSegment(store, "DA", $("da"));
  renderPairs(store);
  renderBar(store);
}

function renderSegment(store, name, panel) {
  const segment = store.segment(name);
  const priority = name === "RT" ? phasePriority(segment, elapsedMin(store) ?? 0) : phasePriority(segment, 0);
  setPriority(panel, priority);
  setSign(panel.querySelector(".sign"), priority);
  setText(panel.querySelector(".phase-name"), segment ? phaseName(segment.phase) : t("phase.unknown"));
  const flags = panel.querySelector(".flags");
  const raised = segment?.flags ?? [];
  [...children(flags, raised.length, () => el("span", "flag"))].forEach((node, index) => setText(node, tOr(`flag.${raised[index]}`, raised[index])));
  if (name === "DA") {
    const now = store.clock.now_ms;
    const since = segment?.entered ? t("word.since", { at: moment(segment.entered.at_ms, now) }) : "";
    const basis = segment?.basis || segment?.entered?.basis;
    const about = [basis ? basisName(basis, store.site) : "", segment?.operating_day ? t("market.day", { day: segment.operating_day }) : "", ...standing(segment, now), since];
    setText($("da-since"), about.filter(Boolean).join(" · "));
    $("da-since").title = $("da-since").textContent;
  }
}

/** What people said of a segment: its cause, who proposed, from when to when it is suspended. */
function standing(segment, now) {
  const said = [];
  if (segment?.cause) said.push(tOr(`cause.${segment.cause}`, segment.cause));
  if (segment?.proposed_by) said.push(t("market.proposed_by", { by: segment.proposed_by }));
  if (segment?.suspended_from_ms) said.push(suspension(segment, now));
  return said;
}

/** From when to when a segment is suspended. */
function suspension(segment, now) {
  const from = moment(segment.suspended_from_ms, now, false);
  return segment.expected_end_ms ? t("market.suspended_span", { from, to: moment(segment.expected_end_ms, now, false) }) : t("market.suspended_from", { at: from });
}

function renderPairs(store) {
  const segment = store.segment("RT");
  const now = store.clock.now_ms;
  const since = segment?.entered?.at_ms ?? null;
  const rows = [
    [t("market.basis"), basisName(segment?.basis || segment?.entered?.basis, store.site)],
    [t("market.changed"), since === null ? "—" : `${moment(since, now)} · ${span(now - since)}`],
    [t("market.last_valid"), store.market?.last_valid_at_ms ? `${moment(store.market.last_valid_at_ms, now)} · ${span(now - store.market.last_valid_at_ms)}` : "—"],
  ];
  const out = [...OUT, "RESUMING"].includes(segment?.phase);
  // The same six lines at all times, so that nothing moves: what is over gives its place to what is decided.
  if (segment?.suspended_from_ms) rows.push([t("market.suspended"), suspension(segment, now)]);
  else if (segment?.cause) rows.push([t("market.cause"), standing({ cause: segment.cause, proposed_by: segment.proposed_by }, now).join(" · ")]);
  else rows.push([t("market.failed_intervals"), segment ? num(segment.failed_intervals) : "—"]);
  rows.push([t("market.shadow"), out ? `${num(segment.shadow_ok)} / ${store.site?.shadow_ok ?? "—"}` : "—"]);
  rows.push([t("market.effective"), segment?.effective_from_ms ? moment(segment.effective_from_ms, now, false) : "—"]);
  pairs($("rt-pairs"), rows);
}

function renderBar(store) {
  const segment = store.segment("RT");
  const limit = store.site?.limit_min ?? 120;
  const elapsed = elapsedMin(store);
  const now = store.clock.now_ms;
  const priority = elapsed > 0 ? phasePriority(segment, elapsed) : 0;
  const reached = elapsed !== null && elapsed >= limit;
  setPriority($("limit"), reached ? 1 : priority);
  setText($("bar-elapsed"), elapsed === null ? "—" : t("bar.elapsed", { min: Math.floor(Math.max(0, elapsed)) }));
  setText($("bar-headroom"), segment ? headroomText(store, segment, elapsed, limit) : "");
  $("bar-fill").style.width = `${Math.min(100, (100 * Math.max(0, elapsed ?? 0)) / limit)}%`;
  const instants = [];
  if (segment?.condition_met_at_ms) instants.push(t("bar.condition", { at: moment(segment.condition_met_at_ms, now) }));
  if (segment?.tripped_at_ms) instants.push(t("bar.tripped", { at: moment(segment.tripped_at_ms, now) }));
  setText($("bar-instants"), instants.join(" · "));
  const marks = [...(store.site?.marks_min ?? []), limit];
  const nodes = children($("bar-marks"), marks.length, () => el("span", "mark", el("i"), el("b", "num")));
  marks.forEach((mark, index) => {
    nodes[index].style.left = `${(100 * mark) / limit}%`;
    nodes[index].classList.toggle("reached", elapsed !== null && elapsed >= mark);
    nodes[index].classList.toggle("last", mark === limit);
    nodes[index].title = mark === limit ? t("bar.limit") : t("bar.mark");
    setText(nodes[index].lastElementChild, String(mark));
  });
  $("bar").setAttribute("aria-label", t("bar.aria", { elapsed: elapsed === null ? "—" : Math.floor(elapsed), limit }));
}

function headroomText(store, segment, elapsed, limit) {
  if (otherCause(segment)) return t("bar.other_cause");
  if (elapsed === null) return t("bar.not_expected");
  if (validAgain(store, segment)) return t("bar.valid_again");
  return elapsed >= limit ? t("bar.reached") : t("bar.headroom", { min: Math.ceil(limit - Math.max(0, elapsed)) });
}

// ── intervals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

let selected = null; // start_ms of the interval whose details are shown; null follows the newest

/** How a cell looks: its class and the character that says the same without colour. */
function cellKind(cell) {
  if (!cell || (cell.outcome === null && !cell.missing)) return ["absent", ""];
  if (cell.outcome === "FAILED" || cell.outcome === null) return ["failed", "✕"];
  if (RULED.includes(cell.regime)) return ["shadow", "◦"];
  if (cell.outcome === "OK_VIOLATION") return ["violation", "!"];
  return ["cleared", ""];
}

export const substituted = (cell) => Boolean(cell?.regime) && cell.regime !== "MARKET";

export function renderIntervals(store) {
  if (!store.site) return;
  const step = store.site.interval_min * 60_000;
  const current = Math.floor(store.clock.now_ms / step) * step;
  const starts = Array.from({ length: STRIP_CELLS }, (_, index) => current - (STRIP_CELLS - 1 - index) * step);
  setText($("strip-title"), t("intervals.title", { n: STRIP_CELLS, min: store.site.interval_min }));
  const strip = $("strip");
  const nodes = children(strip, STRIP_CELLS, () => {
    const node = el("span", "cell");
    node.setAttribute("role", "option");
    return node;
  });
  if (selected !== null && selected < starts[0]) selected = null;
  starts.forEach((start, index) => {
    const cell = store.intervals.get(start);
    const [kind, mark] = cellKind(cell);
    const node = nodes[index];
    const name = `cell ${kind}${substituted(cell) ? " ruled" : ""}${start === (selected ?? current) ? " selected" : ""}`;
    if (node.className !== name) node.className = name;
    setText(node, mark);
    node.dataset.start = start;
    node.id = `interval-${index}`;
    const text = cellText(cell, start, step, store.site);
    if (node.title !== text) {
      node.title = text;
      node.setAttribute("aria-label", text);
    }
    const active = start === (selected ?? current);
    node.setAttribute("aria-selected", String(active));
    if (active) strip.setAttribute("aria-activedescendant", node.id);
  });
  renderAxis(starts, step);
  const shown = selected ?? current;
  setText($("strip-detail"), cellText(store.intervals.get(shown), shown, step, store.site));
}

function renderAxis(starts, step) {
  const labelled = starts.map((start, index) => [start, index]).filter(([start, index]) => index < STRIP_CELLS - 2 && start % (step * (STRIP_CELLS > 24 ? 8 : 4)) === 0);
  const nodes = children($("strip-axis"), labelled.length, () => el("span"));
  labelled.forEach(([start, index], n) => {
    nodes[n].style.left = `${(100 * index) / STRIP_CELLS}%`;
    setText(nodes[n], clock(start));
  });
}

/** Everything known of an interval, in one line. */
function cellText(cell, start, step) {
  const when = `${clock(start)}–${clock(start + step)}`;
  if (!cell) return `${when} · ${t("outcome.none")}`;
  const shadow = cellKind(cell)[0] === "shadow";
  const outcome = shadow ? t("outcome.shadow") : cell.outcome ? tOr(`outcome.${cell.outcome}`, cell.outcome) : t("outcome.FAILED");
  const parts = [when, outcome];
  if (cell.outcome === "FAILED" || cell.outcome === null) parts.push([reasonName(cell.reason), cell.detail].filter(Boolean).join(": "));
  else if (cell.detail) parts.push(cell.detail);
  if (cell.regime) parts.push(`${regimeName(cell.regime)} ${cell.price === null ? t("price.unknown") : `${num(cell.price, 2)} ${t("unit.cny_per_mwh")}`}`);
  if (cell.provisional) parts.push(t("price.provisional"));
  return parts.filter(Boolean).join(" · ");
}

export function renderLegend() {
  const entries = [["cleared", ""], ["violation", "!"], ["failed", "✕"], ["shadow", "◦"], ["cleared ruled", ""]];
  const keys = ["cleared", "violation", "failed", "shadow", "substituted"];
  $("strip-legend").replaceChildren(...entries.map(([kind, mark], index) => el("span", "", el("i", `cell ${kind}`, mark), t(`intervals.${keys[index]}`))));
  $("strip").title = t("intervals.hint");
}

/** Let arrow keys and the pointer choose the interval whose details are shown. */
export function watchStrip(redraw) {
  const strip = $("strip");
  const starts = () => [...strip.children].map((node) => Number(node.dataset.start));
  const choose = (start) => {
    const all = starts();
    selected = start === null || start >= all.at(-1) ? null : Math.max(start, all[0]);
    redraw();
  };
  strip.addEventListener("keydown", (event) => {
    const all = starts();
    const step = all[1] - all[0];
    const now = selected ?? all.at(-1);
    const target = { ArrowLeft: now - step, ArrowRight: now + step, Home: all[0], End: null, Escape: null }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    choose(target);
  });
  strip.addEventListener("pointerover", (event) => event.target.dataset.start && choose(Number(event.target.dataset.start)));
  strip.addEventListener("pointerleave", () => choose(null));
}

// ── price and duties ──────────────────────────────────────────────────────────────────────────────────────────────────

export function renderPrice(store) {
  const market = store.market;
  const start = market?.price_interval_ms ?? null;
  const cell = start === null ? null : store.intervals.get(start);
  const ruled = Boolean(market) && market.regime !== "MARKET";
  setPriority($("price"), ruled ? 3 : 0);
  setText($("price-value"), num(market?.price_cny_per_mwh, 2));
  setText($("price-regime"), market ? regimeName(market.regime) : "—");
  $("price-regime").classList.toggle("ruled", ruled);
  $("price-provisional").hidden = !cell?.provisional;
  const step = market ? market.rt_interval_s * 1000 : 0;
  setText($("price-interval"), start === null ? "—" : t("price.interval", { from: clock(start), to: clock(start + step) }));
  setText($("price-source"), cell?.source ? priceSource(cell.source) : " ");
}

/** Says where a price comes from: the record's `what:which` in the page's language. */
export function priceSource(source) {
  const cut = source.indexOf(":");
  const which = source.slice(cut + 1);
  return which === "none" ? t("price.source.none") : t(`price.source.${source.slice(0, cut)}`, { which });
}

export function renderDuties(store) {
  const now = store.clock.now_ms;
  const last = Number.MAX_SAFE_INTEGER; // a task without a clock stands behind those that have one
  const open = store.duties.filter((duty) => duty.outcome === null).sort((a, b) => (a.due_ms ?? last) - (b.due_ms ?? last));
  const settled = store.duties.filter((duty) => duty.outcome !== null).slice(0, 3);
  const rows = [...open, ...settled];
  if (!rows.length) return $("duties").replaceChildren(el("li", "none quiet", t("duties.none")));
  $("duties").querySelector(".none")?.remove();
  const nodes = children($("duties"), rows.length, () => el("li"));
  rows.forEach((duty, index) => renderDuty(nodes[index], duty, now));
}

function renderDuty(node, duty, now) {
  if (!node.querySelector(".left")) node.replaceChildren(el("span", "sign"), el("span", "what"), el("span", "quiet num due"), el("b", "left num"), el("span", "missing"));
  const running = duty.outcome === null;
  const priority = running ? dutyPriority(duty, now) : duty.outcome === "late" ? 3 : 0;
  setPriority(node, priority);
  setSign(node.querySelector(".sign"), priority);
  const segment = duty.segment ? ` · ${tOr(`segment.short.${duty.segment}`, duty.segment)}` : "";
  const who = (duty.missing ?? []).map((body) => tOr(`body.${body}`, body)).join(", ");
  setText(node.querySelector(".what"), `${tOr(`duty.${duty.duty}`, duty.duty)}${segment}`);
  setText(node.querySelector(".missing"), running && who ? t("duties.lacks", { who }) : "");
  setText(node.querySelector(".left"), running ? timeLeft(duty, now) : tOr(`duty.outcome.${duty.outcome}`, duty.outcome));
  setText(node.querySelector(".due"), running && duty.due_ms !== null ? moment(duty.due_ms, now, false) : "");
  node.classList.toggle("over", !running);
  const due = duty.due_ms === null ? t("duties.task") : t("duties.due", { at: moment(duty.due_ms, now, false) });
  node.title = [node.querySelector(".what").textContent, duty.article, due, node.querySelector(".missing").textContent].filter(Boolean).join(" · ");
}

function dutyPriority(duty, now) {
  if (duty.due_ms === null) return 3;
  const left = duty.due_ms - now;
  if (duty.overdue || left < 0) return 1;
  const share = left / Math.max(1, duty.due_ms - duty.opened_ms);
  return share < 0.1 ? 1 : share < 0.25 ? 2 : 0;
}

function timeLeft(duty, now) {
  if (duty.due_ms === null) return t("duties.task");
  const left = duty.due_ms - now;
  return left >= 0 ? t("duties.left", { left: span(left) }) : t("duties.overdue", { late: span(-left) });
}
