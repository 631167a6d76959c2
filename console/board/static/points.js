// Every point: value, unit, quality, age. Columns come once a second; only the rows in sight are in the document.
//
// What a point says is grey; what is not usable carries a sign, a word and its age, and its value is struck pale: a number that has
// stopped must not look like one that runs.

import { $, children, el, setPriority, setSign, setText } from "./dom.js";
import { moment, num, span, t, tOr } from "./words.js";

const NEVER = 0xffffffff;
const OVERSCAN = 4;
const DECIMALS = { Hz: 3, kV: 2, MW: 2, MWh: 2, "%": 1 };
const POSITIONS = ["moving", "open", "closed", "moving"];
const PRIORITY = { good: 0, uncertain: 3, stale: 3, bad: 2, never: 3 };
const SEVERITY = { bad: 4, never: 3, stale: 2, uncertain: 1, good: 0 };
const COLUMNS = ["name", "device", "area", "value", "unit", "quality", "age"];

let list = null; // what the service said of the points, and their columns
let rows = new Uint32Array(0); // places of those that are shown, in their order
let counts = {};
let sort = { column: "name", down: false };
let active = -1; // place of the point the keyboard stands on
let store = null;
let nowMs = 0;

function unpack(text, View) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new View(bytes.buffer);
}

/** Merge a message of the page's stream. */
export function mergePoints(message) {
  if (message.full) {
    const n = message.names.length;
    const hay = message.names.map((name, i) => `${name} ${message.devices[message.device[i]]} ${message.areas[message.area[i]]}`.toLowerCase());
    const chosen = list && active >= 0 ? list.names[active] : null;
    list = { ...message, hay, value: new Float64Array(n).fill(NaN), at: new Float64Array(n), code: new Array(n).fill(""), alive: {}, state: new Array(n).fill("never") };
    active = chosen === null ? -1 : list.names.indexOf(chosen);
    fillChoices();
  }
  if (!list) return;
  const [ago, value, quality] = [unpack(message.ago, Uint32Array), unpack(message.v, Float64Array), unpack(message.q, Uint16Array)];
  const places = message.rows === null ? null : unpack(message.rows, Uint32Array);
  for (let i = 0; i < value.length; i++) {
    const at = places === null ? i : places[i];
    list.value[at] = value[i];
    list.at[at] = ago[i] === NEVER ? -1 : message.at_ms - ago[i];
    list.code[at] = message.codes[quality[i]];
  }
  list.alive = message.heard;
}

/** Draw what changed: the state of all points, then the rows in sight. */
export function renderPoints(theStore) {
  store = theStore;
  nowMs = store.clock.now_ms;
  if (!list) return;
  judge();
  choose();
  renderHead();
  renderRows();
  renderDetail();
}

function judge() {
  counts = { good: 0, uncertain: 0, stale: 0, bad: 0, never: 0 };
  for (let i = 0; i < list.names.length; i++) {
    const state = stateOf(i);
    list.state[i] = state;
    counts[state] += 1;
  }
}

function stateOf(i) {
  if (list.at[i] < 0) return list.code[i].startsWith("Bad_Waiting") || list.code[i] === "" ? "never" : "bad";
  if (list.code[i].startsWith("Bad")) return "bad";
  if (nowMs - aliveAt(i) > list.stale_s[i] * 1000) return "stale";
  return list.code[i].startsWith("Uncertain") ? "uncertain" : "good";
}

/** Until when a value stands: a point that is told when it changes holds as long as its device is heard. */
const aliveAt = (i) => (list.told[i] ? Math.max(list.at[i], list.alive[list.devices[list.device[i]]] ?? 0) : list.at[i]);

