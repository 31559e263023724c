/** The chat page: two panes, each one person's side of the same conversation. */

import { Conversation } from "./conversation.js";
import { randomId } from "./outbox.js";
import { Reactions } from "./reactions.js";

const PEOPLE = ["Jim", "Pam"];
const SESSION_KEY = "fanfare-session";
const SESSION = /^[\w-]{1,64}$/;
/** Messages of one person within this time are shown as one group. */
const GROUP_MS = 5 * 60_000;
/** So close to the end, the log follows what is new. */
const FOLLOW_PX = 48;
/** So far above what is seen, older messages are read. */
const READ_AHEAD_PX = 200;
/** A screen reader takes so long to notice what was added. */
const HUSH_MS = 1_000;

const STATES = {
  connecting: "Connecting…",
  loading: "Catching up…",
  online: "Online",
  offline: "Offline, reconnecting…",
  refused: "Not available",
};

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
});

const main = document.querySelector("main");
const toast = document.querySelector("#toast");

/** One person's side: draws a `Conversation` and passes on what is written. */
class Pane {
  #name;
  #conversation;
  #root = document.querySelector("#pane-template").content.cloneNode(true).firstElementChild;
  #log = this.#part("log");
  #list = this.#part("messages");
  #jump = this.#part("jump");
  #olderButton = this.#part("older");
  #composer = this.#part("composer");
  #input = this.#part("input");
  #switch;
  /** What is stored, by id. @type {Map<string, HTMLElement>} */
  #nodes = new Map();
  /** What is not yet, by nonce; below all that is stored. @type {Map<string, HTMLElement>} */
  #pending = new Map();
  #reactions;
  /** Reads what is older once somebody gets there. */
  #olderSeen = new IntersectionObserver(
    (moments) => {
      if (moments.at(-1).isIntersecting) this.#readOlder();
    },
    { root: this.#log, rootMargin: `${READ_AHEAD_PX}px 0px` },
  );
  /** The last id that each of the others has read. @type {Map<string, string>} */
  #readers = new Map();
  #following = true;
  #scrollTop = 0;
  #scrollRequested = false;
  #loaded = false;
  /** Older messages are being added, which nobody waits for. */
  #prepends = false;
  #hushTimer;
  #unseen = 0;

