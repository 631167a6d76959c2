// Everything without a mouse: what each key does, and the table of them that `?` shows.
//
// A single letter is a command only where nothing is being typed. The help is the browser's own modal dialog: focus stays in it while it
// is open, Escape closes it, and focus returns to where it was.

import { $, el } from "./dom.js";
import { pageKey } from "./pages.js";
import { t } from "./words.js";

const ROWS = [
  ["1 … 9, 0", "keys.pages"],
  ["L", "keys.language"],
  ["D", "keys.describe"],
  ["/", "keys.filter"],
  ["Tab, Shift+Tab", "keys.tab"],
  ["↑ ↓ ← →", "keys.arrows"],
  ["PgUp PgDn Home End", "keys.ends"],
  ["Enter", "keys.enter"],
  ["Esc", "keys.escape"],
  ["?", "keys.help"],
];

const typing = (node) => node instanceof HTMLElement && (node.matches("input, textarea, select") || node.isContentEditable);

/** Bind the keys; `turn` changes the language. */
export function startKeys(turn) {
  $("help-open").addEventListener("click", openHelp);
  $("help-close").addEventListener("click", () => $("help").close());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || $("help").open) return;
    if (event.key === "?") openHelp();
    else if (event.key.toLowerCase() === "l") turn();
    else if (event.key.toLowerCase() === "d") document.body.classList.toggle("described");
    else if (event.key === "/") toFilter();
    else if (!pageKey(event.key)) return;
    event.preventDefault();
  });
}

function toFilter() {
  location.hash = "#/points";
  setTimeout(() => $("points-filter").focus());
}

function openHelp() {
  $("help-rows").replaceChildren(...ROWS.map(([keys, what]) => el("div", "", el("dt", "", el("kbd", "", keys)), el("dd", "", t(what)))));
  $("help").showModal();
}
