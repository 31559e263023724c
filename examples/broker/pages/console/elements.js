/** Making and filling elements. Whatever comes from outside goes in as text, never as markup. */

export const $ = (selector) => document.querySelector(selector);

const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** An element with properties, and with texts and elements inside. */
export function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

export function button(label, act) {
  const node = element("button", { type: "button" }, label);
  node.addEventListener("click", act);
  return node;
}

/** Fills a `<dl>`. @param {[string, string | Node][]} facts */
export function describe(list, facts) {
  const terms = facts.flatMap(([term, value]) => [
    element("dt", {}, term),
    element("dd", {}, value),
  ]);
  list.replaceChildren(...terms);
}

/** Suggestions of an input. */
export function suggest(datalist, values) {
  datalist.replaceChildren(...values.map((value) => element("option", { value })));
}

export const timeOfDay = (date) => clock.format(date);

/** A moment in local time, and how far away it is. */
export function moment(date) {
  if (Number.isNaN(date.getTime())) return "at no time that there is";
  const seconds = Math.round((date - Date.now()) / 1_000);
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  return `${dateTime.format(date)} (${relative.format(Math.trunc(seconds / length), unit)})`;
}

const encoder = new TextEncoder();

/** How many bytes a text is on the wire. */
export function size(text) {
  const bytes = encoder.encode(text).length;
  return bytes < 1_024 ? `${bytes} B` : `${(bytes / 1_024).toFixed(1)} KiB`;
}
