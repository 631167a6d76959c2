// How a panel's numbers moved: lines, a map of cells, and a small course behind a number.
//
// Several lines are told apart by shade and by dash, and each is named with its newest value beside a piece of itself. Limits are dashed
// lines. Minutes without a line are gaps.

import { axes, textPx, thin } from "./charts.js";
import { children, el, setText } from "./dom.js";
import { clock, num } from "./words.js";

const STYLES = [
  ["#e4e6e8", []],
  ["#9aa1a9", []],
  ["#e4e6e8", [6, 3]],
  ["#9aa1a9", [6, 3]],
  ["#e4e6e8", [2, 2]],
  ["#9aa1a9", [2, 2]],
  ["#c4c9cd", [9, 3, 2, 3]],
  ["#7d848c", [9, 3, 2, 3]],
];
const NAMED_MAX = 8;
const FILLS = ["#8b9198", "#595f66", "#a9afb5", "#6d747b", "#c4c9cd", "#4a4f56", "#7d848c", "#b8bdc3"];
const LIMIT = "#6f7780";

let drawn = new Map(); // content node → { chart, key }

/** Let go of what another page had drawn. */
export function forgetDrawings() {
  for (const { chart, watch } of drawn.values()) {
    watch.disconnect();
    chart?.destroy();
  }
  drawn = new Map();
}

const styleOf = (index) => STYLES[index % STYLES.length];

/** Put series of their own times on common ones. */
function aligned(lines) {
  const times = [...new Set(lines.flatMap(({ data }) => data[0]))].sort((a, b) => a - b);
  const columns = lines.map(({ data }) => {
    const values = new Map(data[0].map((at, index) => [at, data[1][index]]));
    return times.map((at) => (values.has(at) ? values.get(at) : undefined)); // undefined joins, null is a gap
  });
  return [times, ...columns];
}

/** A step holds until the next one: the last one until now, or until it is too old to hold. */
function holdOn([times, values], { to, holdS }) {
  const end = Math.min(to, (times.at(-1) ?? to) + holdS);
  if (!times.length || times.at(-1) >= end) return;
  times.push(end);
  values.push(values.at(-1));
}

function stackedUp(data) {
  const sums = data[0].map(() => 0);
  return [data[0], ...data.slice(1).map((column) => column.map((value, index) => (sums[index] += value ?? 0)))];
}

/** Draw lines under their names; stacked ones as parts of a whole. */
export function drawCourse(panel, content, lines, view) {
  let state = drawn.get(content);
  if (!state) {
    content.replaceChildren(el("div", "names num"), el("div", "plot"));
    state = { chart: null, key: "", watch: new ResizeObserver(() => state.again?.()) };
    state.watch.observe(content.lastElementChild);
    drawn.set(content, state);
  }
  if (panel.stepped) lines.forEach(({ data }) => holdOn(data, view));
  nameLines(panel, content.firstElementChild, lines);
  const plot = content.lastElementChild;
  const data = panel.stacked ? stackedUp(aligned(lines)) : aligned(lines);
  state.view = view;
  state.again = () => build(panel, plot, state, lines, data);
  const box = plot.getBoundingClientRect();
  const key = JSON.stringify([lines.map(({ name }) => name), Math.round(box.width), Math.round(box.height), document.documentElement.lang]);
  if (state.chart && state.key === key) state.chart.setData(data);
  else state.again();
}

function build(panel, plot, state, lines, data) {
  const { width, height } = plot.getBoundingClientRect();
  if (width < 40 || height < 30) return;
  state.key = JSON.stringify([lines.map(({ name }) => name), Math.round(width), Math.round(height), document.documentElement.lang]);
  state.chart?.destroy();
  const size = 0.82 * textPx();
  const [x, y] = axes(size, size * 4.2, 0);
  const paths = panel.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined;
  const series = lines.map((_, index) => {
    const [stroke, dash] = panel.stacked ? ["#26292d", []] : styleOf(index);
    return { stroke, dash: dash.map(thin), width: thin(1.5), paths, points: { show: false }, fill: panel.stacked ? FILLS[index % FILLS.length] : undefined };
  });
  // The last of a stack is drawn first, so that each part covers what is below the part above it.
  const order = panel.stacked ? series.map((_, index) => series.length - 1 - index) : series.map((_, index) => index);
  state.order = order;
  const options = {
    width,
    height,
    legend: { show: false },
    cursor: { show: false },
    axes: [x, { ...y, values: (_, ticks) => ticks.map((value) => state.view.tick(value, ticks)), size: (_, labels) => size * Math.max(3, 1.2 + 0.56 * Math.max(0, ...(labels ?? []).map((one) => one.length))) }],
    scales: { x: { range: () => [state.view.from, state.view.to] }, y: { range: (_, low, high) => rangeOf(panel, state.view, low, high) } },
    series: [{}, ...order.map((index) => series[index])],
    hooks: { drawAxes: [(chart) => drawLimits(chart, state.view.limits)] },
  };
  const arrange = (all) => [all[0], ...order.map((index) => all[index + 1])];
  state.chart = new uPlot(options, arrange(data), plot);
  const setData = state.chart.setData.bind(state.chart);
  state.chart.setData = (all) => setData(arrange(all));
}

