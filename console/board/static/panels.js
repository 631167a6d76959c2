// The panels of one page, as the dashboards' registry describes them: the same titles, units, marks and limits that Grafana shows.
//
// What a panel knows comes over the page's stream and is kept here by query and series. A panel of which nothing was reported says so; one
// whose newest line is old is pale and says how old.

import { drawCourse, drawHeat, drawSpark, forgetDrawings } from "./courses.js";
import { placed } from "./places.js";
import { $, children, el, setPriority, setSign, setText } from "./dom.js";
import { priceSource } from "./market.js";
import { clock, lang, moment, num, span, t, tOr } from "./words.js";

const SPANS_H = [1, 6, 24];
const PRIORITY_OF = { "#E02020": 1, "#F08000": 2, "#E8C000": 3, "#C050C0": 4 }; // the registry names a priority by its colour
const SCALED = { B: [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]] };
const LATE_MS = { clearing: 35, price: 35, lmp: 35, binding: 35, certificate: 35, settlement: 35, account: 5, telemetry_1m: 5 }; // minutes
const NEVER_LATE = ["event", "alert", "announcement", "finding", "case", "delivery", "duty"];
const DAY_S = 86_400;
const GAUGES_MAX = 20;
const WORDS = {
  segment: [`segment.short`],
  fuel: ["fuel"],
  class: ["fuel", "anomaly"],
  kind: ["announcement", "basis", "finding", "outcome"],
  basis: ["basis"],
  regime: ["regime"],
  reason: ["reason"],
  status: ["outcome"],
  duty: ["duty"],
  cause: ["cause"],
};
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

let board = null; // the board that is shown
let nodes = new Map(); // number of a panel → its node
let held = new Map(); // number of a panel → per query, a Map of series → what is known
let leftOut = {};
let shownH = 6;
let nowMs = 0;
let limitMin = "";
let fromS = 0; // beginning of the time shown

const both = (text) => text[lang()] || text.en;

/** Show another board, or none; what was known of the one before is forgotten. */
export function openBoard(next) {
  board = next;
  held = new Map();
  leftOut = {};
  nodes = new Map();
  forgetDrawings();
  const places = placed(board?.panels ?? []);
  $("panels").replaceChildren(...places.map(([panel, place]) => make(panel, place)));
  relabelPanels();
}

function make(panel, { x, y, w, h }) {
  const title = el("span", "title");
  const head = el("h2", "", title, el("span", "quiet note num"));
  title.id = `panel-${panel.id}`;
  const node = el("section", `panel reg k-${panel.kind}`, head, el("p", "about quiet"), el("div", "content"));
  node.setAttribute("aria-labelledby", title.id);
  node.style.gridColumn = `${x + 1} / span ${w}`;
  node.style.gridRow = `${y + 1} / span ${h}`;
  if (["table", "state-timeline", "status-history"].includes(panel.kind)) {
    const content = node.querySelector(".content");
    content.tabIndex = 0;
    content.setAttribute("role", "group");
    content.setAttribute("aria-labelledby", title.id);
  }
  nodes.set(panel.id, node);
  return node;
}

export function relabelPanels() {
  setText($("span-label"), t("panels.span"));
  [...$("span").options].forEach((option, index) => setText(option, t("panels.hours", { n: SPANS_H[index] })));
  for (const panel of board?.panels ?? []) {
    const node = nodes.get(panel.id);
    setText(node.querySelector(".title"), both(panel.title));
    setText(node.querySelector(".about"), both(panel.description));
    node.querySelector("h2").title = both(panel.description);
  }
}

// ── what is known ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Merge a message of the page's stream; returns the numbers of the panels it changed. */
export function mergePanels(message) {
  if (message.full) held = new Map();
  leftOut = message.left_out;
  for (const [number, queries] of Object.entries(message.panels)) {
    const known = held.get(number) ?? queries.map(() => new Map());
    held.set(number, known);
    queries.forEach((groups, index) => {
      for (const [group, part] of Object.entries(groups)) known[index].set(group, mergedPart(known[index].get(group), part));
    });
  }
}

function mergedPart(old, part) {
  if (part.last) return { last: part.last };
  if (part.rows) return { rows: part.rows, until: part.until_ms };
  if (part.changes) return { changes: [...(old?.changes ?? []), ...part.changes].slice(-500), until: part.until_ms };
  const minutes = old?.minutes ?? new Map();
  part.values.forEach((value, index) => {
    if (value !== null) minutes.set(part.start_s + index * part.step_s, value);
  });
  const newest = part.start_s + (part.values.length - 1) * part.step_s;
  for (const at of minutes.keys()) {
    if (at > newest - DAY_S) break; // in the order in which they came, but for late ones
    minutes.delete(at);
  }
  return { minutes, newest };
}

