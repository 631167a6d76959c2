// The live board: connects, keeps its copy of the state, and draws what changed, at most once a frame.

import { relabel, renderFrequencyChart, renderLoadChart, renderPriceChart, renderPriceLegend, renderSparks } from "./charts.js";
import { Connection } from "./connection.js";
import { $, setPriority, setText } from "./dom.js";
import { renderGrid } from "./grid.js";
import { renderIncident } from "./incident.js";
import { renderAlerts, renderAnnouncements, renderDecisions } from "./lists.js";
import { startKeys } from "./keys.js";
import { elapsedMin, phaseName, phasePriority, renderDuties, renderIntervals, renderLegend, renderMarket, renderPrice, watchStrip } from "./market.js";
import { page, relabelPages, startPages } from "./pages.js";
import { mergePanels, openBoard, relabelPanels, renderPanels, startPanels } from "./panels.js";
import { mergePoints, relabelPoints, renderPoints, startPoints } from "./points.js";
import { renderPulse } from "./pulse.js";
import { Store } from "./store.js";
import { clock, day, label, lang, load, moment, num, setZone, span, t, toggle, zoneText } from "./words.js";

const TREND_EVERY_MS = 1_000; // charts follow once a second; numbers follow every message
const DATA_LATE_WALL_MS = 15_000;
const MADE_BY_HAND = ["overview", "wall"]; // the first page is the wall, drawn with more than panels can say
const POINTS_EVERY_MS = 500; // ages go on between the messages

const store = new Store();
const dirty = new Set();
let connection = null;
let drawing = false;
let trendsAt = 0;
let pointsAt = 0;
let said = {};
let stale = false;
let boards = []; // of the dashboards' registry, but for the overview
let freshest = { dataMs: null, seenAt: performance.now() };

function mark(...names) {
  for (const name of names) dirty.add(name);
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
}

function receive(message) {
  if (message.page) {
    receivePage(message);
    return;
  }
  const changed = store.merge(message);
  if (changed.has("site")) setZone(store.site.zone);
  if (store.clock.data_ms !== freshest.dataMs) freshest = { dataMs: store.clock.data_ms, seenAt: performance.now() };
  mark("clock", ...changed);
  if (changed.has("market")) announce();
}

function receivePage(message) {
  if (message.page !== page()) return;
  if (message.page === "points") {
    mergePoints(message);
    mark("points");
  } else {
    mergePanels(message);
    mark("panels");
  }
}

function draw() {
  drawing = false;
  const is = (...names) => names.some((name) => dirty.has(name) || dirty.has("all"));
  if (is("clock")) {
    renderFreshness();
    renderClock();
  }
  if (is("clock", "story", "site")) renderStory();
  if (page() === "overview") drawOverview(is);
  else {
    if (is("clock", "market", "kpi", "alerts", "site")) renderPulse(store);
    if (page() === "points") drawPoints(is);
    else drawPanels(is);
  }
  dirty.clear();
}

function drawPoints(is) {
  const now = performance.now();
  if (!is("points") && (!is("clock") || now - pointsAt < POINTS_EVERY_MS)) return;
  pointsAt = now;
  renderPoints(store);
}

function drawPanels(is) {
  const now = performance.now();
  if (!is("panels") && (!is("clock") || now - trendsAt < TREND_EVERY_MS)) return;
  trendsAt = now;
  renderPanels(store);
}

function drawOverview(is) {
  if (is("market", "clock", "site")) renderMarket(store);
  if (is("market", "intervals")) renderPrice(store);
  if (is("strip", "intervals", "market", "site")) renderIntervals(store);
  if (is("clock", "duties")) renderDuties(store);
  if (is("clock", "market")) renderIncident(store);
  if (is("kpi")) renderGrid(store);
  if (is("announcements", "market")) renderAnnouncements(store);
  if (is("alerts")) renderAlerts(store);
  if (is("decisions")) renderDecisions(store);
  const now = performance.now();
  if (is("intervals") || (is("market", "trends", "kpi") && now - trendsAt > TREND_EVERY_MS)) {
    trendsAt = now;
    renderPriceChart(store);
    renderFrequencyChart(store);
    renderLoadChart(store);
    renderSparks(store);
  }
}