  constructor(session, name) {
    this.#name = name;
    this.#switch = document.querySelector(`[data-show="${name}"]`);
    this.#label();
    this.#listen();
    main.append(this.#root);
    this.#reactions = new Reactions(this.#list, name, (id, reaction) => {
      this.#conversation.toggleReaction(id, reaction).catch(({ message }) => say(message));
    });
    this.#conversation = new Conversation({ session, name, view: this });
  }

  close() {
    this.#conversation.close();
    this.#olderSeen.disconnect();
    clearTimeout(this.#hushTimer);
    document.removeEventListener("visibilitychange", this.#markRead);
    this.#root.remove();
  }

  focus() {
    this.#input.focus();
  }

  get hasUnsent() {
    return this.#conversation.hasUnsent;
  }

  /** The active pane is the one that a narrow screen shows and a screen reader hears. */
  set active(active) {
    this.#root.classList.toggle("active", active);
    this.#switch.setAttribute("aria-pressed", active);
    for (const part of ["status", "notice"]) {
      this.#part(part).setAttribute("aria-live", active ? "polite" : "off");
    }
    this.#announce();
    if (active) this.#follow();
    this.#markRead();
  }

  get #isActive() {
    return this.#root.classList.contains("active");
  }

  // ---- what a conversation tells its view ----

  state(state, reason = "") {
    this.#root.dataset.state = state;
    this.#part("state").textContent = STATES[state];
    this.#part("notice").textContent = reason || this.#offlineNotice(state);
    if (state !== "online") return;
    this.#loaded = true;
    this.#showReaders();
    this.#log.removeAttribute("aria-busy");
    this.#announce();
    this.#showEmpty();
    this.#markRead();
  }

  added(message, next) {
    const node = this.#node(message);
    this.#place(node, message, next);
    const isNews = this.#loaded && !this.#prepends && message.uid !== this.#name;
    if (isNews) this.#noticeUnseen();
  }

  older(older) {
    const button = this.#olderButton;
    const hadFocus = document.activeElement === button;
    button.hidden = older === "none";
    button.setAttribute("aria-disabled", older === "loading");
    button.textContent = older === "loading" ? "Reading earlier messages…" : "Earlier messages";
    if (hadFocus && button.hidden) this.#log.focus();
    this.#follow();
    // Where it is still seen, it is to be noticed again; but after a failure it waits for a click,
    // since it would be noticed, and fail, time and again.
    this.#olderSeen.unobserve(button);
    if (older === "some") this.#olderSeen.observe(button);
  }

  /** What is seen stays where it is, and is not read out again. */
  prepend(add) {
    const anchor = this.#list.lastElementChild;
    const before = anchor?.getBoundingClientRect().top;
    this.#hush();
    this.#prepends = true;
    add();
    this.#prepends = false;
    if (this.#following || !anchor?.isConnected) return;
    this.#log.scrollTop += anchor.getBoundingClientRect().top - before;
    this.#scrollTop = this.#log.scrollTop;
  }

  removed(message) {
    const node = this.#nodes.get(message.id);
    const after = node.nextElementSibling;
    node.remove();
    this.#nodes.delete(message.id);
    decorate(after);
    this.#showReaders();
  }

  queued(entry) {
    const node = this.#node({ uid: this.#name, text: entry.text, at: entry.at });
    this.#pending.set(entry.nonce, node);
    this.#list.append(node);
    decorate(node);
    this.updated(entry);
    this.#showEmpty();
    this.#following = true;
    this.#follow();
  }

  sent(entry, message, next) {
    const node = this.#pending.get(entry.nonce);
    this.#pending.delete(entry.nonce);
    delete node.dataset.state;
    node.querySelector(".note").replaceChildren();
    setTime(node, message.at);
    this.#place(node, message, next);
  }

  updated(entry) {
    const node = this.#pending.get(entry.nonce);
    const note = node.querySelector(".note");
    node.dataset.state = entry.error === undefined ? "pending" : "failed";
    if (entry.error === undefined) {
      note.replaceChildren("Not sent yet");
      return;
    }
    note.replaceChildren(
      `Not sent: ${entry.error} `,
      button("Try again", () => this.#conversation.retry(entry)),
      button("Discard", () => this.#conversation.discard(entry)),
    );
    this.#follow();
  }

  discarded(entry) {
    this.#pending.get(entry.nonce).remove();
    this.#pending.delete(entry.nonce);
    this.#showEmpty();
    this.focus();
  }

  typing(names) {
    this.#part("typing").classList.toggle("visible", names.length > 0);
    const who = names.join(" and ");
    this.#part("typist").textContent = who && `${who} ${names.length > 1 ? "are" : "is"} typing`;
  }

  online(names) {
    this.#part("members").replaceChildren(
      ...names.map((name) => {
        const item = document.createElement("li");
        item.textContent = name;
        return item;
      }),
    );
  }

  reacted(id, reactions) {
    const node = this.#nodes.get(id);
    if (node) this.#reactions.draw(node, reactions);
    this.#follow();
  }

  read(name, id) {
    this.#readers.set(name, id);
    this.#showReaders();
    this.#follow();
  }

  // ---- drawing ----

  #part(name) {
    return this.#root.querySelector(`[data-testid="${name}"]`);
  }

  #label() {
    const name = this.#name;
    this.#root.dataset.pane = name;
    this.#root.setAttribute("aria-label", name);
    this.#part("avatar").textContent = name[0];
    this.#part("name").textContent = name;
    this.#part("speaker").textContent = `${name}: `;
    this.#log.setAttribute("aria-label", `Messages as ${name} sees them`);
    this.#input.setAttribute("aria-label", `Message as ${name}`);
    this.#input.placeholder = `Message as ${name}`;
  }

  #node({ uid, text, at }) {
    const template = document.querySelector("#message-template");
    const node = template.content.cloneNode(true).firstElementChild;
    node.classList.toggle("own", uid === this.#name);
    node.dataset.author = uid ?? "";
    node.querySelector(".author").textContent = uid ?? "Server";
    node.querySelector(".text").textContent = text;
    setTime(node, at);
    return node;
  }

  /** Puts a node before that of `next`, or after all that is stored and before what is pending. */
  #place(node, message, next) {
    node.dataset.id = message.id;
    this.#nodes.set(message.id, node);
    const before = next ? this.#nodes.get(next.id) : firstOf(this.#pending);
    // Moving a node that is in its place would make a screen reader read it twice.
    if (node.parentNode !== this.#list || node.nextElementSibling !== before) {
      this.#list.insertBefore(node, before);
    }
    decorate(node);
    decorate(node.nextElementSibling);
    this.#showEmpty();
    this.#showReaders();
    this.#reactions.newest = this.#lastStored();
    this.#follow();
    this.#markRead();
  }

  /** Each reader at the last message that they have read. */
  #showReaders() {
    if (!this.#loaded) return;
    const namesAt = new Map();
    for (const [name, id] of this.#readers) {
      const node = this.#lastUpTo(id);
      if (node && node.dataset.author !== name) {
        namesAt.set(node, [...(namesAt.get(node) ?? []), name]);
      }
    }
    for (const node of this.#list.querySelectorAll("[data-readers]")) {
      if (!namesAt.has(node)) delete node.dataset.readers;
    }
    for (const [node, names] of namesAt) node.dataset.readers = `Read by ${names.join(" and ")}`;
  }

  #lastUpTo(id) {
    if (this.#nodes.has(id)) return this.#nodes.get(id);
    let node = this.#lastStored();
    while (node?.dataset.id > id) node = node.previousElementSibling;
    return node;
  }

  /** What is pending, which has no id, comes last. */
  #lastStored() {
    let node = this.#list.lastElementChild;
    while (node && !node.dataset.id) node = node.previousElementSibling;
    return node;
  }

  /** What is at the end of a log that is looked at has been read. */
  #markRead = () => {
    if (!this.#loaded || !this.#following || document.visibilityState !== "visible") return;
    const newest = this.#lastStored();
    if (newest && this.#root.offsetParent !== null) this.#conversation.read(newest.dataset.id);
  };

  #offlineNotice(state) {
    return state === "offline" ? "Keep this page open: what you write now is sent once the broker is back." : "";
  }

  #showEmpty() {
    this.#part("empty").hidden = !this.#loaded || this.#list.childElementCount > 0;
  }

  #announce() {
    // While the history loads, reading it out would help nobody.
    const isLive = this.#loaded && this.#hushTimer === undefined && this.#isActive;
    this.#log.setAttribute("aria-live", isLive ? "polite" : "off");
  }

  #hush() {
    clearTimeout(this.#hushTimer);
    this.#hushTimer = setTimeout(() => {
      this.#hushTimer = undefined;
      this.#announce();
    }, HUSH_MS);
    this.#announce();
  }

  #follow() {
    if (!this.#following || this.#scrollRequested) return;
    this.#scrollRequested = true;
    requestAnimationFrame(() => {
      this.#scrollRequested = false;
      if (this.#following) this.#log.scrollTop = this.#log.scrollHeight;
    });
  }

  /** Only a move upwards says that the reader wants to stay there: layout moves things, too. */
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    if (scrollHeight - scrollTop - clientHeight < FOLLOW_PX) {
      this.#following = true;
      this.#jump.hidden = true;
      this.#markRead();
    } else if (scrollTop < this.#scrollTop) {
      this.#following = false;
    }
    this.#scrollTop = scrollTop;
  }

  #noticeUnseen() {
    this.#jump.hidden = this.#following;
    const isShown = this.#root.offsetParent !== null;
    this.#unseen = isShown ? 0 : this.#unseen + 1;
    this.#switch.querySelector(".unseen").textContent = this.#unseen || "";
  }

  // ---- what the person does ----

  #readOlder() {
    this.#conversation.readOlder().catch(({ message }) => say(message));
  }

  #listen() {
    this.#olderButton.addEventListener("click", () => this.#readOlder());
    document.addEventListener("visibilitychange", this.#markRead);
    this.#log.addEventListener("scroll", () => this.#scrolled());
    new ResizeObserver(() => {
      this.#scrollTop = this.#log.scrollTop;
      this.#follow();
    }).observe(this.#log);
    this.#jump.addEventListener("click", () => {
      this.#following = true;
      this.#jump.hidden = true;
      this.#follow();
    });
    this.#root.addEventListener("focusin", () => activate(this.#name));
    this.#input.addEventListener("input", () => {
      if (this.#input.value.trim()) this.#conversation.typed();
      else this.#conversation.stoppedTyping();
      this.#grow();
    });
    this.#input.addEventListener("keydown", (event) => {
      // Enter that ends an input method's composition is not meant to send.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#composer.requestSubmit();
    });
    this.#composer.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  #submit() {
    const text = this.#input.value.trim();
    if (!text) return;
    if (!this.#conversation.send(text)) {
      say("Too many messages are waiting to be sent.");
      return;
    }
    this.#conversation.stoppedTyping();
    this.#input.value = "";
    this.#grow();
    this.#input.focus();
  }

  /** For browsers that can't size a text field to its content by themselves. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#input.style.height = "auto";
    this.#input.style.height = `${this.#input.scrollHeight}px`;
  }

  seen() {
    this.#unseen = 0;
    this.#switch.querySelector(".unseen").textContent = "";
  }
}

/** What depends on the message before: the day, and whether it goes on speaking. */
function decorate(node) {
  if (!node) return;
  const before = node.previousElementSibling;
  const [at, beforeAt] = [node, before].map((each) => each && new Date(each.dataset.at));
  const isNewDay = !before || day.format(at) !== day.format(beforeAt);
  if (isNewDay) node.dataset.day = day.format(at);
  else delete node.dataset.day;
  node.classList.toggle(
    "follows",
    !isNewDay && before.dataset.author === node.dataset.author && at - beforeAt < GROUP_MS,
  );
}