/** Begin where there is something to show, if that is later than what was asked for; half an hour at least. */
function beginning() {
  let first = nowMs / 1000 - 1800;
  for (const queries of held.values()) {
    for (const groups of queries) {
      for (const known of groups.values()) {
        if (known.minutes?.size) first = Math.min(first, known.minutes.keys().next().value);
        else if (known.changes?.length) first = Math.min(first, known.changes[0][0] / 1000);
      }
    }
  }
  return Math.max(nowMs / 1000 - shownH * 3600, first);
}

/** Every series of a panel: its name, and what is known of it. */
function seriesOf(panel) {
  const found = [];
  (held.get(String(panel.id)) ?? []).forEach((groups, index) => {
    const label = both(panel.series[index].label);
    for (const [group, known] of [...groups].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))) {
      const query = panel.series[index];
      const name = groupName(query.by, group) || (label.startsWith("$") ? "" : label) || both(panel.title);
      found.push({ name, known: stepped(panel, query, grown(known, query)), as: shownAs(panel, query), query });
    }
  });
  return found;
}

/** How a series' values are written: as its panel's, unless its query says otherwise. */
const shownAs = (panel, query) => ({ ...panel, field: query.field, unit: query.unit || panel.unit, steps: query.steps.length ? query.steps : panel.steps });

/** What is known of a count, as its growth a second. */
function grown(known, query) {
  if (!query.per_s || !known.minutes) return known;
  const minutes = new Map();
  let before = null;
  for (const [at, value] of [...known.minutes].sort((a, b) => a[0] - b[0])) {
    if (before && value >= before[1]) minutes.set(at, (query.per_s * (value - before[1])) / (at - before[0]));
    before = [at, value];
  }
  return { minutes, newest: known.newest };
}

/** Minutes put together to the steps a panel asks for. */
function stepped(panel, query, known) {
  const step = panel.step_s;
  const how = query.how.split(/[/@]/)[0];
  if (!known.minutes || step <= 60 || (!query.zero && !["sum", "count"].includes(how))) return known;
  const minutes = new Map();
  const first = Math.ceil(fromS / step) * step;
  if (query.zero) for (let at = first; at <= nowMs / 1000; at += step) minutes.set(at, 0);
  for (const [at, value] of known.minutes) {
    const begin = Math.floor(at / step) * step;
    if (begin >= first) minutes.set(begin, (minutes.get(begin) ?? 0) + value);
  }
  return { minutes, newest: query.zero ? Math.floor(nowMs / 1000 / step) * step : Math.floor(known.newest / step) * step };
}

const groupName = (tag, group) => group.split(" · ").map((part, nth) => wordOf(tag.split(",")[nth], part)).join(" · ");

/** A code of the stream in words, where the page has some for its column. */
function wordOf(column, code) {
  if (code === "none") return "—";
  if (column === "source" && code.includes(":")) return priceSource(code);
  for (const prefix of WORDS[column] ?? []) {
    const word = tOr(`${prefix}.${code}`, "");
    if (word) return word.replace("{limit}", limitMin);
  }
  return code;
}

/** Minutes of the time shown, as two columns; a null where minutes are missing. */
function columns(known, from) {
  const at = [...known.minutes.keys()].filter((second) => second >= from).sort((a, b) => a - b);
  const steps = at.slice(1).map((second, index) => second - at[index]).sort((a, b) => a - b);
  const gap = 3 * (steps[steps.length >> 1] ?? Infinity);
  const [times, values] = [[], []];
  for (const second of at) {
    if (times.length && second - times.at(-1) > gap) {
      times.push(times.at(-1) + 60);
      values.push(null);
    }
    times.push(second);
    values.push(known.minutes.get(second));
  }
  return [times, values];
}

/** One number of the time shown, where a panel asks for the whole of it; else the newest. */
function summed(panel, { known, query }) {
  const how = query.how.split(/[/@]/)[0];
  if (panel.sparkline || !known.minutes || how === "last") return latest(known);
  const values = columns(known, fromS)[1].filter((value) => value !== null);
  if (!values.length) return [latest(known)[0], null];
  const sum = values.reduce((a, b) => a + b, 0);
  return [latest(known)[0], { sum, count: sum, mean: sum / values.length, min: Math.min(...values), max: Math.max(...values) }[how]];
}

