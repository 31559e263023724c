/** Errors that answer a subscribe and that a later try on the same connection would meet again. */
const SUBSCRIBE_FAILURES = new Set([
  "SUBSCRIBE_PERMISSION_DENIED",
  "INVALID_SUBSCRIBE_TOKEN",
  "INVALID_CHANNEL_NAME",
  "PRESENCE_CHANNEL_USER_ID_REQUIRED",
  "PRESENCE_CHANNEL_CAPACITY_REACHED",
]);

/** The channels that have bindings: what is bound, what is subscribed for it, how far it is known. */
class Subscriptions {
  #client;
  #options;
  #log;
  /** @type {Map<string, Binding[]>} */
  #bindings = new Map();
  /**
   * How far each channel that is wanted is known, by each of its names, which share it. It outlives
   * connections, so that the next one can go on.
   * @type {Map<string, Position>}
   */
  #positions = new Map();

  /**
   * @param {{
   *   link: () => Link | null,
   *   send: (message: object) => boolean,
   *   emit: (event: string, detail: unknown, names?: string[]) => void,
   *   loadToken: (tokenFn: () => unknown, maxAttempts: number) => Promise<string>,
   * }} client what it asks of the client; `link` is the present one
   */
  constructor(client, options, log) {
    this.#client = client;
    this.#options = options;
    this.#log = log;
  }

  bind(name, binding) {
    this.#bindings.set(name, [...this.bindingsOf(name), binding]);
    // What comes from now on counts, even from a subscription that is about to end.
    if (!this.#positions.has(name)) this.#positions.set(name, new Position());
    const channel = this.#client.link()?.channels.get(name);
    if (channel) channel.held = false;
    this.#reconcile(name);
  }

  unbind(name, matches) {
    const kept = this.bindingsOf(name).filter((binding) => !matches(binding));
    if (kept.length > 0) {
      this.#bindings.set(name, kept);
    } else {
      this.#bindings.delete(name);
      // What comes until it is bound again is not wanted.
      const names = [...(this.#client.link()?.channels.get(name)?.names ?? [name])];
      if (!this.#isBound(names)) for (const each of names) this.#positions.delete(each);
    }
    this.#reconcile(name);
  }

  clear() {
    this.#bindings.clear();
    this.#positions.clear();
  }

  bindingsOf(name) {
    return this.#bindings.get(name) ?? [];
  }

  /** How far the channel is known, where it is wanted. */
  position(name) {
    return this.#positions.get(name);
  }

  /** The present connection is there. */
  connected() {
    for (const bound of this.#bindings.keys()) this.#reconcile(bound);
  }

  deliver(link, message) {
    const { event, id, channel: name } = message;
    for (const bound of link.channels.get(name)?.names ?? [name]) {
      // Noted now, since those before may have bound the channel anew, for which it is the first.
      this.#positions.get(bound)?.came(id);
      for (const binding of this.bindingsOf(bound)) binding.offer(event, message, this.#log);
    }
  }

  // ---- what the server says ----

  subscribed(link, name, data, meta) {
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
    this.#client.emit("@@gap", { channel: name, after: known.id }, names);
  }

  unsubscribed(link, name) {
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

  failed(link, name, code) {
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

  // ---- what is asked of it ----

  /**
   * Takes a channel one step closer to what its bindings want. At most one
   * command per channel is under way; each answer leads back here.
   */
  #reconcile(name) {
    const link = this.#client.link();
    if (!link?.connectionId) return;
    const channel = link.channels.get(name);
    const bound = [...(channel?.names ?? [name])].find((each) => this.#bindings.has(each));
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
        this.#client.send({ event: "hotsock.unsubscribe", channel: name });
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
    const tokenFn = this.bindingsOf(name).find((each) => each.subscribeTokenFn)?.subscribeTokenFn;
    let token;
    if (tokenFn) {
      const { connectionId } = link;
      token = await this.#client
        .loadToken(() => tokenFn({ channel: name, connectionId }), 2)
        .catch((error) => error);
      const stale = this.#client.link() !== link || link.channels.get(name) !== channel;
      if (stale || channel.state !== "subscribePending") return;
      if (token instanceof Error) return this.#subscribeLater(link, name, token);
    }
    const after = this.#positions.get(name)?.id;
    const data = token || after ? { token, after } : undefined;
    channel.after = after;
    channel.sent = this.#client.send({ event: "hotsock.subscribe", channel: name, data });
  }

  /** No token was to be had: keep trying, since the channel is still bound. */
  #subscribeLater(link, name, error) {
    const channel = link.channel(name);
    channel.state = "subscribeFailed";
    this.#client.emit("@@error", error);
    const { backoffBaseMs, backoffMaxMs, random } = this.#options;
    const ceiling = Math.min(backoffMaxMs, backoffBaseMs * 2 ** channel.tokenFailures++);
    link.after(ceiling * random(), () => {
      if (this.#client.link() !== link || link.channels.get(name) !== channel) return;
      if (channel.state === "subscribeFailed") channel.state = "unsubscribeConfirmed";
      this.#reconcile(name);
    });
  }

  #isBound(names) {
    return names.some((name) => this.#bindings.has(name));
  }
}
