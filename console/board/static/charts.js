// How did it get here? Price, frequency and load over time, and a small trend of each area's control error.
//
// Greys only, except for what is abnormal. A band that is not the market's price is hatched and named, so that it can be told apart
// without colour. Missing samples are gaps.

import { $, el } from "./dom.js";
import { substituted } from "./market.js";
import { clock, num, t, tOr } from "./words.js";

const LINE = "#d2d6da";
const FAINT = "#6f7780";
const GRID = "#33373c";
const TEXT = "#9aa1a9";
const WARN = "#ffe250";
const ORANGE = "#f7881a";
const RED = "#ff5a4f";

const charts = {};

/** Size of the page's text in px of the screen, before the ratio of the device; lines and stripes grow with it. */
export const textPx = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
export const thin = (px) => (px * textPx()) / 14;

export function axes(size, left, decimals, splits = undefined) {
  const font = `${size}px "Segoe UI", "Helvetica Neue", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif`;
  const common = { stroke: TEXT, font, grid: { stroke: GRID, width: thin(1) }, ticks: { show: false }, gap: 4 };
  return [
    { ...common, size: size * 1.7, space: 64, values: (_, ticks) => ticks.map((s) => clock(s * 1000)) },
    { ...common, size: left, space: 28, values: (_, ticks) => ticks.map((v) => num(v, decimals)), splits },
  ];
}

function create(name, host, options, data) {
  const plot = host.querySelector(".plot");
  const chart = { u: null, data };
  const build = () => {
    const { width, height } = plot.getBoundingClientRect();
    const size = 0.82 * textPx();
    chart.u?.destroy();
    chart.u = new uPlot({ width: Math.max(60, width), height: Math.max(50, height), legend: { show: false }, cursor: { show: false }, ...options(size) }, chart.data, plot);
  };
  build();
  // The size of the text depends on the window, and the axes on the size of the text: a new size is a new chart.
  new ResizeObserver(() => {
    const { width, height } = plot.getBoundingClientRect();
    if (Math.abs(width - chart.u.width) > 1 || Math.abs(height - chart.u.height) > 1) build();
  }).observe(plot);
  charts[name] = chart;
  return chart;
}

function show(name, host, options, data) {
  const chart = charts[name] ?? create(name, host, options, data);
  if (chart.data === data) return;
  chart.data = data;
  chart.u.setData(data);
}

/** Draw all charts again with the words of the current language. */
export function relabel() {
  for (const { u } of Object.values(charts)) u.redraw(false, true);
}

// ── price ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

let bands = [];

function hatch(context) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(thin(8) * devicePixelRatio);
  const pen = tile.getContext("2d");
  pen.strokeStyle = "rgb(255 226 80 / 0.30)";
  pen.lineWidth = thin(1) * devicePixelRatio;
  for (const shift of [-1, 0, 1]) {
    pen.beginPath();
    pen.moveTo(shift * tile.width, tile.height);
    pen.lineTo((shift + 1) * tile.width, 0);
    pen.stroke();
  }
  return context.createPattern(tile, "repeat");
}

function drawBands(u) {
  const { ctx, bbox } = u;
  const px = devicePixelRatio;
  const em = 0.82 * textPx() * px;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = hatch(ctx);
  const placed = bands.map((band) => [u.valToPos(band.from, "x", true), u.valToPos(band.to, "x", true)]);
  for (const [left, right] of placed) ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.font = `${em}px sans-serif`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  const rows = [-Infinity, -Infinity, -Infinity];
  bands.forEach((band, index) => {
    // A band narrower than its name still gets it: each name goes into the first row in which it does not cover another.
    const label = tOr(`regime.short.${band.regime}`, band.regime);
    const width = ctx.measureText(label).width + 8 * px;
    const left = Math.min(placed[index][0], bbox.left + bbox.width - width);
    const row = Math.max(0, rows.findIndex((end) => end <= left));
    rows[row] = left + width;
    const top = bbox.top + row * (em * 1.35);
    ctx.fillStyle = "#26292d";
    ctx.fillRect(left, top, width, em * 1.3);
    ctx.fillStyle = WARN;
    if (left === placed[index][0]) ctx.fillRect(left, top, px, em * 1.3);
    ctx.fillText(label, left + 4 * px, top + em * 0.14);
  });
  ctx.restore();
}

export function renderPriceChart(store) {
  if (!store.site || !store.intervals.size) return;
  const step = store.site.interval_min * 60;
  const end = Math.floor(store.clock.now_ms / 1000 / step) * step + step;
  const cells = [...store.intervals.values()].filter((cell) => cell.start_ms / 1000 < end && cell.start_ms / 1000 >= end - 86_400).sort((a, b) => a.start_ms - b.start_ms);
  const [times, inForce, shadow] = [[], [], []];
  bands = [];
  for (const cell of cells) {
    const start = cell.start_ms / 1000;
    if (times.length && start > times.at(-1) + step) {
      times.push(times.at(-1) + step);
      inForce.push(null);
      shadow.push(null);
    }
    times.push(start);
    inForce.push(cell.price);
    shadow.push(substituted(cell) ? cell.cleared_price : null);
    if (!substituted(cell)) continue;
    const last = bands.at(-1);
    if (last && last.to === start && last.regime === cell.regime) last.to = start + step;
    else bands.push({ from: start, to: start + step, regime: cell.regime });
  }
  if (times.length) {
    times.push(times.at(-1) + step);
    inForce.push(inForce.at(-1));
    shadow.push(shadow.at(-1));
  }
  const stepped = uPlot.paths.stepped({ align: 1 });
  const options = (size) => ({
    axes: axes(size, size * 3.6, 0),
    scales: { x: { range: (u, low, high) => [high - 86_400, high] }, y: { range: (u, low, high) => padded(low, high, 20) } },
    series: [
      {},
      { stroke: LINE, width: thin(2), paths: stepped, points: { show: false } },
      { stroke: FAINT, width: thin(1.5), dash: [thin(3), thin(3)], paths: stepped, points: { show: false } },
    ],
    hooks: { drawAxes: [drawBands] },
  });
  show("price", $("price-chart"), options, [times, inForce, shadow]);
}