// ── header ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function renderClock() {
  const { now_ms: now, data_ms: data, speed } = store.clock;
  setText($("date"), now ? day(now) : "—");
  setText($("time"), now ? clock(now, true) : "—");
  setText($("zone"), now ? zoneText(now) : "");
  const age = data === null ? null : Math.max(0, now - data);
  if (!stale) setText($("data-age"), age === null ? "—" : age < 100_000 ? `${num(age / 1000, 1)} s` : span(age));
  const simulated = store.site?.simulated ?? false;
  const live = age === null || stale ? "—" : t("header.live");
  setText($("mode"), simulated ? `${t("header.simulated")} · ${t("header.speed", { n: num(speed, speed % 1 ? 1 : 0) })}` : live);
  $("mode").classList.toggle("simulated", simulated);
}

function renderStory() {
  // Where a story may come, its line is kept free from the start, so that nothing moves when it does.
  $("story").hidden = !store.site?.simulated;
  setText($("story-step"), store.story ? t("story.step", store.story) : "");
  setText($("story-text"), store.story ? store.story[lang()] : "");
}

/** Decide whether the page may look live; runs on its own timer, because silence brings no message. */
function renderFreshness() {
  if (!connection) return;
  const state = connection.state;
  setText($("connection"), t(`connection.${state}`));
  const dataSilenceMs = performance.now() - freshest.seenAt;
  const late = state === "live" && freshest.dataMs !== null && dataSilenceMs > DATA_LATE_WALL_MS;
  stale = state === "broken" || late;
  document.body.classList.toggle("waiting", freshest.dataMs === null && !stale);
  document.body.classList.toggle("is-stale", stale);
  setPriority($("connection"), state === "broken" ? 1 : 0);
  if (stale) setText($("data-age"), `> ${span(Math.max(dataSilenceMs, connection.silenceMs))}`);
  const at = moment(freshest.dataMs, store.clock.now_ms);
  const text = state === "broken" ? t("stale.wire", { age: span(connection.silenceMs), at }) : late ? t("stale.data", { age: span(dataSilenceMs), at }) : freshest.dataMs === null ? t("stale.waiting") : "";
  setText($("stale"), text);
  $("stale").title = text;
  say("stale", stale ? (state === "broken" ? "wire" : "data") : "", stale ? text : "");
}

// ── what a person who does not look must hear ─────────────────────────────────────────────────────────────────────────

function announce() {
  for (const segment of store.market?.segments ?? []) {
    const priority = phasePriority(segment, elapsedMin(store) ?? 0);
    const spoken = priority === 0 ? "" : segment.phase;
    say(segment.segment, spoken, t("phase.said", { segment: t(`segment.${segment.segment}`), phase: phaseName(segment.phase) }));
  }
}

function say(subject, state, text) {
  if ((said[subject] ?? "") === state) return;
  said = { ...said, [subject]: state };
  setText($("said"), text);
}

// ── language ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function relabelAll() {
  label(document);
  renderLegend();
  renderPriceLegend();
  relabelPages(lang());
  relabelPoints();
  relabelPanels();
  mark("all");
  relabel();
}

function turn() {
  toggle();
  relabelAll();
}

// ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

function boardOf(name) {
  return boards.find((board) => board.name === name) ?? null;
}

function turnTo(name) {
  openBoard(boardOf(name));
  relabelPages(lang());
  trendsAt = 0; // charts that were hidden have not followed
  connection.show(name);
  mark("all");
}

await load();
const registry = await (await fetch("/static/panels.json")).json();
boards = registry.boards.map((board) => ({ ...board, name: board.uid.replace(/^gridfuse-/, "") })).filter((board) => !MADE_BY_HAND.includes(board.name));
startPages(boards, turnTo);
startPanels(() => mark("panels"));
startPoints();
openBoard(boardOf(page()));
relabelAll();
$("language").addEventListener("click", turn);
startKeys(turn);
watchStrip(() => mark("strip"));
connection = new Connection(receive, page());
setInterval(renderFreshness, 1_000);
