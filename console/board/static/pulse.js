// The line that every page but the overview has: what nobody may miss while they look at something else.

import { $, setPriority, setSign, setText } from "./dom.js";
import { frequencyPriority } from "./grid.js";
import { elapsedMin, phaseName, phasePriority, regimeName } from "./market.js";
import { num, t } from "./words.js";

const OPEN = ["P1", "P2"];

export function renderPulse(store) {
  for (const name of ["RT", "DA"]) {
    const segment = store.segment(name);
    const priority = phasePriority(segment, name === "RT" ? (elapsedMin(store) ?? 0) : 0);
    const node = $(`pulse-${name}`);
    setPriority(node, priority);
    setSign(node.querySelector(".sign"), priority);
    setText(node.querySelector("b"), segment ? phaseName(segment.phase) : t("phase.unknown"));
  }
  const elapsed = elapsedMin(store);
  const limit = store.site?.limit_min ?? 120;
  setText($("pulse-elapsed"), elapsed === null ? "—" : `${num(Math.floor(elapsed))} / ${num(limit)} min`);
  setPriority($("pulse-limit"), elapsed === null ? 0 : elapsed >= 105 ? 1 : elapsed >= 60 ? 2 : elapsed >= 15 ? 3 : 0);
  const price = store.market?.price_cny_per_mwh ?? null;
  setText($("pulse-price"), price === null ? "—" : `${num(price, 2)} ${t("unit.cny_per_mwh")}`);
  const regime = store.market?.regime ?? null;
  setText($("pulse-regime"), regime && regime !== "MARKET" ? regimeName(regime) : "");
  const hertz = store.kpi?.system.frequency_hz;
  const priority = frequencyPriority(hertz);
  setPriority($("pulse-hz"), priority);
  setText($("pulse-frequency"), hertz === undefined ? "—" : `${priority ? "▲ " : ""}${num(hertz, 3)} Hz`);
  const now = store.clock.now_ms;
  const raised = OPEN.map((one) => store.alerts.filter((alert) => alert.priority === one && alert.state === "RAISED" && !alert.over && alert.at_ms > now - 86_400_000).length);
  setText($("pulse-alerts"), t("pulse.alerts", { p1: num(raised[0]), p2: num(raised[1]) }));
}