function firstOf(nodes) {
  return nodes.values().next().value ?? null;
}

function setTime(node, at) {
  const time = node.querySelector("time");
  node.dataset.at = at.toISOString();
  time.dateTime = at.toISOString();
  time.textContent = clock.format(at);
  time.title = fullTime.format(at);
}

function button(label, act) {
  const node = document.createElement("button");
  node.type = "button";
  node.textContent = label;
  node.addEventListener("click", act);
  return node;
}

// ---- the page ----

/** @type {Map<string, Pane>} */
const panes = new Map();
let session;

function activate(name) {
  for (const [each, pane] of panes) pane.active = each === name;
  panes.get(name).seen();
}

/** The session in the address wins over the one kept, so that a shared link works. */
function open() {
  const wanted = location.hash.slice(1);
  let id = SESSION.test(wanted) ? wanted : (keptSession() ?? randomId());
  if (id !== session && !mayLeave()) id = session;
  if (wanted !== id) history.replaceState(null, "", `#${id}`);
  if (id !== session) show(id);
}

function show(id) {
  session = id;
  keepSession(id);
  for (const pane of panes.values()) pane.close();
  panes.clear();
  for (const name of PEOPLE) panes.set(name, new Pane(id, name));
  activate(PEOPLE[0]);
}

function keptSession() {
  try {
    const id = localStorage.getItem(SESSION_KEY);
    return SESSION.test(id ?? "") ? id : undefined;
  } catch {
    return undefined;
  }
}