const latest = (known) => (known.last ? known.last : known.changes ? [known.until, known.changes.at(-1)?.[1]] : known.minutes.size ? [known.newest * 1000 + 59_999, known.minutes.get(known.newest) ?? [...known.minutes.values()].at(-1)] : [0, null]);

// ── numbers and states in words ───────────────────────────────────────────────────────────────────────────────────────

function unitText(unit) {
  return { "元/MWh": t("unit.cny_per_mwh"), "元/h": t("unit.cny_per_h"), 元: t("unit.cny"), clock: "", age: "", text: "" }[unit] ?? unit;
}

/** A value as number and unit. */
function written(panel, value) {
  if (value === null || value === undefined) return ["—", ""];
  if (typeof value === "string") return [wordOf(panel.field, value) || "—", ""];
  if (panel.unit === "clock") return [span(value * 1000), ""];
  if (panel.unit === "s" && Math.abs(value) >= 600) return [span(value * 1000), ""];
  for (const [unit, size] of SCALED[panel.unit] ?? []) if (Math.abs(value) >= size) return [num(value / size, 1), unit];
  return [num(value, panel.decimals ?? plain(value)), unitText(panel.unit)];
}

/** A value beside an axis: as short as the ticks allow, large numbers of bytes by their unit. */
function tickText(panel, value, ticks) {
  const top = Math.max(...ticks.map(Math.abs));
  const [unit, size] = (SCALED[panel.unit] ?? []).find(([, one]) => top >= one) ?? ["", 1];
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) / size : 1;
  const decimals = step >= 1 || step === 0 ? 0 : Math.min(4, Math.ceil(-Math.log10(step) - 1e-9));
  return `${num(value / size, decimals)}${unit ? ` ${unit}` : ""}`;
}

const plain = (value) => (Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 2 : Math.abs(value) < 1000 ? 1 : 0);

const markOf = (panel, state) => panel.marks.find((mark) => mark.state === String(state));
const bare = (text) => text.replace(/^[^\p{L}\p{N}]+/u, ""); // our signs stand for the registry's

function priorityOf(panel, value) {
  const mark = markOf(panel, value);
  if (mark) return PRIORITY_OF[mark.colour.toUpperCase()] ?? 0;
  if (typeof value !== "number" || panel.unit === "age") return 0;
  const step = panel.steps.filter((one) => one.from === null || value >= one.from).at(-1);
  return PRIORITY_OF[step?.colour.toUpperCase()] ?? 0;
}

function lateMs(panel) {
  const measurement = panel.series[0]?.measurement;
  return NEVER_LATE.includes(measurement) || panel.unit === "age" ? Infinity : (LATE_MS[measurement] ?? 3) * 60_000;
}

// ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Draw the board's panels. */
export function renderPanels(store) {
  nowMs = store.clock.now_ms;
  limitMin = String(store.site?.limit_min ?? "");
  fromS = beginning();
  for (const panel of board?.panels ?? []) {
    try {
      renderPanel(panel, nodes.get(panel.id));
    } catch (error) {
      reportError(error); // one panel that cannot be drawn takes no other with it
    }
  }
}

function renderPanel(panel, node) {
  const series = seriesOf(panel);
  if (!series.length && panel.kind === "stat" && ["count", "now:count"].includes(panel.series[0].how)) {
    // Nothing came of what is counted: that is a count too.
    series.push({ name: "", known: { last: [nowMs, 0] }, as: shownAs(panel, panel.series[0]), query: panel.series[0] });
  }
  const newest = Math.max(0, ...series.map(({ known }) => (known.rows ? known.until : latest(known)[0])));
  const late = series.length > 0 && nowMs - newest > lateMs(panel);
  node.classList.toggle("late", late);
  node.classList.toggle("empty", series.length === 0);
  const further = leftOut[panel.id] ? t("panels.left_out", { n: num(leftOut[panel.id]) }) : "";
  setText(node.querySelector(".note"), late ? t("panels.late", { age: span(nowMs - newest) }) : further);
  const content = node.querySelector(".content");
  if (!series.length) {
    if (!content.querySelector(".none")) content.replaceChildren(el("p", "none quiet"));
    setText(content.firstElementChild, t("panels.none"));
    return;
  }
  content.querySelector(".none")?.remove();
  const draw = { stat, bargauge: gauges, timeseries: course, heatmap: heat, "state-timeline": timeline, "status-history": timeline, table }[panel.kind];
  draw?.(panel, series, content);
}

