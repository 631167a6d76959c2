// How is the grid? Frequency, load, fuels, key figures, areas, lines, and the telemetry all of it rests on.

import { $, children, el, pairs, setPriority, setSign, setText } from "./dom.js";
import { num, signed, span, t, tOr } from "./words.js";

const FUELS = ["nuclear", "coal", "gas", "oil", "hydro", "wind", "solar", "other"];
const FIGURES = [
  ["reserve_margin_pct", 1, "%"],
  ["renewable_share_pct", 1, "%"],
  ["curtailment_pct", 1, "%"],
  ["uniform_price_cny_per_mwh", 2, "price"],
  ["average_lmp_cny_per_mwh", 2, "price"],
  ["congestion_rent_cny_per_h", 0, "rent"],
  ["telemetry_availability_pct", 2, "%"],
  ["telemetry_freshness_s", 1, "s"],
];
const AREA_COLUMNS = [
  ["load_mw", (v) => num(v)],
  ["generation_mw", (v) => num(v)],
  ["interchange_mw", (v) => signed(v)],
  ["tie_deviation_mw", (v) => signed(v)],
  ["ace_mw", (v) => signed(v)],
  ["ace_trend", null],
  ["cps1_pct", (v) => num(v)],
  ["frequency_hz", (v) => num(v, 3)],
];
const LINE_SCALE_PCT = 120;
const LINE_OVER_PCT = 100.5; // half a percent of deadband: a line held at its limit by the clearing is not over it

export const frequencyPriority = (hertz) => (hertz === undefined ? 0 : Math.abs(hertz - 50) > 0.5 ? 1 : Math.abs(hertz - 50) > 0.2 ? 2 : 0);

const NOTHING = { system: {}, areas: {}, fuel_mw: {}, lines: [], open: [], sources: [] };

export function renderGrid(store) {
  const kpi = store.kpi ?? NOTHING;
  renderFrequency(kpi.system.frequency_hz);
  setText($("load-value"), num(kpi.system.load_mw));
  renderFuels(kpi.fuel_mw);
  const units = { "%": "%", s: "s", price: t("unit.cny_per_mwh"), rent: t("unit.cny_per_h") };
  pairs($("figures"), FIGURES.map(([name, decimals, unit]) => {
    const value = kpi.system[name];
    return [t(`kpi.system.${name}`), value === undefined ? "—" : `${num(value, decimals)} ${units[unit]}`];
  }));
  renderAreas(kpi.areas);
  renderLines(kpi);
  renderSources(kpi.sources);
}

function renderFrequency(hertz) {
  const priority = frequencyPriority(hertz);
  setPriority($("frequency"), priority);
  setText($("frequency-value"), num(hertz, 3));
  setText($("frequency-deviation"), hertz === undefined ? "" : `${signed((hertz - 50) * 1000)} mHz`);
  setText($("frequency-over"), priority === 1 ? t("frequency.beyond_05") : priority === 2 ? t("frequency.beyond_02") : "");
}

function renderFuels(fuelMw) {
  const sums = new Map(FUELS.map((fuel) => [fuel, 0]));
  const present = new Set();
  for (const [name, mw] of Object.entries(fuelMw)) {
    const fuel = sums.has(name) ? name : "other";
    present.add(fuel);
    sums.set(fuel, sums.get(fuel) + mw);
  }
  const shown = FUELS.filter((fuel) => present.has(fuel));
  const total = shown.reduce((sum, fuel) => sum + Math.max(0, sums.get(fuel)), 0);
  setText($("fuel-total"), shown.length ? t("load.total", { mw: num(total) }) : "");
  const segments = children($("fuel-stack"), shown.length, () => el("i"));
  const rows = children($("fuels"), shown.length, () => el("li", "", el("i"), el("span", "what"), el("b"), el("span", "quiet share")));
  shown.forEach((fuel, index) => {
    const share = total > 0 ? (100 * Math.max(0, sums.get(fuel))) / total : 0;
    segments[index].className = rows[index].children[0].className = `fuel-${fuel}`;
    segments[index].style.width = `${share}%`;
    setText(rows[index].children[1], t(`fuel.${fuel}`));
    setText(rows[index].children[2], num(sums.get(fuel)));
    setText(rows[index].children[3], `${num(share)} %`);
  });
}