function keepSession(id) {
  try {
    localStorage.setItem(SESSION_KEY, id);
  } catch {
    // The address has it too.
  }
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    say("Link copied");
  } catch {
    // Pages that came without TLS have no clipboard.
    prompt("The link to this chat:", location.href);
  }
}

function newChat() {
  if (!mayLeave()) return;
  const id = randomId();
  history.pushState(null, "", `#${id}`);
  show(id);
  say("New chat");
}

const hasUnsent = () => [...panes.values()].some((pane) => pane.hasUnsent);

/** What a chat has not sent yet waits until this tab shows it again. */
function mayLeave() {
  return (
    !hasUnsent() ||
    confirm("Some messages are not sent yet. They wait until you are back in this chat. Leave it?")
  );
}

let toastTimer;

function say(text) {
  clearTimeout(toastTimer);
  toast.textContent = text;
  toast.classList.add("visible");
  toastTimer = setTimeout(() => toast.classList.remove("visible"), 3_000);
}

document.querySelector("#copy-link").addEventListener("click", copyLink);
document.querySelector("#new-chat").addEventListener("click", newChat);
for (const name of PEOPLE) {
  const show = document.querySelector(`[data-show="${name}"]`);
  show.addEventListener("click", () => activate(name));
}
addEventListener("hashchange", open);
addEventListener("beforeunload", (event) => {
  if (hasUnsent()) event.preventDefault();
});
open();