function choose() {
  const words = $("points-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [area, state] = [$("points-area").value, $("points-state").value];
  const fits = (i) =>
    (!area || list.areas[list.area[i]] === area) &&
    (!state || (state === "abnormal" ? list.state[i] !== "good" : list.state[i] === state)) &&
    words.every((word) => list.hay[i].includes(word));
  const found = [];
  for (let i = 0; i < list.names.length; i++) if (fits(i)) found.push(i);
  const key = {
    name: (i) => i, // they come in the order of their names
    device: (i) => list.device[i],
    area: (i) => list.area[i],
    value: (i) => (Number.isNaN(list.value[i]) ? -Infinity : list.value[i]),
    unit: (i) => list.unit[i],
    quality: (i) => SEVERITY[list.state[i]],
    age: (i) => (list.at[i] < 0 ? Infinity : -list.at[i]),
  }[sort.column];
  if (sort.column !== "name") found.sort((a, b) => key(a) - key(b) || a - b);
  if (sort.down) found.reverse();
  rows = Uint32Array.from(found);
}

function renderHead() {
  setText($("points-count"), t("points.count", { shown: num(rows.length), all: num(list.names.length) }));
  setText($("points-states"), t("points.states", { good: num(counts.good), uncertain: num(counts.uncertain), stale: num(counts.stale), bad: num(counts.bad), never: num(counts.never) }));
  setText($("points-left-out"), list.left_out ? t("points.left_out", { n: num(list.left_out) }) : "");
  for (const [index, cell] of [...children($("points-head"), COLUMNS.length, makeHeading)].entries()) {
    const column = COLUMNS[index];
    setText(cell.firstElementChild.firstElementChild, t(`points.column.${column}`));
    const order = sort.column === column ? (sort.down ? "descending" : "ascending") : "none";
    cell.setAttribute("aria-sort", order);
    setText(cell.firstElementChild.lastElementChild, { none: "", ascending: "▲", descending: "▼" }[order]);
  }
}

function makeHeading(index) {
  const column = COLUMNS[index];
  const button = el("button", "", el("span"), el("i"));
  button.type = "button";
  button.addEventListener("click", () => {
    sort = { column, down: sort.column === column && !sort.down };
    renderPoints(store);
  });
  const cell = el("div", `c-${column}`, button);
  cell.setAttribute("role", "columnheader");
  return cell;
}

function renderRows() {
  const grid = $("points-grid");
  const height = rowHeight();
  $("points-space").style.height = `${rows.length * height}px`;
  const first = Math.max(0, Math.floor(grid.scrollTop / height) - OVERSCAN);
  const count = Math.max(0, Math.min(rows.length - first, Math.ceil(grid.clientHeight / height) + 2 * OVERSCAN));
  const window = $("points-rows");
  window.style.transform = `translateY(${first * height}px)`;
  grid.setAttribute("aria-rowcount", String(rows.length));
  const nodes = children(window, count, makeRow);
  let focused = "";
  for (let k = 0; k < count; k++) {
    const i = rows[first + k];
    renderRow(nodes[k], i, first + k);
    if (i === active) focused = nodes[k].id;
  }
  grid.setAttribute("aria-activedescendant", focused);
  $("points-none").hidden = rows.length > 0;
  setText($("points-none"), t("points.none"));
}

const rowHeight = () => Math.round(1.75 * parseFloat(getComputedStyle(document.documentElement).fontSize));

function makeRow(index) {
  const row = el("div", "prow", ...COLUMNS.map((column) => el("span", `c-${column}`)));
  row.id = `points-row-${index}`;
  row.setAttribute("role", "row");
  for (const cell of row.children) cell.setAttribute("role", "gridcell");
  row.children[5].append(el("span", "sign"), el("span", "state"), el("span", "code"));
  row.addEventListener("click", () => go(Number(row.dataset.at)));
  return row;
}

function renderRow(row, i, at) {
  const state = list.state[i];
  const cells = row.children;
  row.dataset.at = String(at);
  row.style.height = `${rowHeight()}px`;
  row.setAttribute("aria-rowindex", String(at + 1));
  row.classList.toggle("active", i === active);
  row.classList.toggle("pale", state === "stale" || state === "bad" || state === "never");
  row.setAttribute("aria-selected", String(i === active));
  setText(cells[0], list.names[i]);
  setText(cells[1], list.devices[list.device[i]]);
  setText(cells[2], list.areas[list.area[i]]);
  setText(cells[3], valueText(i));
  setText(cells[4], list.units[list.unit[i]]);
  setPriority(cells[5], PRIORITY[state]);
  setSign(cells[5].children[0], PRIORITY[state], t(`points.state.${state}`));
  setText(cells[5].children[1], t(`points.state.${state}`));
  setText(cells[5].children[2], list.code[i] === "Good" || state === "never" ? "" : list.code[i]);
  setText(cells[6], ageText(i));
}

function valueText(i) {
  const value = list.value[i];
  if (Number.isNaN(value)) return "—";
  if (list.names[i].startsWith("switch/")) return tOr(`points.position.${POSITIONS[value]}`, num(value));
  const unit = list.units[list.unit[i]];
  return num(value, DECIMALS[unit] ?? (Number.isInteger(value) ? 0 : 3));
}

function ageText(i) {
  if (list.at[i] < 0) return "—";
  const age = Math.max(0, nowMs - list.at[i]);
  return age < 100_000 ? `${num(age / 1000, 1)} s` : span(age);
}

function renderDetail() {
  const known = active >= 0 && active < list.names.length;
  setText($("points-detail"), known ? detail(active) : t("points.hint"));
}

function detail(i) {
  const at = list.at[i] < 0 ? "—" : moment(list.at[i], nowMs);
  const values = { name: list.names[i], value: Number.isNaN(list.value[i]) ? "—" : String(list.value[i]), unit: list.units[list.unit[i]], at, code: list.code[i] || "—", stale: num(list.stale_s[i], list.stale_s[i] % 1 ? 1 : 0) };
  return t(list.told[i] ? "points.detail_told" : "points.detail", values);
}

function fillChoices() {
  const kept = $("points-area").value;
  const option = (value, text) => Object.assign(el("option", "", text), { value });
  $("points-area").replaceChildren(option("", t("points.all_areas")), ...list.areas.map((area) => option(area, area)));
  $("points-area").value = list.areas.includes(kept) ? kept : "";
}

/** Write the words of the current language. */
export function relabelPoints() {
  const chosen = $("points-state").value;
  const option = (value) => Object.assign(el("option", "", t(value ? `points.choose.${value}` : "points.all_states")), { value });
  $("points-state").replaceChildren(...["", "abnormal", "stale", "bad", "uncertain", "never", "good"].map(option));
  $("points-state").value = chosen;
  $("points-filter").placeholder = t("points.filter");
  $("points-filter").setAttribute("aria-label", t("points.filter"));
  $("points-area").setAttribute("aria-label", t("points.all_areas"));
  $("points-state").setAttribute("aria-label", t("points.all_states"));
  if (list) {
    fillChoices();
    if (store) renderPoints(store);
  }
}

// ── keyboard ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Stand on row `at` of those shown, and bring it into sight. */
function go(at) {
  if (!rows.length) return;
  const place = Math.max(0, Math.min(rows.length - 1, at));
  active = rows[place];
  const [grid, height] = [$("points-grid"), rowHeight()];
  if (place * height < grid.scrollTop) grid.scrollTop = place * height;
  else if ((place + 1) * height > grid.scrollTop + grid.clientHeight) grid.scrollTop = (place + 1) * height - grid.clientHeight;
  renderRows();
  renderDetail();
}

function move(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = rows.indexOf(active);
  const page = Math.max(1, Math.floor($("points-grid").clientHeight / rowHeight()) - 1);
  const to = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), PageDown: at + page, PageUp: Math.max(0, at - page), Home: 0, End: rows.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  go(to);
}

/** Bind the page's controls, once. */
export function startPoints() {
  let waiting = false;
  const soon = () => {
    if (waiting || !list) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      renderRows();
    });
  };
  $("points-grid").addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(soon).observe($("points-grid"));
  $("points-grid").addEventListener("keydown", move);
  for (const id of ["points-filter", "points-area", "points-state"]) {
    $(id).addEventListener("input", () => {
      $("points-grid").scrollTop = 0;
      if (store) renderPoints(store);
    });
  }
  $("points-filter").addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && event.key !== "Enter") return;
    if (event.key === "Escape") {
      event.target.value = "";
      if (store) renderPoints(store);
    }
    $("points-grid").focus();
  });
}
