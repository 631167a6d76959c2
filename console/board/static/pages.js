// Which page is shown? One document, one connection; the address says the page, so that a link or a reload leads back to it.
//
// Every page is a digit away, and the same places hold the same things on all of them: connection, clock and staleness in the head,
// the pages below it, and on every page but the overview a line with the market's state, price and frequency.

import { $, el, setText } from "./dom.js";
import { t, tOr } from "./words.js";

const OVERVIEW = "overview";
const POINTS = "points";

let pages = [OVERVIEW, POINTS];
let titles = {};
let current = OVERVIEW;
let changed = () => {};

export const page = () => current;

/** The pages between the overview and the points, and what to call when another one is shown. */
export function startPages(boards, onChange) {
  pages = [OVERVIEW, ...boards.map((board) => board.name), POINTS];
  titles = Object.fromEntries(boards.map((board) => [board.name, board.title]));
  changed = onChange;
  $("pages").replaceChildren(...pages.map(link));
  addEventListener("hashchange", follow);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address names the page; a skip is no other page
    $("main").focus();
  });
  current = asked() ?? OVERVIEW;
  mark();
}

const keyOf = (index) => (index < 9 ? String(index + 1) : index === 9 ? "0" : "");

function link(name, index) {
  const node = el("a", "", el("kbd", "", keyOf(index)), el("span"));
  node.href = `#/${name}`;
  node.dataset.page = name;
  return node;
}

function asked() {
  const name = decodeURIComponent(location.hash.slice(2));
  return location.hash.startsWith("#/") && pages.includes(name) ? name : null;
}

function follow() {
  const name = asked();
  if (name === null || name === current) return;
  current = name;
  mark();
  changed(name);
}

function mark() {
  for (const node of $("pages").children) {
    if (node.dataset.page === current) node.setAttribute("aria-current", "page");
    else node.removeAttribute("aria-current");
  }
  document.body.dataset.page = current;
  $("overview").hidden = current !== OVERVIEW;
  $("points").hidden = current !== POINTS;
  $("panels").hidden = current === OVERVIEW || current === POINTS;
  $("pulse").hidden = current === OVERVIEW;
  $("span-choice").hidden = $("panels").hidden;
  $("main").scrollTop = 0;
}

export const pageTitle = (name, language) => titles[name]?.[language] ?? t(`page.name.${name}`);

export function relabelPages(language) {
  for (const node of $("pages").children) {
    const name = node.dataset.page;
    setText(node.lastElementChild, tOr(`page.name.${name}`, pageTitle(name, language)));
    node.title = pageTitle(name, language);
  }
  setText($("page-title"), pageTitle(current, language));
  document.title = `${tOr(`page.name.${current}`, pageTitle(current, language))} · ${t("page.title")}`;
}

/** Go where a key leads; returns whether it led anywhere. */
export function pageKey(key) {
  const index = pages.findIndex((_, place) => keyOf(place) === key);
  if (index < 0) return false;
  location.hash = `#/${pages[index]}`;
  return true;
}
