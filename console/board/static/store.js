// The page's copy of the board's state: a snapshot, then the sections that changed.

const DAY_MS = 86_400_000;

export class Store {
  clock = { now_ms: 0, speed: 1, data_ms: null };
  site = null;
  story = null;
  market = null;
  kpi = null;
  announcements = [];
  duties = [];
  decisions = [];
  alerts = [];
  intervals = new Map(); // start_ms → cell
  trends = new Map(); // name → Map(bucket start in s → value)

  /** Merge a message; returns the names of the sections it changed. */
  merge(message) {
    if (message.full) {
      this.intervals.clear();
      this.trends.clear();
    }
    this.clock = message.clock;
    for (const name of ["site", "story", "market", "kpi", "announcements", "duties", "decisions", "alerts"]) {
      if (name in message) this[name] = message[name];
    }
    if (message.intervals) this.#intervals(message.intervals);
    if (message.trends) for (const [name, part] of Object.entries(message.trends)) this.#trend(name, part);
    return new Set(Object.keys(message));
  }

  #intervals(cells) {
    for (const cell of cells) this.intervals.set(cell.start_ms, cell);
    const newest = Math.max(...this.intervals.keys());
    for (const start of this.intervals.keys()) if (start <= newest - DAY_MS) this.intervals.delete(start);
  }

  #trend(name, { start_s, step_s, values }) {
    const points = this.trends.get(name) ?? new Map();
    this.trends.set(name, points);
    values.forEach((value, index) => {
      if (value !== null) points.set(start_s + index * step_s, value);
    });
    const newest = start_s + (values.length - 1) * step_s;
    for (const at of points.keys()) if (at <= newest - DAY_MS / 1000) points.delete(at);
  }

  /** A trend's last `spanS` seconds as two columns, oldest first; a null marks where samples are missing. */
  columns(name, spanS) {
    const points = [...(this.trends.get(name) ?? [])].sort((a, b) => a[0] - b[0]);
    if (!points.length) return [[], []];
    const from = points.at(-1)[0] - spanS;
    const recent = points.filter(([at]) => at >= from);
    const steps = recent.slice(1).map(([at], index) => at - recent[index][0]).sort((a, b) => a - b);
    const gap = 4 * (steps[steps.length >> 1] ?? Infinity);
    const [times, values] = [[], []];
    for (const [at, value] of recent) {
      if (times.length && at - times.at(-1) > gap) {
        times.push(times.at(-1) + 1);
        values.push(null);
      }
      times.push(at);
      values.push(value);
    }
    return [times, values];
  }

  segment(name) {
    return this.market?.segments.find((one) => one.segment === name) ?? null;
  }
}
