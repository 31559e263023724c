/**
 * One person's side of a conversation, without its looks: the connection, the
 * history, and an outbox whose messages arrive once, whatever breaks meanwhile.
 *
 * Every message carries a nonce that its writer made. By it a writer recognises
 * an own message in the history before sending it again, and every reader
 * recognises a second copy, should the network have delivered both tries.
 */

import { FanfareClient, FanfareError } from "./fanfare.js";
import { Outbox } from "./outbox.js";

const CHAT = "chat";
const TYPING = "is-typing";
const TYPING_EVERY_MS = 1_500;
const TYPING_LASTS_MS = 2_000;
/** The channel's storage has a key for each reader, with the last id that they have read. */
const READ = "read.";
const READ_AFTER_MS = 300;

/** Refusals that would not change on a second try. */
const isFinal = ({ code, status }) =>
  [400, 403, 404, 413].includes(status) && code !== "NOT_SUBSCRIBED";

/** The broker has forgotten this connection; the socket just doesn't know. */
const isForgotten = (error) => error instanceof FanfareError && error.status === 401;

/**
 * @typedef {{ id: string, uid: string | null, text: string, at: Date, nonce?: string }} ChatMessage
 * @typedef {import("./outbox.js").OutboxEntry} OutboxEntry
 *
 * @typedef {"connecting" | "loading" | "online" | "offline" | "refused"} State
 *
 * What there is before all that is shown.
 * @typedef {"some" | "loading" | "failed" | "none"} Older
 *
 * @typedef {object} View
 * @property {(state: State, reason?: string) => void} state
 * @property {(message: ChatMessage, next: ChatMessage | undefined) => void} added
 * @property {(message: ChatMessage) => void} removed
 * @property {(older: Older) => void} older
 * @property {(add: () => void) => void} prepend calls what adds older messages
 * @property {(entry: OutboxEntry) => void} queued
 * @property {(entry: OutboxEntry, message: ChatMessage, next: ChatMessage | undefined) => void} sent
 * @property {(entry: OutboxEntry) => void} updated
 * @property {(entry: OutboxEntry) => void} discarded
 * @property {(names: string[]) => void} typing
 * @property {(names: string[]) => void} online
 * @property {(id: string, reactions: Map<string, Set<string>>) => void} reacted
 * @property {(name: string, id: string) => void} read
 */

export class Conversation {
  #name;
  #channel;
  #view;
  #client;

  /** In the order of their ids. @type {ChatMessage[]} */
  #messages = [];
  #ids = new Set();
  /** The message shown for each writer and nonce. @type {Map<string, ChatMessage>} */
  #byNonce = new Map();
  #outbox;

  /** Everything between these ids is known; `""` is the beginning of the channel. */
  #oldest;
  #cursor;
  /** The newest id that came live; between it and the cursor there may be a gap. */
  #newestLive = "";
  /** No gap is left, and nothing in the outbox may have been published already. */
  #caughtUp = false;
  /** Counts the occasions to catch up, so that an older one knows it is outdated. */
  #round = 0;
  #retryTimer;
  #publishing = false;

  #typedAt = -Infinity;
  #typingTimer;
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #typists = new Map();

  /** Who gave which reaction, for each message. @type {Map<string, Map<string, Set<string>>>} */
  #reactions = new Map();
  /** Reactions that came while the history was being read, which may be older than they are. */
  #reactedMeanwhile = [];
  #readsOlder = false;
  #readUpTo = "";
  #readTimer;