function padded(low, high, least) {
  if (low === null || high === null) return [0, 1];
  const middle = (low + high) / 2;
  const half = Math.max((high - low) / 2, least) * 1.15;
  return [middle - half, middle + half];
}

// ── frequency and load ────────────────────────────────────────────────────────────────────────────────────────────────

function drawLimits(u) {
  const { ctx, bbox } = u;
  ctx.save();
  const y = (hertz) => u.valToPos(hertz, "y", true);
  ctx.fillStyle = "rgb(255 255 255 / 0.045)";
  ctx.fillRect(bbox.left, y(50.2), bbox.width, y(49.8) - y(50.2));
  ctx.lineWidth = devicePixelRatio;
  for (const [hertz, dash] of [[50.2, [6, 4]], [49.8, [6, 4]], [50.5, [2, 3]], [49.5, [2, 3]]]) {
    if (y(hertz) < bbox.top || y(hertz) > bbox.top + bbox.height) continue;
    ctx.strokeStyle = FAINT;
    ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y(hertz));
    ctx.lineTo(bbox.left + bbox.width, y(hertz));
    ctx.stroke();
  }
  ctx.restore();
}

export function renderFrequencyChart(store) {
  const [times, values] = store.columns("frequency_hz", 7_200);
  if (!times.length) return;
  const beyond = (limit) => values.map((value) => (value !== null && Math.abs(value - 50) > limit ? value : null));
  const options = (size) => ({
    axes: axes(size, size * 3.2, 1, () => [49.5, 49.8, 50, 50.2, 50.5]),
    scales: { x: { range: (u, low, high) => [high - 7_200, high] }, y: { range: () => [49.4, 50.6] } },
    series: [
      {},
      { stroke: LINE, width: thin(1.5), points: { show: false } },
      { stroke: ORANGE, width: thin(2.5), points: { show: true, size: 4, fill: ORANGE } }, // a single sample has no line
      { stroke: RED, width: thin(2.5), points: { show: true, size: 4, fill: RED } },
    ],
    hooks: { drawAxes: [drawLimits] },
  });
  show("frequency", $("frequency"), options, [times, values, beyond(0.2), beyond(0.5)]);
}

export function renderLoadChart(store) {
  const [times, values] = store.columns("load_mw", 86_400);
  if (!times.length) return;
  const options = (size) => ({
    axes: axes(size, size * 3.9, 0),
    scales: { x: { range: (u, low, high) => [high - 86_400, high] }, y: { range: (u, low, high) => padded(low, high, 100) } },
    series: [{}, { stroke: LINE, width: thin(1.5), points: { show: false } }],
  });
  show("load", $("load"), options, [times, values]);
}

// ── area control error, as a line in its table cell ───────────────────────────────────────────────────────────────────

const SPARK_S = 7_200;

export function renderSparks(store) {
  for (const cell of $("areas").querySelectorAll("td[data-area]")) {
    const [times, values] = store.columns(`ace_mw/${cell.dataset.area}`, SPARK_S);
    if (!cell.firstElementChild) cell.append(document.createElement("canvas"));
    spark(cell.firstElementChild, times, values);
  }
}

function spark(canvas, times, values) {
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, box.width * devicePixelRatio);
  canvas.height = Math.max(1, box.height * devicePixelRatio);
  const pen = canvas.getContext("2d");
  const { width, height } = canvas;
  pen.strokeStyle = "#4a4f56";
  pen.lineWidth = devicePixelRatio;
  pen.beginPath();
  pen.moveTo(0, height / 2);
  pen.lineTo(width, height / 2);
  pen.stroke();
  const peak = Math.max(50, ...values.map((value) => Math.abs(value ?? 0)));
  const end = times.at(-1) ?? 0;
  pen.strokeStyle = LINE;
  pen.lineWidth = thin(1) * devicePixelRatio;
  pen.beginPath();
  let broken = true;
  times.forEach((at, index) => {
    const value = values[index];
    if (value !== null) pen[broken ? "moveTo" : "lineTo"](((at - end + SPARK_S) / SPARK_S) * width, ((1 - value / peak) / 2) * (height - 2) + 1);
    broken = value === null;
  });
  pen.stroke();
}

export function renderPriceLegend() {
  $("price-legend").replaceChildren(...["force", "shadow", "rule"].map((kind) => el("span", "", el("i", `swatch ${kind}`), t(`price.legend.${kind}`))));
}