function renderAreas(areas) {
  const names = Object.keys(areas).sort();
  const head = children($("areas").tHead, 1, () => el("tr"))[0];
  const titles = ["areas.area", ...AREA_COLUMNS.map(([name]) => `areas.${name}`)];
  const cells = children(head, titles.length, () => el("th"));
  titles.forEach((key, index) => {
    setText(cells[index], t(key));
    const full = tOr(`kpi.area.${key.slice(6)}`, "");
    if (full) cells[index].title = full;
  });
  const rows = children($("areas").tBodies[0], names.length, () => el("tr", "", el("th"), ...AREA_COLUMNS.map(() => el("td"))));
  names.forEach((area, row) => {
    const figures = areas[area];
    setText(rows[row].children[0], area);
    AREA_COLUMNS.forEach(([name, write], column) => {
      const cell = rows[row].children[column + 1];
      if (write) setText(cell, write(figures[name]));
      else cell.dataset.area = area;
    });
    const priority = frequencyPriority(figures.frequency_hz);
    setPriority(rows[row].lastElementChild, priority);
  });
}

function renderLines(kpi) {
  const nodes = children($("lines"), 10, () => el("li", "", el("span", "what"), el("span", "gauge", el("i"), el("u")), el("b"), el("span", "quiet flow")));
  for (let index = 0; index < 10; index++) {
    const line = kpi.lines[index];
    const node = nodes[index];
    const over = Boolean(line) && line.loading_pct > LINE_OVER_PCT;
    setPriority(node, over ? 2 : 0);
    setText(node.children[0], line?.branch ?? "");
    node.children[0].title = line?.branch ?? "";
    const gauge = node.children[1];
    gauge.style.visibility = line ? "visible" : "hidden";
    gauge.firstElementChild.style.width = `${line ? Math.min(100, (100 * line.loading_pct) / LINE_SCALE_PCT) : 0}%`;
    gauge.lastElementChild.style.left = `${(100 * 100) / LINE_SCALE_PCT}%`;
    setText(node.children[2], line ? `${over ? "▲ " : ""}${num(line.loading_pct, 1)} %` : "");
    setText(node.children[3], line ? `${num(line.flow_mw)} MW` : "");
    node.title = over ? t("lines.over") : "";
  }
  const known = kpi.lines.length > 0;
  setText($("open-title"), t("lines.open", { n: known ? kpi.open.length : "—" }));
  setText($("open"), !known ? "" : kpi.open.length ? kpi.open.join(", ") : t("word.none"));
  $("open").title = kpi.open.join(", ");
}

const SOURCE_PRIORITY = { ok: 0, stale: 3, bad: 2 };
const sourcePriority = (source) => SOURCE_PRIORITY[source.state] ?? 3;

function renderSources(sources) {
  // Bad before stale before normal; within a state by name, so that a row keeps its place.
  const rank = (source) => sourcePriority(source) || 9;
  const sorted = [...sources].sort((a, b) => rank(a) - rank(b) || (a.source < b.source ? -1 : 1));
  const count = (state) => sources.filter((source) => source.state === state).length;
  setText($("telemetry-counts"), !sources.length ? "—" : t("telemetry.counts", { ok: count("ok"), stale: count("stale"), bad: count("bad") }));
  const nodes = children($("sources"), sorted.length, () => el("li", "", el("span", "sign"), el("span", "what"), el("b", "state"), el("span", "age"), el("span", "points")));
  sorted.forEach((source, index) => {
    const node = nodes[index];
    const priority = sourcePriority(source);
    setPriority(node, priority);
    setSign(node.children[0], priority, tOr(`source.${source.state}`, source.state));
    setText(node.children[1], source.source);
    setText(node.children[2], tOr(`source.${source.state}`, source.state));
    const age = source.age_s < 100 ? `${num(source.age_s, 1)} s` : span(source.age_s * 1000);
    setText(node.children[3], age);
    setText(node.children[4], `${source.good}/${source.points}`);
    node.title = `${source.source} · ${source.area} · ${t("telemetry.points", { good: source.good, points: source.points, age })}`;
  });
}