function rangeOf(panel, view, low, high) {
  if (view.range) return view.range;
  if (low === null || low === undefined || high === null) return [0, 1];
  if (Math.max(Math.abs(low), Math.abs(high)) < 1e-6) return [0, 1];
  if (panel.stacked) return [Math.min(0, low), high > 0 ? high * 1.08 : 1];
  // A limit belongs into the picture once the values are anywhere near it.
  const near = view.limits.filter((limit) => Math.abs(limit - (low + high) / 2) <= 2.5 * Math.max(high - low, Math.abs(limit) * 0.02));
  const [bottom, top] = [Math.min(low, ...near), Math.max(high, ...near)];
  const pad = Math.max((top - bottom) * 0.1, Math.abs(top) * 0.005, 1e-6);
  return [bottom >= 0 && bottom - pad < 0 ? 0 : bottom - pad, top + pad];
}

function drawLimits(chart, limits) {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = LIMIT;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  for (const limit of limits) {
    const y = chart.valToPos(limit, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function nameLines(panel, node, lines) {
  const shown = lines.slice(0, NAMED_MAX);
  const items = children(node, shown.length + (lines.length > NAMED_MAX ? 1 : 0), () => el("span", "", document.createElement("canvas"), el("span"), el("b")));
  shown.forEach(({ name, last }, index) => {
    swatch(items[index].children[0], panel.stacked ? null : styleOf(index), FILLS[index % FILLS.length]);
    setText(items[index].children[1], lines.length > 1 ? name : "");
    setText(items[index].children[2], last);
  });
  if (lines.length > NAMED_MAX) {
    items[NAMED_MAX].children[0].hidden = true;
    setText(items[NAMED_MAX].children[1], `+ ${num(lines.length - NAMED_MAX)}`);
    setText(items[NAMED_MAX].children[2], "");
  }
}

function swatch(canvas, style, fill) {
  const key = JSON.stringify([style, fill, textPx()]);
  if (canvas.dataset.key === key) return;
  canvas.dataset.key = key;
  const [width, height] = [Math.round(thin(24)), Math.round(thin(10))];
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d");
  if (style === null) {
    pen.fillStyle = fill;
    pen.fillRect(0, 0, width, height);
    return;
  }
  [pen.strokeStyle, pen.lineWidth] = [style[0], thin(2)];
  pen.setLineDash(style[1].map(thin));
  pen.beginPath();
  pen.moveTo(0, height / 2);
  pen.lineTo(width, height / 2);
  pen.stroke();
}

/** Draw a course without axes, behind the number it belongs to. */
export function drawSpark(canvas, [times, values], from, to) {
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, box.width * devicePixelRatio);
  canvas.height = Math.max(1, box.height * devicePixelRatio);
  const known = values.filter((value) => value !== null);
  if (!known.length) return;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const half = Math.max((high - low) / 2, Math.abs(high) * 0.002, 1e-9);
  const middle = (low + high) / 2;
  const pen = canvas.getContext("2d");
  [pen.strokeStyle, pen.lineWidth] = ["#7d848c", thin(1.5) * devicePixelRatio];
  pen.beginPath();
  let broken = true;
  times.forEach((at, index) => {
    const value = values[index];
    if (value !== null) pen[broken ? "moveTo" : "lineTo"](((at - from) / (to - from)) * canvas.width, canvas.height * (0.5 - (0.42 * (value - middle)) / half));
    broken = value === null;
  });
  pen.stroke();
}

/** Draw a map of cells, a row for each series and a column for each step; the lighter the more, and the ends of the scale in words. */
export function drawHeat(panel, content, lines, view) {
  let [scale, canvas] = content.children;
  if (canvas?.tagName !== "CANVAS") {
    content.replaceChildren(el("div", "names num"), document.createElement("canvas"));
    [scale, canvas] = content.children;
  }
  const all = lines.flatMap(({ data }) => data[1]).filter((value) => value !== null);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const items = children(scale, 2, () => el("span", "", el("i", "shade"), el("span")));
  [low, high].forEach((value, index) => {
    items[index].firstElementChild.style.background = shade(index);
    setText(items[index].lastElementChild, view.write(value));
  });
  const box = canvas.getBoundingClientRect();
  const px = devicePixelRatio;
  canvas.width = Math.max(1, box.width * px);
  canvas.height = Math.max(1, box.height * px);
  const pen = canvas.getContext("2d");
  const size = 0.82 * textPx() * px;
  pen.font = `${size}px sans-serif`;
  const height = (canvas.height - 1.7 * size) / lines.length;
  const every = Math.ceil((size * 1.15) / height); // as many names as there is room for
  const left = Math.max(...lines.map(({ name }) => pen.measureText(name).width)) + size;
  const x = (at) => left + ((at - view.from) / (view.to - view.from)) * (canvas.width - left);
  lines.forEach(({ name, data: [times, values] }, row) => {
    pen.fillStyle = "#a5abb2";
    if (row % every === 0) pen.fillText(name, 0, Math.max(size, row * height + height / 2 + size * 0.35));
    times.forEach((at, index) => {
      if (values[index] === null) return;
      pen.fillStyle = shade(high > low ? (values[index] - low) / (high - low) : 0.5);
      const end = x(Math.min(times[index + 1] ?? view.to, view.to));
      pen.fillRect(x(at), row * height, Math.max(1, end - x(at)), height > 6 ? height - 1 : height + 0.5);
    });
  });
  pen.fillStyle = "#a5abb2";
  const step = [300, 900, 1800, 3600, 7200, 14_400].find((seconds) => (view.to - view.from) / seconds <= 8);
  for (let at = Math.ceil(view.from / step) * step; at < view.to; at += step) pen.fillText(clock(at * 1000), Math.min(x(at), canvas.width - 3 * size), canvas.height - size * 0.3);
}

const shade = (part) => {
  const level = Math.round(52 + 176 * part);
  return `rgb(${level} ${level} ${level})`;
};
