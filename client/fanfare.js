/**
 * The browser client of a fanfare broker: one WebSocket that stays connected,
 * channels that follow what is bound, and the client HTTP API. Users of
 * `hotsock-js` find the surface they know. No dependencies, no build step.
 *
 * Public classes and options are documented in `fanfare.d.ts`.
 *
 * @module
 */

const OPEN = 1;
const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"];
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
/** No message has it: all are newer. */
const LEAST_ID = "0".repeat(26);

/** Errors that answer a subscribe and that a later try on the same connection would meet again. */
const SUBSCRIBE_FAILURES = new Set([
  "SUBSCRIBE_PERMISSION_DENIED",
  "INVALID_SUBSCRIBE_TOKEN",
  "INVALID_CHANNEL_NAME",
  "PRESENCE_CHANNEL_USER_ID_REQUIRED",
  "PRESENCE_CHANNEL_CAPACITY_REACHED",
]);

export class FanfareError extends Error {
  constructor(code, message, { status = 0, cause } = {}) {
    super(message, { cause });
    this.name = "FanfareError";
    this.code = code;
    this.status = status;
  }
}

export class FanfareClient {
  #webSocketUrl;
  #httpUrl;
  #options;
  #log;

  #clientBindings = [];
  #channelBindings = new Map();
  /**
   * How far each channel that is wanted is known, by each of its names, which share it. It outlives
   * connections, so that the next one can go on.
   * @type {Map<string, Position>}
   */
  #positions = new Map();

  /** @type {"idle" | "connecting" | "connected" | "disconnected" | "suspended"} */
  #state = "idle";
  /** The only connection whose events count. @type {Link | null} */
  #link = null;
  /** Attempts since the last connection that proved stable. */
  #attempts = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** Whether the wait before the next attempt is a demand of the server. */
  #retryHeld = false;
  #listening = false;