  /**
   * @param {{ session: string, name: string, view: View }} options
   */
  constructor({ session, name, view }) {
    this.#name = name;
    this.#channel = `chat-${session}`;
    this.#view = view;
    this.#outbox = new Outbox(`fanfare-outbox:${session}:${name}`);
    for (const entry of this.#outbox.entries) view.queued(entry);
    view.state("connecting");
    this.#client = new FanfareClient("v1", {
      connectTokenFn: () => demoToken(session, name),
      connectTokenFnMaxAttempts: 1,
      backoffMaxMs: 4_000,
    });
    this.#bind();
  }

  /** Puts a text into the outbox. `false` where that is full. */
  send(text) {
    const entry = this.#outbox.add(text);
    if (!entry) return false;
    this.#view.queued(entry);
    this.#publish();
    return true;
  }

  /** Whether something that was written here is not known to be stored. */
  get hasUnsent() {
    return this.#outbox.entries.length > 0;
  }

  /** Gives a refused message another chance. @param {OutboxEntry} entry */
  retry(entry) {
    this.#outbox.mark(entry, undefined);
    this.#view.updated(entry);
    this.#publish();
  }

  /** Shows what was said before all that is shown, a page of it. Rejects where that fails. */
  async readOlder() {
    if (!this.#caughtUp || this.#readsOlder || !this.#oldest) return;
    this.#readsOlder = true;
    this.#reactedMeanwhile = [];
    this.#view.older("loading");
    const round = this.#round;
    let left = "failed";
    try {
      await this.#older(round);
      left = this.#oldest ? "some" : "none";
    } catch (error) {
      if (round !== this.#round) return;
      if (!isForgotten(error)) throw error;
      this.#catchUpLater(error);
    } finally {
      this.#readsOlder = false;
      this.#view.older(left);
    }
  }

  /** @param {OutboxEntry} entry */
  discard(entry) {
    this.#outbox.remove(entry);
    this.#view.discarded(entry);
  }

  /**
   * Tells the others that somebody writes here: at once, then at most once per
   * interval for as long as this is called.
   */
  typed() {
    if (this.#typingTimer) return;
    const wait = this.#typedAt + TYPING_EVERY_MS - performance.now();
    this.#typingTimer = setTimeout(() => this.#tellTyping(), Math.max(0, wait));
  }

  /** What was written is sent or gone. */
  stoppedTyping() {
    clearTimeout(this.#typingTimer);
    this.#typingTimer = undefined;
  }

  /** Gives a reaction, or takes it back. Rejects with a `FanfareError`. */
  async toggleReaction(id, reaction) {
    const channel = this.#client.channels(this.#channel);
    const isGiven = this.#reactions.get(id)?.get(reaction)?.has(this.#name);
    await (isGiven ? channel.removeReaction(id, reaction) : channel.addReaction(id, reaction));
  }

  /** Everything up to this message has been seen, which others are told. */
  read(id) {
    if (id <= this.#readUpTo) return;
    this.#readUpTo = id;
    this.#readTimer ??= setTimeout(() => this.#tellRead(), READ_AFTER_MS);
  }

  close() {
    this.stoppedTyping();
    clearTimeout(this.#readTimer);
    this.#client.terminate();
    for (const timer of this.#typists.values()) clearTimeout(timer);
  }

  #bind() {
    const client = this.#client;
    const { bind } = client.channels(this.#channel);
    client.bind("hotsock.connected", () => this.#view.state("loading"));
    client.bind("@@disconnect", () => this.#disconnected());
    client.bind("@@error", (error) => this.#connectFailed(error));
    bind("hotsock.subscribed", () => this.#catchUp());
    bind("hotsock.messageReactionAdded", (message) => this.#reacted(message));
    bind("hotsock.messageReactionRemoved", (message) => this.#reacted(message));
    bind("hotsock.channelStorageUpdated", (message) => this.#othersRead(message));
    bind("hotsock.error", ({ error }) => this.#refused(error));
    bind(CHAT, (message) => this.#live(message));
    bind(TYPING, ({ meta }) => this.#typing(meta?.uid));
    const presence = client.channels(`presence.${this.#channel}`);
    presence.bind(/^hotsock\.(subscribed|member)/, () => {
      this.#view.online(presence.members.map(({ uid }) => uid));
    });
  }

  // ---- the connection ----

  #disconnected() {
    this.#round += 1;
    this.#caughtUp = false;
    clearTimeout(this.#retryTimer);
    this.#view.state("offline");
    this.#view.online([]);
  }

  #connectFailed(error) {
    if (error?.cause?.status === 404) {
      this.#client.suspend();
      this.#view.state("refused", "This broker's demo is off.");
    } else {
      this.#view.state("offline");
    }
  }

  #refused({ code, message }) {
    if (code.startsWith("SUBSCRIBE_") || code.startsWith("INVALID_SUBSCRIBE_")) {
      this.#view.state("refused", message);
    }
  }

  // ---- what has been said ----

  #live(message) {
    this.#take(message);
    this.#stopTyping(message.meta?.uid);
    this.#newestLive = message.id;
    if (this.#caughtUp) this.#cursor = message.id;
  }

  /**
   * Reads the newest page, and later on everything after the cursor. Runs after
   * each confirmed subscribe, so that what it reads and what comes live leave no
   * gap between them; what both bring is recognised by its id.
   */
  async #catchUp() {
    const round = ++this.#round;
    this.#caughtUp = false;
    this.#reactedMeanwhile = [];
    this.#view.state("loading");
    try {
      await this.#readNew(round);
      // What may have been published already is in what is older, or it is not.
      while (round === this.#round && this.#outbox.mayBeBefore(this.#oldest)) {
        await this.#older(round);
      }
    } catch (error) {
      if (round === this.#round) this.#catchUpLater(error);
      return;
    }
    if (round !== this.#round) return;
    if (this.#newestLive > (this.#cursor ?? "")) this.#cursor = this.#newestLive;
    this.#caughtUp = true;
    this.#view.state("online");
    this.#view.older(this.#oldest ? "some" : "none");
    this.#publish();
  }

  async #readNew(round) {
    const isReturn = this.#cursor !== undefined;
    if (isReturn) {
      let messages;
      do {
        messages = await this.#page({ after: this.#cursor }, round);
        this.#cursor = messages.at(-1)?.id ?? this.#cursor;
      } while (messages.length > 0);
    }
    // Others may have reacted meanwhile to what was known before.
    const newest = await this.#page({ reverse: true }, round);
    if (round !== this.#round) return;
    this.#cursor ??= newest[0]?.id;
    const first = newest.at(-1)?.id ?? "";
    if (!isReturn || first < this.#oldest) this.#oldest = first;
  }

  /** What was said before all that is known, a page of it. */
  async #older(round) {
    const page = { reverse: true, before: this.#oldest };
    const messages = await this.#page(page, round, (add) => this.#view.prepend(add));
    if (round === this.#round) this.#oldest = messages.at(-1)?.id ?? "";
  }

  /** A page of the history, which is shown; none of it where its round is over. */
  async #page(options, round, show = (add) => add()) {
    const page = { ...options, expandReactions: true };
    const { messages } = await this.#client.listMessages(this.#channel, page);
    if (round !== this.#round) return [];
    show(() => {
      for (const message of messages) {
        this.#take(message);
        this.#reactionsAre(message);
      }
      for (const message of this.#reactedMeanwhile) this.#react(message);
    });
    return messages;
  }

  #catchUpLater(error) {
    if (isForgotten(error)) {
      this.#client.suspend();
      this.#client.resume();
      return;
    }
    const round = this.#round;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(
      () => {
        if (round === this.#round) this.#catchUp();
      },
      500 + 1_000 * Math.random(),
    );
  }

  /** Adds a message, from wherever it comes, unless it is there already. */
  #take(raw) {
    if (raw.event !== CHAT || this.#ids.has(raw.id)) return;
    this.#ids.add(raw.id);
    const message = chatMessage(raw);
    if (!this.#isFirstCopy(message)) return;
    const next = this.#insert(message);
    const entry = message.uid === this.#name && this.#outbox.find(message.nonce);
    if (entry) {
      this.#outbox.remove(entry);
      this.#view.sent(entry, message, next);
    } else {
      this.#view.added(message, next);
    }
  }

  /** Of several copies everybody shows the one with the lowest id. */
  #isFirstCopy(message) {
    if (!message.nonce) return true;
    const key = `${message.uid} ${message.nonce}`;
    const other = this.#byNonce.get(key);
    if (other && other.id < message.id) return false;
    this.#byNonce.set(key, message);
    if (other) {
      this.#messages.splice(this.#messages.indexOf(other), 1);
      this.#view.removed(other);
    }
    return true;
  }

  /** Returns the message that now follows. */
  #insert(message) {
    let at = this.#messages.length;
    while (at > 0 && this.#messages[at - 1].id > message.id) at -= 1;
    this.#messages.splice(at, 0, message);
    return this.#messages[at + 1];
  }

  // ---- reactions ----

  #reactionsAre({ id, reactions = {} }) {
    const given = Object.entries(reactions).map(([reaction, { items = [] }]) => [
      reaction,
      new Set(items.map(({ uid }) => uid)),
    ]);
    if (given.length === 0 && !this.#reactions.has(id)) return;
    this.#reactions.set(id, new Map(given));
    this.#view.reacted(id, this.#reactions.get(id));
  }

  #reacted(message) {
    if (!this.#caughtUp || this.#readsOlder) this.#reactedMeanwhile.push(message);
    this.#react(message);
  }

  #react({ data: { messageId, reaction, action }, meta }) {
    if (!this.#ids.has(messageId)) return;
    const reactions = this.#reactions.get(messageId) ?? new Map();
    const names = reactions.get(reaction) ?? new Set();
    if (action === "add") names.add(meta.uid);
    else names.delete(meta.uid);
    if (names.size > 0) reactions.set(reaction, names);
    else reactions.delete(reaction);
    this.#reactions.set(messageId, reactions);
    this.#view.reacted(messageId, reactions);
  }

  // ---- who has read how far ----

  async #tellRead() {
    const id = this.#readUpTo;
    try {
      const { storage } = this.#client.channels(this.#channel);
      await storage.set(READ + this.#name.replace(/[\p{White_Space}*#,]/gu, "_"), id);
    } catch {
      // It is told with what is read next, or after the next reload.
    }
    this.#readTimer = undefined;
    if (id !== this.#readUpTo) {
      this.#readTimer = setTimeout(() => this.#tellRead(), READ_AFTER_MS);
    }
  }

  #othersRead({ key, data, meta }) {
    if (!key.startsWith(READ) || typeof data !== "string") return;
    if (meta?.uid && meta.uid !== this.#name) this.#view.read(meta.uid, data);
  }

  // ---- what is to be said ----

  /** Empties the outbox in order, one message at a time, while nothing is in doubt. */
  async #publish() {
    if (this.#publishing) return;
    this.#publishing = true;
    for (let entry; this.#caughtUp && (entry = this.#outbox.next());) {
      const { text, nonce } = entry;
      const data = { text, nonce };
      this.#outbox.tried(entry, this.#cursor ?? "");
      try {
        const { id } = await this.#client.publishMessage(CHAT, {
          channel: this.#channel,
          data,
          eagerIdGeneration: true,
        });
        this.#take({ id, event: CHAT, data, meta: { uid: this.#name } });
      } catch (error) {
        this.#publishFailed(entry, error);
      }
    }
    this.#publishing = false;
  }

  #publishFailed(entry, error) {
    // Its echo may have come although its answer did not.
    if (!this.#outbox.find(entry.nonce)) return;
    if (isFinal(error)) {
      this.#outbox.mark(entry, error.message);
      this.#view.updated(entry);
      return;
    }
    // Only the history, read from now on, can tell whether the broker has it.
    this.#caughtUp = false;
    if (this.#client.state === "connected") this.#catchUpLater(error);
  }

  // ---- who is typing ----

  #tellTyping() {
    this.#typingTimer = undefined;
    if (!this.#caughtUp) return;
    this.#typedAt = performance.now();
    try {
      this.#client.sendMessage(TYPING, { channel: this.#channel });
    } catch {
      // The connection is just going; nobody misses this.
    }
  }

  #typing(uid) {
    if (!uid || uid === this.#name) return;
    clearTimeout(this.#typists.get(uid));
    this.#typists.set(
      uid,
      setTimeout(() => this.#stopTyping(uid), TYPING_LASTS_MS),
    );
    this.#view.typing([...this.#typists.keys()]);
  }

  #stopTyping(uid) {
    if (!this.#typists.has(uid)) return;
    clearTimeout(this.#typists.get(uid));
    this.#typists.delete(uid);
    this.#view.typing([...this.#typists.keys()]);
  }
}

async function demoToken(session, name) {
  const response = await fetch("demo/token", {
    method: "POST",
    body: JSON.stringify({ session, name }),
  });
  if (!response.ok) {
    const { status } = response;
    throw new FanfareError("HTTP_ERROR", `no token: answered ${status}`, { status });
  }
  return (await response.json()).token;
}

function chatMessage({ id, data, meta }) {
  const text = typeof data?.text === "string" ? data.text : data;
  return {
    id,
    uid: meta?.uid ?? null,
    text: typeof text === "string" ? text : JSON.stringify(text ?? null),
    at: timeOf(id),
    nonce: typeof data?.nonce === "string" ? data.nonce : undefined,
  };
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The first ten characters of a ULID are its time in milliseconds. */
function timeOf(ulid) {
  let milliseconds = 0;
  for (const digit of ulid.slice(0, 10)) {
    milliseconds = milliseconds * 32 + CROCKFORD.indexOf(digit);
  }
  return new Date(milliseconds);
}