function stat(panel, series, content) {
  const cells = children(content, series.length, () => el("div", "stat", el("div", "big", el("span", "sign"), el("b", "num"), el("span", "unit"), el("span", "of quiet")), el("canvas", "spark")));
  series.forEach((one, index) => {
    const { name, known, as } = one;
    const [at, value] = summed(panel, one);
    const big = cells[index].firstElementChild;
    const priority = priorityOf(as, value);
    const mark = markOf(panel, value);
    const [text, unit] = as.unit === "age" ? [span(nowMs - at), ""] : mark ? [bare(both(mark.text)), ""] : written(as, value);
    setPriority(big, priority);
    big.children[0].hidden = priority === 0 && !mark;
    setSign(big.children[0], priority);
    setText(big.children[1], text);
    big.classList.toggle("words", Boolean(mark) || typeof value === "string" || as.unit === "age" || as.unit === "clock");
    setText(big.children[2], unit);
    setText(big.children[3], series.length > 1 ? name : "");
    const sparks = panel.sparkline && Boolean(known.minutes);
    cells[index].children[1].hidden = !sparks;
    if (sparks) drawSpark(cells[index].children[1], columns(known, fromS), fromS, nowMs / 1000);
  });
}

function gauges(panel, all, content) {
  // Many are shown by what they are, the highest first; few by their names.
  const series = all.length > 4 ? [...all].sort((a, b) => (latest(b.known)[1] ?? 0) - (latest(a.known)[1] ?? 0)).slice(0, GAUGES_MAX) : all;
  const values = series.map(({ known }) => latest(known)[1]).filter((value) => typeof value === "number");
  const [low, high] = panel.limits ?? [0, Math.max(1, ...values)];
  const share = (value) => `${Math.min(100, Math.max(0, (100 * (value - low)) / (high - low)))}%`;
  const steps = panel.steps.filter((step) => step.from !== null && step.from > low && step.from < high);
  const cells = children(content, series.length, () => el("div", "gaugerow", el("span", "of"), el("span", "gauge", el("i")), el("b", "num"), el("span", "sign")));
  series.forEach(({ name, known, as }, index) => {
    const value = latest(known)[1];
    const [of, gauge, number, mark] = cells[index].children;
    const priority = priorityOf(as, value);
    setPriority(cells[index], priority);
    setText(of, series.length > 1 ? name : "");
    of.hidden = series.length === 1;
    gauge.firstElementChild.style.width = share(value);
    const ticks = children(gauge, 1 + steps.length, () => el("u"));
    steps.forEach((step, nth) => (ticks[nth + 1].style.left = share(step.from)));
    setText(number, written(as, value).join(" "));
    setSign(mark, priority);
  });
}

function course(panel, series, content) {
  const from = fromS;
  const lines = series.map(({ name, known, as }) => ({ name, data: columns(known, from), last: written(as, latest(known)[1]).join(" ") }));
  const limits = panel.steps.filter((step) => step.from !== null).map((step) => step.from);
  drawCourse(panel, content, lines, { from, to: nowMs / 1000, holdS: Math.min(lateMs(panel) / 1000, DAY_S), limits, range: panel.limits, tick: (value, ticks) => tickText(panel, value, ticks) });
}

function heat(panel, series, content) {
  const from = fromS;
  const lines = series.map(({ name, known }) => ({ name, data: columns(known, from) }));
  drawHeat(panel, content, lines, { from, to: nowMs / 1000, write: (value) => written(panel, value).join(" ") });
}

