// The few ways in which this page changes its document. Text only ever enters as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Make an element: `el("li", "row over", child, "text", …)`. */
export function el(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** The sign of a priority: colour, shape and digit together. 0 is the quiet dot of what is normal. */
export function sign(priority, name = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `sign-p${priority}`);
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("role", "img");
  if (name) svg.setAttribute("aria-label", name);
  else svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#p${priority}`);
  svg.append(use);
  return svg;
}

/** Replace the sign inside `node` when the priority changed. */
export function setSign(node, priority, name = "") {
  if (node.dataset.priority === String(priority)) return;
  node.dataset.priority = String(priority);
  node.replaceChildren(sign(priority, name));
}

/** Give `node` exactly one of the classes `p0` … `p4`. */
export function setPriority(node, priority) {
  for (let n = 0; n <= 4; n++) node.classList.toggle(`p${n}`, n === priority);
}

/** Bring `parent` to `count` children, made by `make(index)`, and return them. */
export function children(parent, count, make) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(make(parent.children.length));
  return parent.children;
}

/** Rows of `[term, value]` in a definition list; values are updated in place. */
export function pairs(list, rows) {
  const nodes = children(list, rows.length, () => el("div", "", el("dt"), el("dd", "num")));
  rows.forEach(([term, value, priority = 0], index) => {
    setText(nodes[index].children[0], term);
    setText(nodes[index].children[1], value);
    setPriority(nodes[index], priority);
  });
}

