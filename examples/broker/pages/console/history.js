/**
 * A channel's stored messages, a page at a time, with numbers as JavaScript reads them: the log has
 * the answer as it came.
 */

import { element, size } from "./elements.js";
import { pretty } from "./json.js";

export class History {
  #list;
  #note;
  #next;
  /** What the next page is asked with. */
  #request;

  constructor(list, note, next) {
    this.#list = list;
    this.#note = note;
    this.#next = next;
  }

  clear() {
    this.#request = undefined;
    this.#list.replaceChildren();
    this.#note.textContent = "";
    this.#next.disabled = true;
  }

  /** @param {import("./connection.js").Connection} connection */
  async first(connection, channel, { order, from }) {
    this.clear();
    const reverse = order === "newest";
    const where = reverse ? { reverse, before: from } : { after: from };
    return this.#load(connection, { channel, ...where, expandReactions: true });
  }

  async next(connection) {
    return this.#load(connection, this.#request);
  }

  async #load(connection, request) {
    const { messages } = JSON.parse(await connection.http("listMessages", JSON.stringify(request)));
    const last = messages.at(-1);
    if (last) {
      this.#request = { ...request, [request.reverse ? "before" : "after"]: last.id };
      this.#list.replaceChildren(...messages.map(drawn));
    }
    const count = messages.length === 1 ? "1 message" : `${messages.length} messages`;
    this.#note.textContent = last ? count : "No more messages";
    this.#next.disabled = !last;
    return messages.map(({ id }) => id);
  }
}

function drawn(message) {
  const { id, event, data, meta, reactions } = message;
  const text = JSON.stringify(data);
  const given = Object.entries(reactions ?? {}).map(([reaction, { count, items = [] }]) => {
    const who = items.map(({ uid }) => uid).join(", ");
    return `${reaction} ${count} (${who})`;
  });
  return element(
    "li",
    { className: "frame" },
    element(
      "p",
      { className: "head" },
      element("code", {}, id),
      element("strong", { className: "event" }, event),
      element("span", {}, meta?.uid ?? "the server"),
      element("span", { className: "size" }, size(text)),
    ),
    element("pre", { className: "text json" }, pretty(text)),
    element("p", { className: "given" }, given.join("  ")),
  );
}