function timeline(panel, series, content) {
  const [from, to] = [fromS * 1000, nowMs];
  const longest = Math.max(...series.map(({ name }) => [...name].reduce((sum, sign) => sum + (sign > "\u2e80" ? 2 : 1), 0)));
  content.style.setProperty("--of", `${Math.min(11, 1 + 0.52 * longest)}rem`);
  const rows = children(content, series.length + 1, (index) => (index < series.length ? el("div", "lane", el("span", "of"), el("div", "states")) : el("div", "lane axis")));
  series.forEach(({ name, known, as }, index) => {
    if (!rows[index].children[1]) rows[index].replaceWith(el("div", "lane", el("span", "of"), el("div", "states")));
    const lane = content.children[index];
    setText(lane.firstElementChild, name);
    const changes = known.changes ?? [...known.minutes].sort((a, b) => a[0] - b[0]).map(([second, value]) => [second * 1000, value]);
    // The newest state holds until it would be late: an interval's goes on after its beginning.
    const heldMs = known.until === undefined ? to : known.until + lateMs(panel);
    const spans = changes.map(([at, state], nth) => [Math.max(from, at), Math.min(to, changes[nth + 1]?.[0] ?? heldMs), state]).filter(([begin, end]) => end > begin);
    const bars = children(lane.lastElementChild, spans.length, () => el("i", "", el("span", "sign"), el("span")));
    spans.forEach(([begin, end, state], nth) => {
      const mark = markOf(panel, state);
      const bar = bars[nth];
      const text = mark ? bare(both(mark.text)) : written(as, state).join(" ");
      const priority = priorityOf(panel, state);
      setPriority(bar, priority);
      bar.style.left = `${(100 * (begin - from)) / (to - from)}%`;
      bar.style.width = `${(100 * (end - begin)) / (to - from)}%`;
      bar.classList.toggle("narrow", (end - begin) / (to - from) < 0.05);
      bar.title = `${text} · ${moment(begin, nowMs, false)} – ${moment(end, nowMs, false)}`;
      setSign(bar.firstElementChild, priority);
      setText(bar.lastElementChild, text);
    });
  });
  axis(content.lastElementChild, from, to);
}

function axis(node, from, to) {
  const step = [5, 10, 15, 30, 60, 120, 240].map((minutes) => minutes * 60_000).find((ms) => (to - from) / ms <= 8);
  const first = Math.ceil(from / step) * step;
  const marks = Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, nth) => first + nth * step).filter((at) => (to - at) / (to - from) > 0.025);
  const box = children(children(node, 2, () => el("div", "ticks"))[1], marks.length, () => el("span", "num"));
  marks.forEach((at, nth) => {
    setText(box[nth], clock(at));
    box[nth].style.left = `${(100 * (at - from)) / (to - from)}%`;
  });
}

function table(panel, series, content) {
  const hidden = lang() === "zh" ? "_en" : "_zh";
  const fields = panel.series[0].field.split(",");
  const shown = panel.columns.map((column) => [column, fields.indexOf(column.name) + 1]).filter(([, place]) => place > 0).filter(([column]) => !column.name.endsWith(hidden));
  const rows = series.flatMap(({ known }) => known.rows ?? []);
  if (!rows.length) {
    content.replaceChildren(el("p", "none quiet", t("word.none")));
    return;
  }
  let grid = content.querySelector("table");
  if (!grid) {
    grid = el("table", "num");
    grid.append(el("thead", "", el("tr")), el("tbody"));
    content.replaceChildren(grid);
  }
  const heads = children(grid.tHead.rows[0], shown.length + 1, () => el("th"));
  setText(heads[0], t("panels.time"));
  shown.forEach(([column], nth) => setText(heads[nth + 1], plainTitle(both(column.title))));
  const lines = children(grid.tBodies[0], rows.length, () => el("tr"));
  rows.forEach((row, index) => {
    const cells = children(lines[index], shown.length + 1, () => el("td"));
    setText(cells[0], moment(row[0], nowMs));
    shown.forEach(([column, place], nth) => cell(panel, column, row[place], cells[nth + 1]));
  });
}

/** A column of one language needs not say which: the page is in it. */
const plainTitle = (title) => title.replace(/, (English|Chinese)$/, "").replace(/^(英文|中文)/, "");

function cell(panel, column, value, node) {
  const mark = markOf(panel, value);
  node.classList.toggle("text", typeof value === "string" || value === null || Boolean(markOf(panel, value)));
  node.classList.toggle("long", typeof value === "string" && value.length > 32 && !INSTANT.test(value));
  const priority = mark ? priorityOf(panel, value) : 0;
  setPriority(node, priority);
  const text = mark ? bare(both(mark.text)) : typeof value === "number" ? written({ unit: column.unit, decimals: null }, value).join(" ").trim() : INSTANT.test(value) ? moment(Date.parse(value), nowMs) : wordOf(column.name, value ?? "");
  if (priority) {
    if (node.children.length !== 2) node.replaceChildren(el("span", "sign"), el("span"));
    setSign(node.firstElementChild, priority);
    setText(node.lastElementChild, ` ${text}`);
  } else setText(node, text);
}

/** Bind the chooser of the time shown, once; `redraw` draws the panels again. */
export function startPanels(redraw) {
  $("span").replaceChildren(...SPANS_H.map((hours) => Object.assign(el("option"), { value: String(hours), selected: hours === shownH })));
  $("span").addEventListener("input", () => {
    shownH = Number($("span").value);
    redraw();
  });
}