  /**
   * @param {string | URL} url
   * @param {import("./fanfare.js").ClientOptions} options
   */
  constructor(url, options) {
    if (typeof options?.connectTokenFn !== "function") {
      throw new FanfareError("INVALID_ARGUMENT", "connectTokenFn must be a function");
    }
    this.#options = {
      connectTokenFnMaxAttempts: 2,
      connectTimeoutMs: 10_000,
      httpTimeoutMs: 15_000,
      pingIntervalMs: 30_000,
      pongTimeoutMs: 10_000,
      backoffBaseMs: 500,
      backoffMaxMs: 20_000,
      stableAfterMs: 5_000,
      maxBufferedBytes: 1_048_576,
      WebSocket: globalThis.WebSocket,
      fetch: (input, init) => globalThis.fetch(input, init),
      random: Math.random,
      ...options,
    };
    this.#webSocketUrl = new URL(url, globalThis.location?.href);
    this.#webSocketUrl.protocol = this.#webSocketUrl.protocol.replace("http", "ws");
    this.#httpUrl = new URL(options.httpUrl ?? "connection", directoryOf(this.#webSocketUrl));
    this.#httpUrl.protocol = this.#httpUrl.protocol.replace("ws", "http");
    this.#httpUrl.pathname = this.#httpUrl.pathname.replace(/\/?$/, "/");
    this.#log = levelled(options.logger ?? console, options.logLevel ?? "warn");
    if (!options.lazyConnection) this.#connect();
  }

  get state() {
    return this.#state;
  }

  get connectionId() {
    return this.#link?.connectionId;
  }

  get uid() {
    return this.#link?.uid;
  }

  get umd() {
    return this.#link?.umd;
  }

  // The public methods are arrow functions so that they may be passed on
  // without their object, as with hotsock-js: `onclick = client.suspend`.

  bind = (event, messageFn, { channel, subscribeTokenFn } = {}) => {
    if (typeof messageFn !== "function") {
      throw new FanfareError("INVALID_ARGUMENT", "messageFn must be a function");
    }
    if (!event) throw new FanfareError("INVALID_ARGUMENT", "event must be a name or a RegExp");
    const binding = new Binding(event, messageFn, channel, subscribeTokenFn, {
      remove: () => this.#removeBindings(channel, (other) => other === binding),
      channel: () => this.#channel(channel),
    });
    if (channel == null) {
      this.#clientBindings = [...this.#clientBindings, binding];
      return binding;
    }
    this.#channelBindings.set(channel, [...this.#bindingsOf(channel), binding]);
    // What comes from now on counts, even from a subscription that is about to end.
    if (!this.#positions.has(channel)) this.#positions.set(channel, new Position());
    const state = this.#channel(channel);
    if (state) state.held = false;
    if (this.#state === "idle") this.#connect();
    else this.#reconcile(channel);
    return binding;
  };

  unbind = (event, { messageFn, channel } = {}) => {
    this.#removeBindings(
      channel,
      (binding) =>
        sameEvent(binding.event, event) && (!messageFn || binding.messageFn === messageFn),
    );
  };

  channels = (name) => new Channel(this, name, () => this.#channel(name));

  sendMessage = (event, { channel, data } = {}) => {
    if (!event) throw new FanfareError("INVALID_ARGUMENT", "event must be provided");
    this.sendRawMessage(JSON.stringify({ event, channel, data }));
  };

  sendRawMessage = (message) => {
    const ws = this.#link?.ws;
    if (ws?.readyState !== OPEN) {
      throw new FanfareError("NOT_CONNECTED", "no WebSocket connection to send the message on");
    }
    if (ws.bufferedAmount + message.length > this.#options.maxBufferedBytes) {
      throw new FanfareError("SEND_BUFFER_FULL", "earlier messages still wait for the network");
    }
    this.#transmit(ws, message);
  };

  suspend = () => {
    this.#listen(false);
    clearTimeout(this.#retryTimer);
    this.#state = "suspended";
    this.#abandon(this.#link, { code: 1000, reason: "suspended" });
  };

  resume = () => {
    if (this.#state === "connecting" || this.#state === "connected") return;
    this.#attempts = 0;
    this.#connect();
  };

  terminate = () => {
    this.suspend();
    this.#clientBindings = [];
    this.#channelBindings.clear();
    this.#positions.clear();
  };

  http = async (operation, body = {}, { signal, timeoutMs } = {}) => {
    const { connectionId, secret } = this.#link ?? {};
    if (!connectionId || !secret) {
      throw new FanfareError("NOT_CONNECTED", `${operation} needs a connection`);
    }
    const url = new URL(encodeURIComponent(operation), this.#httpUrl);
    url.searchParams.set("connectionId", connectionId);
    url.searchParams.set("connectionSecret", secret);
    // No Content-Type header: a string goes out as text/plain, which spares
    // other origins the preflight, and the broker reads JSON all the same.
    const request = { method: "POST", body: JSON.stringify(body) };
    return answerOf(this.#options.fetch, url, request, {
      signal,
      timeoutMs: timeoutMs ?? this.#options.httpTimeoutMs,
    });
  };

  listMessages = async (channel, { after, before, reverse, expandReactions } = {}) => {
    const options = { after, before, reverse, expandReactions };
    // Where the channel begins anew meanwhile, the page was asked for by those before.
    const position = this.#positions.get(channel);
    const page = await this.http("listMessages", { channel, ...options });
    position?.listed(page?.messages ?? [], options);
    return page;
  };

  publishMessage = (event, message) => this.http("publishMessage", { ...message, event });

  updateUmd = async (token, { channel: name } = {}) => {
    const link = this.#link;
    await this.http("umdUpdate", { channel: name, token });
    const { umd = null, umdPropagate = false } = claimsOf(token);
    if (name === undefined) link.umd = umd;
    for (const [each, channel] of link.channels) {
      if (each === name || (name === undefined && umdPropagate)) channel.umd = umd;
    }
  };

  // ---- connecting ----

  async #connect() {
    clearTimeout(this.#retryTimer);
    this.#retryHeld = false;
    this.#state = "connecting";
    this.#listen(true);
    const link = new Link();
    this.#link = link;
    try {
      const { connectTokenFn, connectTokenFnMaxAttempts, connectTimeoutMs } = this.#options;
      const token = await this.#loadToken(connectTokenFn, connectTokenFnMaxAttempts);
      if (this.#link !== link) return;
      this.#open(link, token);
      link.after(connectTimeoutMs, () => {
        if (link.connectionId) return;
        const reason = `not connected within ${connectTimeoutMs} ms`;
        this.#emit("@@error", new FanfareError("CONNECT_FAILED", reason));
        // A handler may have suspended this attempt and begun another.
        this.#abandon(link, { code: 1006, reason });
      });
    } catch (error) {
      if (this.#link !== link) return;
      this.#link = null;
      this.#retry(0);
      this.#emit("@@error", error);
    }
  }

  #open(link, token) {
    const url = new URL(this.#webSocketUrl);
    url.searchParams.set("token", token);
    const ws = new this.#options.WebSocket(url.href);
    link.ws = ws;
    const current = (handle) => (event) => {
      if (this.#link === link) handle(event);
    };
    ws.onopen = current((event) => this.#emit("@@connect", event));
    ws.onerror = current((event) => this.#emit("@@error", event));
    ws.onmessage = current((event) => this.#receive(link, event));
    ws.onclose = current((event) => this.#closed(event));
  }

  /** Gives a connection up, if it is the present one, without waiting for the network to agree. */
  #abandon(link, { code, reason }) {
    if (!link || this.#link !== link) return;
    const ws = link.ws;
    if (ws) this.#closed({ type: "close", code, reason, wasClean: code === 1000 });
    else this.#link = null;
    ws?.close();
  }

  #closed(event) {
    const link = this.#link;
    this.#link = null;
    link.stop();
    this.#log.info(`connection closed with code ${event.code}`);
    if (link.stableFor(this.#options.stableAfterMs)) this.#attempts = 0;
    if (this.#state !== "suspended") this.#retry(event.code);
    this.#emit("@@disconnect", event);
  }

  #retry(closeCode) {
    this.#state = "disconnected";
    const { delay, held } = this.#retryDelay(closeCode);
    this.#attempts += 1;
    this.#retryHeld = held;
    this.#log.info(`next attempt in ${Math.round(delay)} ms`);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#connect(), delay);
  }

  /**
   * Full jitter: many clients that lost the same server come back spread over
   * the whole interval. What the server said by its close code goes first.
   */
  #retryDelay(closeCode) {
    const { backoffBaseMs, backoffMaxMs, random } = this.#options;
    const ceiling = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(this.#attempts, 30));
    switch (closeCode) {
      case 4403: // disconnected by an operator: coming back soon would defy them
        return { delay: backoffMaxMs * (1 + random()), held: true };
      case 4429: // too slow for what was sent: the same again would end the same
        return { delay: ceiling * random() + 2 * backoffBaseMs, held: false };
      default: // 1001 and 1012 ask for a quick return, which a first attempt is
        return { delay: ceiling * random(), held: false };
    }
  }

  /** Listens to what the browser knows about the network. */
  #listen(on) {
    if (this.#listening === on || !globalThis.addEventListener) return;
    this.#listening = on;
    const change = on ? "addEventListener" : "removeEventListener";
    globalThis[change]("online", this.#wake);
    globalThis[change]("offline", this.#wake);
    globalThis.document?.[change]("visibilitychange", this.#wake);
  }

  /** The network or the page's visibility changed: find out now what that means. */
  #wake = (event) => {
    if (event.type === "visibilitychange" && document.visibilityState !== "visible") return;
    if (this.#state === "connected") this.#probe(this.#link);
    else if (this.#state === "disconnected" && event.type !== "offline" && !this.#retryHeld) {
      this.#connect();
    }
  };

  // ---- staying alive ----

  /** Asks for a sign of life whenever the server has been silent for a while. */
  #watch(link) {
    const { pingIntervalMs } = this.#options;
    if (!pingIntervalMs) return;
    const silence = now() - link.heardAt;
    if (silence >= pingIntervalMs) this.#probe(link);
    const wait = silence >= pingIntervalMs ? pingIntervalMs : pingIntervalMs - silence;
    link.after(wait, () => this.#watch(link));
  }

  #probe(link) {
    if (link.probing || !this.#trySend({ event: "hotsock.ping" })) return;
    link.probing = true;
    const asked = now();
    link.after(this.#options.pongTimeoutMs, () => {
      link.probing = false;
      if (link.heardAt < asked) this.#abandon(link, { code: 1006, reason: "no answer to a ping" });
    });
  }

  /** Up to a tenth early, never late. */
  #heartbeat(link) {
    const interval = this.#options.heartbeatIntervalSeconds * 1000;
    if (!(interval > 0)) return;
    link.after(interval * (1 - 0.1 * this.#options.random()), () => {
      this.#trySend({ event: "hotsock.heartbeat" });
      this.#heartbeat(link);
    });
  }

  // ---- receiving ----

  #receive(link, event) {
    link.heardAt = now();
    this.#emit("@@message", event);
    const message = parsed(event.data);
    if (typeof message?.event !== "string") {
      this.#log.warn("ignored what is no protocol message");
      return;
    }
    this.#log.debug(`received "${message.event}"`);
    // The subscribe named it, or a newer one, as known.
    if (message.id <= link.channels.get(message.channel)?.after) return;
    // A handler of @@message may have suspended the client.
    if (this.#link === link) this.#apply(link, message);
    this.#dispatch(link, message);
  }

  #apply(link, { event, channel: name, data, meta, error }) {
    switch (event) {
      case "hotsock.connected":
        link.connectionId = data.connectionId;
        link.secret = data.connectionSecret;
        link.uid = meta?.uid ?? null;
        link.umd = meta?.umd ?? null;
        link.connectedAt = now();
        this.#state = "connected";
        this.#watch(link);
        this.#heartbeat(link);
        for (const bound of this.#channelBindings.keys()) this.#reconcile(bound);
        break;
      case "hotsock.subscribed":
        this.#subscribed(link, name, data, meta);
        break;
      case "hotsock.unsubscribed":
        this.#unsubscribed(link, name);
        break;
      case "hotsock.memberAdded":
      case "hotsock.memberUpdated":
      case "hotsock.memberRemoved":
        if (link.channels.has(name)) link.channel(name).members = data.members;
        break;
      case "hotsock.ping":
        this.#trySend({ event: "hotsock.pong" });
        break;
      case "hotsock.error":
        this.#failed(link, name, error?.code);
        break;
    }
  }

  #dispatch(link, message) {
    const { event, id, channel: name } = message;
    for (const binding of this.#clientBindings) binding.offer(event, message, this.#log);
    if (name === undefined) return;
    for (const bound of link.channels.get(name)?.names ?? [name]) {
      // Noted now, since those before may have bound the channel anew, for which it is the first.
      this.#positions.get(bound)?.came(id);
      for (const binding of this.#bindingsOf(bound)) binding.offer(event, message, this.#log);
    }
  }

  /** Tells the handlers of one of the client's own `@@` events, and those of a channel's names. */
  #emit(event, detail, names = []) {
    const bindings = [...names].flatMap((name) => this.#bindingsOf(name));
    for (const binding of [...this.#clientBindings, ...bindings]) {
      if (binding.event === event) binding.call(detail, this.#log);
    }
  }

  // ---- subscriptions ----

  #channel(name) {
    return this.#link?.channels.get(name);
  }

  #bindingsOf(name) {
    return this.#channelBindings.get(name) ?? [];
  }

  #isBound(names) {
    return names.some((name) => this.#channelBindings.has(name));
  }

  #removeBindings(channel, matches) {
    if (channel == null) {
      this.#clientBindings = this.#clientBindings.filter((binding) => !matches(binding));
      return;
    }
    const kept = this.#bindingsOf(channel).filter((binding) => !matches(binding));
    if (kept.length > 0) {
      this.#channelBindings.set(channel, kept);
    } else {
      this.#channelBindings.delete(channel);
      // What comes until it is bound again is not wanted.
      const names = [...(this.#channel(channel)?.names ?? [channel])];
      if (!this.#isBound(names)) for (const name of names) this.#positions.delete(name);
    }
    this.#reconcile(channel);
  }

  /**
   * Takes a channel one step closer to what its bindings want. At most one
   * command per channel is under way; each answer leads back here.
   */
  #reconcile(name) {
    const link = this.#link;
    if (!link?.connectionId) return;
    const channel = link.channels.get(name);
    const bound = [...(channel?.names ?? [name])].find((each) => this.#channelBindings.has(each));
    if (channel && bound) channel.automatic = false;
    switch (channel?.state) {
      case undefined:
      case "unsubscribeConfirmed":
        if (!bound) link.forget(name);
        else if (!channel?.held) this.#subscribe(link, bound);
        break;
      case "subscribeConfirmed":
        if (bound || channel.automatic) break;
        channel.state = "unsubscribePending";
        this.#trySend({ event: "hotsock.unsubscribe", channel: name });
        break;
      case "subscribePending":
        // Only its token is being fetched: the server knows nothing of it yet.
        if (!bound && !channel.sent) link.forget(name);
        break;
      case "subscribeFailed":
        if (!bound) link.forget(name);
        break;
    }
  }

  async #subscribe(link, name) {
    const channel = link.channel(name);
    channel.state = "subscribePending";
    channel.sent = false;
    const tokenFn = this.#bindingsOf(name).find((each) => each.subscribeTokenFn)?.subscribeTokenFn;
    let token;
    if (tokenFn) {
      const { connectionId } = link;
      token = await this.#loadToken(() => tokenFn({ channel: name, connectionId }), 2).catch(
        (error) => error,
      );
      const stale = this.#link !== link || link.channels.get(name) !== channel;
      if (stale || channel.state !== "subscribePending") return;
      if (token instanceof Error) return this.#subscribeLater(link, name, token);
    }
    const after = this.#positions.get(name)?.id;
    const data = token || after ? { token, after } : undefined;
    channel.after = after;
    channel.sent = this.#trySend({ event: "hotsock.subscribe", channel: name, data });
  }

  /** No token was to be had: keep trying, since the channel is still bound. */
  #subscribeLater(link, name, error) {
    const channel = link.channel(name);
    channel.state = "subscribeFailed";
    this.#emit("@@error", error);
    const { backoffBaseMs, backoffMaxMs, random } = this.#options;
    const ceiling = Math.min(backoffMaxMs, backoffBaseMs * 2 ** channel.tokenFailures++);
    link.after(ceiling * random(), () => {
      if (this.#link !== link || link.channels.get(name) !== channel) return;
      if (channel.state === "subscribeFailed") channel.state = "unsubscribeConfirmed";
      this.#reconcile(name);
    });
  }

  #subscribed(link, name, data, meta) {
    const channel = link.channel(name, meta?.channelAlias);
    channel.state = "subscribeConfirmed";
    channel.uid = meta?.uid ?? link.uid;
    channel.umd = meta?.umd ?? link.umd;
    channel.members = data?.members ?? [];
    channel.tokenFailures = 0;
    if (data?.autoSubscribed) channel.automatic = true;
    this.#resumed(channel, name, data?.recovered);
    this.#reconcile(name);
  }

  /** Where a subscription goes on from an earlier one, tells whether anything may be missing. */
  #resumed(channel, name, recovered) {
    const names = [...channel.names];
    if (!channel.automatic && !this.#isBound(names)) return;
    const known = names.map((each) => this.#positions.get(each)).find((each) => each?.isKnown);
    const goesOn = recovered === true;
    const position = goesOn && known ? known : new Position();
    position.isSubscribed = true;
    for (const each of names) this.#positions.set(each, position);
    // What was named as known may be newer than all that the channel now has: ids went back.
    if (!goesOn) channel.after = undefined;
    if (!known || goesOn) return;
    this.#log.info(`messages of "${name}" may be missing`);
    this.#emit("@@gap", { channel: name, after: known.id }, names);
  }

  #unsubscribed(link, name) {
    const channel = link.channel(name);
    if (channel.state === "subscribePending") return;
    // Unasked, it is the server's will, which holds until the application
    // binds again or a new connection begins.
    channel.held = channel.state === "subscribeConfirmed";
    channel.state = "unsubscribeConfirmed";
    channel.uid = null;
    channel.umd = null;
    channel.members = [];
    this.#reconcile(name);
  }

  #failed(link, name, code) {
    const channel = link.channels.get(name);
    if (!channel) return;
    if (code === "ALREADY_SUBSCRIBED") {
      channel.state = "subscribeConfirmed";
    } else if (code === "NOT_SUBSCRIBED" && channel.state !== "subscribePending") {
      channel.state = "unsubscribeConfirmed";
    } else if (SUBSCRIBE_FAILURES.has(code) && channel.state === "subscribePending") {
      channel.state = "subscribeFailed";
    } else {
      return;
    }
    this.#reconcile(name);
  }

  // ---- helpers with state ----

  async #loadToken(tokenFn, maxAttempts) {
    let cause;
    for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
      if (attempt > 1) await new Promise((resume) => setTimeout(resume, 500 * (attempt - 1)));
      try {
        const token = await within(this.#options.connectTimeoutMs, tokenFn());
        if (JWT.test(token)) return token;
        cause = new FanfareError("TOKEN_UNAVAILABLE", "the token function returned no JWT");
      } catch (error) {
        cause = error;
      }
      this.#log.warn(`attempt ${attempt} to get a token failed:`, cause);
    }
    throw new FanfareError("TOKEN_UNAVAILABLE", "the token function gave no token", { cause });
  }

  /** For the client's own few messages: not refused for what else waits, moot without connection. */
  #trySend(message) {
    const ws = this.#link?.ws;
    if (ws?.readyState !== OPEN) return false;
    this.#transmit(ws, JSON.stringify(message));
    return true;
  }

  #transmit(ws, message) {
    ws.send(message);
    this.#emit("@@messageSent", message);
  }
}

export { FanfareClient as HotsockClient };

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

/**
 * How far a channel is known: its handlers have been given, live or by a page, all that there is
 * from where they began up to here.
 */
class Position {
  /** The newest message up to which that is so. @type {string | undefined} */
  id;
  /** A subscription was confirmed, so that messages may have been missed since. */
  isSubscribed = false;

  get isKnown() {
    return this.isSubscribed || this.id !== undefined;
  }

  /**
   * A message came live, and so all before it. That it is older than a page which was read before
   * says that what is between it and the page is still to come.
   */
  came(id) {
    if (ULID.test(id)) this.id = id;
  }

  /** A page was read. It counts where it leaves no hole between what came before and itself. */
  listed(messages, { after, before, reverse }) {
    if (reverse && before) return; // what is older says nothing of where to go on
    const from = (reverse ? messages.at(-1)?.id : after) || LEAST_ID;
    const to = messages.at(reverse ? 0 : -1)?.id ?? from;
    const leavesHole = this.id < from;
    const isNewer = this.id === undefined || this.id < to;
    if (ULID.test(to) && isNewer && !leavesHole) this.id = to;
  }
}

/** One channel of a client: the client's methods with the channel filled in. */
class Channel {
  #client;
  #state;
  name;

  subscribeTokenFn;

  constructor(client, name, state) {
    this.#client = client;
    this.#state = state;
    this.name = name;
  }

  bind = (event, messageFn) =>
    this.#client.bind(event, messageFn, {
      channel: this.name,
      subscribeTokenFn: this.subscribeTokenFn,
    });

  unbind = (event, { messageFn } = {}) =>
    this.#client.unbind(event, { channel: this.name, messageFn });

  sendMessage = (event, { data } = {}) =>
    this.#client.sendMessage(event, { channel: this.name, data });

  publishMessage = (event, message = {}) =>
    this.#client.publishMessage(event, { ...message, channel: this.name });

  listMessages = (page = {}) => this.#client.listMessages(this.name, page);

  addReaction = (messageId, reaction) => this.#react(messageId, reaction, "add");

  removeReaction = (messageId, reaction) => this.#react(messageId, reaction, "remove");

  listReactions = (messageId) => this.#http("listReactions", { messageId });

  info = () => this.#http("getChannelInfo");

  updateUmd = (token) => this.#client.updateUmd(token, { channel: this.name });

  storage = {
    get: (key) => this.#http("channelStorageGet", { key }),
    set: (key, data, options = {}) => this.#http("channelStorageSet", { ...options, key, data }),
    list: ({ keys, after } = {}) => this.#http("channelStorageList", { keys, after }),
  };

  #react(messageId, reaction, action) {
    return this.publishMessage("hotsock.messageReaction", { data: { messageId, reaction, action } });
  }

  #http(operation, body) {
    return this.#client.http(operation, { ...body, channel: this.name });
  }

  get uid() {
    return this.#state()?.uid;
  }

  get umd() {
    return this.#state()?.umd;
  }

  get members() {
    return this.#state()?.members ?? [];
  }

  get state() {
    return this.#state()?.state;
  }
}

/** What `bind` returns: one function bound to one event. */
class Binding {
  #owner;

  constructor(event, messageFn, channelName, subscribeTokenFn, owner) {
    this.event = event;
    this.messageFn = messageFn;
    this.channelName = channelName;
    this.subscribeTokenFn = subscribeTokenFn;
    this.#owner = owner;
  }

  unbind = () => this.#owner.remove();

  /** The channel's present state, where the binding has a channel. */
  get channel() {
    return this.#owner.channel();
  }

  offer(event, message, log) {
    if (this.event instanceof RegExp) {
      this.event.lastIndex = 0; // a `g` or `y` flag would remember the last match
      if (!this.event.test(event)) return;
    } else if (this.event !== event) {
      return;
    }
    this.call(message, log);
  }

  /** One handler's error must not keep the message from the next. */
  call(detail, log) {
    try {
      this.messageFn(detail);
    } catch (error) {
      log.error(`a handler of "${this.event}" failed:`, error);
    }
  }
}

// ---- helpers without state ----

const now = () => performance.now();

function sameEvent(a, b) {
  if (a instanceof RegExp && b instanceof RegExp)
    return a.source === b.source && a.flags === b.flags;
  return a === b;
}

/** The folder that the endpoint `v1` (or `v1/`) is in. */
function directoryOf(url) {
  const directory = new URL(url);
  directory.search = "";
  directory.hash = "";
  directory.pathname = directory.pathname.replace(/[^/]*\/?$/, "");
  return directory;
}

function levelled(logger, level) {
  const least = LOG_LEVELS.indexOf(level);
  if (least < 0) {
    throw new FanfareError("INVALID_ARGUMENT", `logLevel must be one of ${LOG_LEVELS.join(", ")}`);
  }
  const at =
    (name) =>
    (message, ...details) => {
      if (LOG_LEVELS.indexOf(name) >= least) logger[name]?.(`[fanfare] ${message}`, ...details);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Rejects with `TIMEOUT` where the promise takes longer. */
function within(timeoutMs, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new FanfareError("TIMEOUT", `no token within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function answerOf(fetch, url, request, { signal, timeoutMs }) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, timeoutMs);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  try {
    const response = await fetch(url.href, { ...request, signal: controller.signal });
    const text = await response.text();
    return parsedAnswer(response, text);
  } catch (error) {
    if (error instanceof FanfareError) throw error;
    if (signal?.aborted)
      throw new FanfareError("ABORTED", "the request was aborted", { cause: error });
    if (controller.signal.aborted) {
      throw new FanfareError("TIMEOUT", `no answer within ${timeoutMs} ms`, { cause: error });
    }
    throw new FanfareError("NETWORK_ERROR", "the request failed on its way", { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function parsedAnswer({ ok, status }, text) {
  const answer = parsed(text);
  if (ok && (answer !== undefined || text === "")) return answer;
  const { code = "HTTP_ERROR", message = `answered ${status}` } = answer?.error ?? {};
  throw new FanfareError(code, message, { status });
}

/** What a JWT says, taken at its word: the broker has checked it. */
function claimsOf(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return parsed(new TextDecoder().decode(bytes)) ?? {};
}

/** What the JSON says, `undefined` where it is none. */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
