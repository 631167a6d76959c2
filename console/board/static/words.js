// Which words does the page use now, and how are numbers, instants and durations written in that language?

const LANGUAGES = ["en", "zh"];
const LOCALES = { en: "en-GB", zh: "zh-CN" };
const ABSENT = "—";

let table = { en: {}, zh: {} };
let language = chosen();
let zone = "Asia/Shanghai";
let formats = {};

function chosen() {
  const asked = new URLSearchParams(location.search).get("lang") ?? stored();
  if (LANGUAGES.includes(asked)) return asked;
  return (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
}

function stored() {
  try {
    return localStorage.getItem("gridfuse.language");
  } catch {
    return null; // storage may be forbidden; the choice then lasts as long as the page
  }
}

export async function load() {
  table = await (await fetch("/api/messages")).json();
}

export const lang = () => language;

/** Text of a key in the page's language, `{name}` replaced; the key itself where it is unknown. */
export function t(key, values = {}) {
  const text = table[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** Text of a key that may not exist, such as a name from the stream. */
export const tOr = (key, fallback) => table[language][key] ?? fallback;

export function toggle() {
  language = language === "en" ? "zh" : "en";
  formats = {};
  try {
    localStorage.setItem("gridfuse.language", language);
  } catch {
    // see stored()
  }
}

export function setZone(name) {
  if (name !== zone) [zone, formats] = [name, {}];
}

/** Write the words of the current language into everything that carries a key. */
export function label(root) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-title]")) node.title = t(node.dataset.tTitle);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
}

function format(name, make) {
  return (formats[name] ??= make(LOCALES[language]));
}

/** A number with a fixed count of decimals and thin grouping; a dash where there is none. */
export function num(value, decimals = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return ABSENT;
  const text = format(`n${decimals}`, (locale) => new Intl.NumberFormat(locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals })).format(value);
  // A minus sign as wide as a plus, and no "-0".
  return /^-[0.,]+$/.test(text) ? text.slice(1) : text.replace("-", "−");
}

export function signed(value, decimals = 0) {
  const text = num(value, decimals);
  return Number.isFinite(value) && value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

const parts = (options) => (locale) => new Intl.DateTimeFormat(locale, { timeZone: zone, hourCycle: "h23", ...options });

export function clock(ms, seconds = false) {
  if (ms === null || ms === undefined) return ABSENT;
  const options = seconds ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { hour: "2-digit", minute: "2-digit" };
  return format(seconds ? "hms" : "hm", parts(options)).format(ms);
}

export function day(ms) {
  // The ISO form is read the same in both languages.
  return new Intl.DateTimeFormat("sv-SE", { timeZone: zone }).format(ms);
}

/** Time of day, with the date in front when it is not the day of `now`. */
export function moment(ms, nowMs, seconds = true) {
  if (ms === null || ms === undefined) return ABSENT;
  return day(ms) === day(nowMs) ? clock(ms, seconds) : `${day(ms).slice(5)} ${clock(ms, seconds)}`;
}

export function zoneText(ms) {
  const offset = format("zone", parts({ timeZoneName: "longOffset" })).formatToParts(ms).find((part) => part.type === "timeZoneName");
  return `${zone} · ${(offset?.value ?? "").replace("GMT", "UTC")}`;
}

/** A span in words of at most two units: 45 s, 12 min, 3 h 20 min, 2 d 4 h. */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (seconds < 120) return t("duration.s", { s: seconds });
  if (minutes < 120) return t("duration.min", { min: minutes });
  if (hours < 96) return t("duration.h", { h: hours, min: String(minutes % 60).padStart(2, "0") });
  return t("duration.d", { d: Math.floor(hours / 24), h: hours % 24 });
}
