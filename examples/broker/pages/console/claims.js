/** Shows what a token says. */

import { describe, element, moment } from "./elements.js";

const TIMES = ["exp", "nbf", "iat"];
const NESTED = ["messages", "storage"];

/**
 * @param {HTMLElement} node What can be folded, with an element to fill.
 * @param {import("./token.js").Token | undefined} token
 */
export function showClaims(node, token) {
  node.hidden = !token;
  const content = node.lastElementChild;
  if (!token) return content.replaceChildren();
  const { header, claims } = token;
  const { channels, ...others } = claims;
  const list = element("dl", { className: "facts" });
  const facts = Object.entries(others).map(([name, value]) => [name, shown(name, value)]);
  describe(list, [["alg", shown("alg", header.alg)], ...facts]);
  const entries = objectEntries(channels);
  content.replaceChildren(
    list,
    element("h3", {}, entries.length > 0 ? "Channels" : "No channels"),
    element("ul", { className: "permissions" }, ...entries.map(permission)),
    element(
      "details",
      {},
      element("summary", {}, "All of it, as JSON"),
      element("pre", { className: "json" }, JSON.stringify({ header, claims }, null, 2)),
    ),
  );
}

function shown(name, value) {
  if (TIMES.includes(name) && typeof value === "number") return moment(new Date(value * 1_000));
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "absent");
}

function permission([channel, directives]) {
  const own = objectEntries(directives).filter(([name]) => !NESTED.includes(name));
  const nested = NESTED.flatMap((name) =>
    objectEntries(directives?.[name]).map(([key, inner]) =>
      element("li", {}, `${name} `, element("code", {}, key), `: ${summary(objectEntries(inner))}`),
    ),
  );
  return element(
    "li",
    {},
    element("code", {}, channel),
    `: ${summary(own)}`,
    element("ul", {}, ...nested),
  );
}

/** `subscribe, not getInfo, historyStart 0`. */
function summary(directives) {
  const words = directives.map(([name, value]) => {
    if (value === true) return name;
    return value === false ? `not ${name}` : `${name} ${JSON.stringify(value)}`;
  });
  return words.join(", ") || "nothing";
}

function objectEntries(value) {
  return value !== null && typeof value === "object" ? Object.entries(value) : [];
}

/** The names in a token that are neither patterns nor expressions. */
export function exactNames({ claims }) {
  const isExact = (name) => !name.includes("*") && !name.startsWith("#");
  const channels = objectEntries(claims.channels);
  const events = channels.flatMap(([, directives]) => Object.keys(directives?.messages ?? {}));
  return {
    channels: channels.map(([name]) => name).filter(isExact),
    events: [...new Set(events)].filter((name) => isExact(name) && !name.startsWith("hotsock.")),
  };
}
