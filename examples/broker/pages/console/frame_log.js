/** The frames of both directions, as far as they are kept. */

import { element, size, timeOfDay } from "./elements.js";
import { parsed, pretty } from "./json.js";

/** How many are kept… */
const MAX_FRAMES = 1_000;
/** …and how much of them. */
const MAX_CHARACTERS = 8 * 1_048_576;
/** So close to the end, the log follows what is new. */
const FOLLOW_PX = 48;

const DIRECTIONS = {
  sent: "↑ sent",
  received: "↓ received",
  request: "↑ HTTP",
  answer: "↓ HTTP",
  note: "·",
};

/** @typedef {{ kind: string, text: string, event: string, channel: string, at: Date }} Frame */

export class FrameLog {
  #scroller;
  #list;
  #note;
  /** The newest last. @type {Frame[]} */
  #frames = [];
  /** @type {Map<Frame, HTMLElement>} */
  #nodes = new Map();
  #characters = 0;
  #gone = 0;
  #filter = { text: "", event: "", channel: "" };
  #paused = false;
  #drawRequested = false;

  constructor(scroller, note) {
    this.#scroller = scroller;
    this.#list = scroller.querySelector("ol");
    this.#note = note;
  }

  /** @param {import("./connection.js").Kind} kind */
  add(kind, text) {
    const { event, channel } = parsed(text) ?? {};
    const frame = { kind, text, event: named(event), channel: named(channel), at: new Date() };
    this.#frames.push(frame);
    this.#characters += text.length;
    while (this.#frames.length > MAX_FRAMES || this.#characters > MAX_CHARACTERS) {
      if (this.#frames.length === 1) break;
      this.#characters -= this.#frames.shift().text.length;
      this.#gone += 1;
    }
    this.#drawSoon();
  }

  clear() {
    this.#frames = [];
    this.#characters = 0;
    this.#gone = 0;
    this.#nodes.clear();
    this.#list.replaceChildren();
    this.#showNote();
  }

  /** While it is paused, what is shown stays; what comes is kept and shown later. */
  set paused(paused) {
    this.#paused = paused;
    this.#drawSoon();
  }

  get paused() {
    return this.#paused;
  }

  /** Shows only frames that have each of these somewhere, in capitals or not. */
  set filter(filter) {
    for (const name of Object.keys(this.#filter)) {
      this.#filter[name] = String(filter[name] ?? "").trim().toLowerCase();
    }
    for (const [frame, node] of this.#nodes) node.hidden = !this.#matches(frame);
    this.#showNote();
  }

  #matches(frame) {
    return Object.entries(this.#filter).every(([name, wanted]) =>
      frame[name].toLowerCase().includes(wanted),
    );
  }

  #drawSoon() {
    if (this.#drawRequested) return;
    this.#drawRequested = true;
    requestAnimationFrame(() => {
      this.#drawRequested = false;
      const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
      const isAtEnd = scrollHeight - scrollTop - clientHeight < FOLLOW_PX;
      if (!this.#paused) this.#draw();
      this.#showNote();
      if (isAtEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    });
  }

  #draw() {
    const kept = new Set(this.#frames);
    for (const [frame, node] of this.#nodes) {
      if (kept.has(frame)) break;
      node.remove();
      this.#nodes.delete(frame);
    }
    const isNew = (frame) => !this.#nodes.has(frame);
    const added = this.#frames.slice(this.#frames.findLastIndex((frame) => !isNew(frame)) + 1);
    for (const frame of added) {
      const node = drawn(frame);
      node.hidden = !this.#matches(frame);
      this.#nodes.set(frame, node);
      this.#list.append(node);
    }
  }

  #showNote() {
    const nodes = [...this.#nodes.values()];
    const shown = nodes.filter(({ hidden }) => !hidden).length;
    const waiting = this.#frames.filter((frame) => !this.#nodes.has(frame)).length;
    const notes = [
      shown < nodes.length && `${shown} of ${nodes.length} frames match.`,
      this.#paused && `Paused: ${waiting} more came since.`,
      this.#gone > 0 && `The newest ${this.#frames.length} are kept, ${this.#gone} older ones not.`,
    ];
    this.#note.textContent = notes.filter(Boolean).join(" ");
  }
}

const named = (value) => (typeof value === "string" ? value : "");

function drawn({ kind, text, event, channel, at }) {
  const node = element("li", { className: "frame" });
  node.dataset.kind = kind;
  node.classList.toggle("error", event === "hotsock.error");
  const head = element(
    "p",
    { className: "head" },
    element("time", { dateTime: at.toISOString() }, timeOfDay(at)),
    element("span", { className: "direction" }, DIRECTIONS[kind]),
    element("strong", { className: "event" }, event),
    element("span", { className: "channel" }, channel),
  );
  if (kind === "note") node.append(head, element("p", { className: "text" }, text));
  else {
    head.append(element("span", { className: "size" }, size(text)));
    node.append(head, element("pre", { className: "text json" }, laidOut(kind, text)));
  }
  return node;
}

/** HTTP has a first line of its own. */
function laidOut(kind, text) {
  if (kind !== "request" && kind !== "answer") return pretty(text);
  const [line, ...body] = text.split("\n");
  return `${line}\n${pretty(body.join("\n"))}`;
}
