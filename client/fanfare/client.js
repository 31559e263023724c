const OPEN = 1;
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

export class FanfareClient {
  #webSocketUrl;
  #httpUrl;
  #options;
  #log;

  /** Those without a channel. @type {Binding[]} */
  #bindings = [];
  /** @type {Subscriptions} */
  #subscriptions;

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
   * @param {import("../fanfare.js").ClientOptions} options
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
    this.#subscriptions = new Subscriptions(
      {
        link: () => this.#link,
        send: (message) => this.#trySend(message),
        emit: (event, detail, names) => this.#emit(event, detail, names),
        loadToken: (tokenFn, maxAttempts) => this.#loadToken(tokenFn, maxAttempts),
      },
      this.#options,
      this.#log,
    );
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
      this.#bindings = [...this.#bindings, binding];
      return binding;
    }
    this.#subscriptions.bind(channel, binding);
    if (this.#state === "idle") this.#connect();
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
    this.#bindings = [];
    this.#subscriptions.clear();
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
    const position = this.#subscriptions.position(channel);
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
        this.#subscriptions.connected();
        break;
      case "hotsock.subscribed":
        this.#subscriptions.subscribed(link, name, data, meta);
        break;
      case "hotsock.unsubscribed":
        this.#subscriptions.unsubscribed(link, name);
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
        this.#subscriptions.failed(link, name, error?.code);
        break;
    }
  }

  #dispatch(link, message) {
    for (const binding of this.#bindings) binding.offer(message.event, message, this.#log);
    if (message.channel !== undefined) this.#subscriptions.deliver(link, message);
  }

  /** Tells the handlers of one of the client's own `@@` events, and those of a channel's names. */
  #emit(event, detail, names = []) {
    const bindings = [...names].flatMap((name) => this.#subscriptions.bindingsOf(name));
    for (const binding of [...this.#bindings, ...bindings]) {
      if (binding.event === event) binding.call(detail, this.#log);
    }
  }

  // ---- helpers with state ----

  #channel(name) {
    return this.#link?.channels.get(name);
  }

  #removeBindings(channel, matches) {
    if (channel != null) this.#subscriptions.unbind(channel, matches);
    else this.#bindings = this.#bindings.filter((binding) => !matches(binding));
  }

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
