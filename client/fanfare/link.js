/** One connection, from the fetching of its token to its close. */
class Link {
  /** @type {WebSocket | undefined} */
  ws;
  /** @type {string | undefined} */
  connectionId;
  /** @type {string | undefined} */
  secret;
  uid;
  umd;
  probing = false;
  heardAt = now();
  connectedAt = Infinity;
  /** Keyed by name; a channel with an alias is there under both. @type {Map<string, ChannelState>} */
  channels = new Map();
  #timers = new Set();
  #hasEnded = false;

  stableFor(duration) {
    return now() - this.connectedAt >= duration;
  }

  /** A timer that ends with the connection. */
  after(delay, act) {
    if (this.#hasEnded) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delay);
    this.#timers.add(timer);
  }

  stop() {
    this.#hasEnded = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  channel(name, alias) {
    const channel = this.channels.get(alias) ?? this.channels.get(name) ?? new ChannelState(name);
    for (const each of alias === undefined ? [name] : [name, alias]) {
      channel.names.add(each);
      this.channels.set(each, channel);
    }
    return channel;
  }

  forget(name) {
    for (const each of this.channels.get(name)?.names ?? []) this.channels.delete(each);
  }
}

/** What the server has said about a channel on one connection. */
class ChannelState {
  members = [];
  /**
   * @type {"subscribePending" | "subscribeConfirmed" | "subscribeFailed"
   *   | "unsubscribePending" | "unsubscribeConfirmed" | undefined}
   */
  state;
  uid;
  umd;
  names = new Set();
  /** The subscribe has gone out, so that an answer will come. */
  sent = false;
  /** Subscribed by the token, not by a binding, and so not ended by the lack of one. */
  automatic = false;
  /** The server ended the subscription unasked. */
  held = false;
  tokenFailures = 0;
  /** What the subscribe named as the last id known. @type {string | undefined} */
  after;

  constructor(name) {
    this.name = name;
  }
}
