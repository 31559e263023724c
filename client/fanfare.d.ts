/** Anything that JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type TokenFn<Params> = (params: Params) => string | Promise<string>;

export interface SubscribeTokenParams {
  channel: string;
  connectionId: string;
}

/** A message from the server, as it came. Fields are there where they apply. */
export interface Message<Data = any> {
  event: string;
  /** A ULID: its order is the channel's order, its first ten characters are the time. */
  id?: string;
  channel?: string;
  data?: Data;
  meta?: { uid: string | null; umd: Json; channelAlias?: string };
  /** In `hotsock.error`. */
  error?: { code: string; message: string };
}

export interface StoredMessage<Data = any> extends Message<Data> {
  id: string;
  channel: string;
  data: Data;
  meta: { uid: string | null; umd: Json };
  reactions?: Record<string, { count: number; items?: { uid: string; umd?: Json }[] }>;
}

export interface Member {
  uid: string;
  umd: Json;
}

export type MessageFn = (message: Message) => void;

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface Logger {
  debug?(message: string, ...details: unknown[]): void;
  info?(message: string, ...details: unknown[]): void;
  warn?(message: string, ...details: unknown[]): void;
  error?(message: string, ...details: unknown[]): void;
}

export interface ClientOptions {
  /** Returns a connect-scoped JWT. Called for every attempt to connect. */
  connectTokenFn: TokenFn<void>;
  /** Calls of `connectTokenFn` within one attempt to connect; 2 by default. */
  connectTokenFnMaxAttempts?: number;
  /** Wait with connecting until a channel is bound or `resume()` is called. */
  lazyConnection?: boolean;
  /**
   * Send `hotsock.heartbeat` at least this often. Needed where the connect token
   * has a `heartbeatTimeout`; must not be longer than that.
   */
  heartbeatIntervalSeconds?: number;
  /** `console` by default. Tokens and secrets are never logged. */
  logger?: Logger;
  /** `warn` by default. */
  logLevel?: LogLevel;

  /** Where the client HTTP API is; by default `connection/` beside the WebSocket's `v1`. */
  httpUrl?: string | URL;
  /** Limit of one token function call, and of the way from there to `hotsock.connected`; 10,000. */
  connectTimeoutMs?: number;
  /** Limit of one call of the HTTP API; 15,000. */
  httpTimeoutMs?: number;
  /** After this much silence the server is asked for a sign of life; 30,000, 0 for never. */
  pingIntervalMs?: number;
  /** How long it has to give one before the connection counts as lost; 10,000. */
  pongTimeoutMs?: number;
  /** The wait before attempt n is random, up to this times 2ⁿ; 500. */
  backoffBaseMs?: number;
  /** …and up to this at most; 20,000. */
  backoffMaxMs?: number;
  /** A connection that lasted this long resets the backoff; 5,000. */
  stableAfterMs?: number;
  /** What may wait for the network before sending throws `SEND_BUFFER_FULL`; 1 MiB. */
  maxBufferedBytes?: number;

  /** For tests, and for platforms without these globals. */
  WebSocket?: { new (url: string): WebSocket };
  fetch?: (input: string, init?: RequestInit) => Promise<Response>;
  /** From 0 inclusive to 1 exclusive, like `Math.random`. */
  random?: () => number;
}

/**
 * What went wrong. `code` is one of the broker's (`NOT_SUBSCRIBED`, …) or one of
 * the client's: `INVALID_ARGUMENT`, `NOT_CONNECTED`, `SEND_BUFFER_FULL`,
 * `TOKEN_UNAVAILABLE`, `CONNECT_FAILED`, `NETWORK_ERROR`, `TIMEOUT`, `ABORTED`,
 * `HTTP_ERROR`. `status` is the HTTP status, 0 where no response came.
 */
export class FanfareError extends Error {
  constructor(code: string, message: string, options?: { status?: number; cause?: unknown });
  readonly code: string;
  readonly status: number;
}

export type ChannelSubscriptionState =
  | "subscribePending"
  | "subscribeConfirmed"
  | "subscribeFailed"
  | "unsubscribePending"
  | "unsubscribeConfirmed"
  | undefined;

/** What the server has said about a channel on the present connection. */
export interface ChannelState {
  readonly name: string;
  readonly state: ChannelSubscriptionState;
  readonly uid: string | null | undefined;
  readonly umd: Json | undefined;
  /** Who is in a presence channel, in the order of joining. */
  readonly members: Member[];
}

/** What `bind` returns: one function bound to one event. */
export interface Binding {
  readonly event: string | RegExp;
  readonly channel: ChannelState | undefined;
  /** Removes this binding and no other. */
  unbind: () => void;
}

export interface ListMessagesOptions {
  /** Exclusive; counts only without `reverse`. */
  after?: string;
  /** Exclusive; counts only with `reverse`. */
  before?: string;
  /** Newest first. */
  reverse?: boolean;
  /** Names who reacted; of one message at most 1 MB, though `count` counts all. */
  expandReactions?: boolean;
}

export interface ScheduleOptions {
  /** `at(2026-01-31T12:00:00)`. */
  scheduleExpression?: string;
  /** The name of an IANA time zone; UTC when absent. */
  scheduleExpressionTimezone?: string;
}

export interface PublishOptions extends ScheduleOptions {
  data?: unknown;
  /** Answer with the message's id. */
  eagerIdGeneration?: boolean;
  [field: string]: unknown;
}

export interface Published {
  channel: string;
  event: string;
  id?: string;
  scheduleId?: string;
}

/** The client's methods for one channel. It holds nothing open by itself. */
export interface Channel {
  readonly name: string;
  /** Returns a subscribe-scoped JWT; called for each subscribe. Set it before binding. */
  subscribeTokenFn?: TokenFn<SubscribeTokenParams>;
  readonly state: ChannelSubscriptionState;
  readonly uid: string | null | undefined;
  readonly umd: Json | undefined;
  readonly members: Member[];
  bind: (event: string | RegExp, messageFn: MessageFn) => Binding;
  unbind: (event: string | RegExp, options?: { messageFn?: MessageFn }) => void;
  sendMessage: (event: string, options?: { data?: unknown }) => void;
  publishMessage: (event: string, options?: PublishOptions) => Promise<Published>;
  listMessages: (options?: ListMessagesOptions) => Promise<{ messages: StoredMessage[] }>;

  /**
   * Reacts to a stored message; with the same value again, nothing changes. Needs a `uid`, a
   * subscription, and `react` for the message's event. Subscribers get
   * `hotsock.messageReactionAdded`, this client where `echo` is granted for
   * `hotsock.messageReaction`.
   */
  addReaction: (messageId: string, reaction: string) => Promise<Published>;
  /** Takes one's own reaction back. */
  removeReaction: (messageId: string, reaction: string) => Promise<Published>;
  listReactions: (
    messageId: string,
  ) => Promise<{ reactions: { reaction: string; uid: string; umd?: Json }[] }>;

  /** Values that the channel keeps. Changes of keys that the token lets this client observe come
   * as `hotsock.channelStorageUpdated`, present values right after `hotsock.subscribed`. */
  readonly storage: {
    /** `data` is `null` where there is no value. */
    get: <Data = any>(key: string) => Promise<StorageEntry<Data>>;
    /** `undefined`, `null` and `{}` clear the key. */
    set: (key: string, data: unknown, options?: ScheduleOptions) => Promise<Published>;
    /** The keys that this client may read, 100 a page, those after `after`. */
    list: (options?: { keys?: string[]; after?: string }) => Promise<{ items: StorageEntry[] }>;
  };

  /** How many are subscribed and, on presence channels, who; needs `getInfo`. */
  info: () => Promise<{ channel: string; subscriptionsCount: number; members?: Member[] }>;

  /** Shows others the `umd` of a `umd`-scoped token from now on. */
  updateUmd: (token: string) => Promise<void>;
}

export interface StorageEntry<Data = any> {
  key: string;
  data: Data | null;
  /** Who wrote it; `null` where there is no value. */
  meta: { uid: string | null; umd: Json } | null;
}

/** What `@@gap` tells. */
export interface Gap {
  channel: string;
  /** The last id known; absent where none was. */
  after?: string;
}

/**
 * A connection to a broker, kept up until `suspend()` or `terminate()`.
 *
 * ```js
 * const client = new FanfareClient("wss://example.com/v1", {
 *   connectTokenFn: async () => (await fetch("/token", { method: "POST" })).text(),
 * });
 * client.bind("chat", ({ data, meta }) => show(meta.uid, data), { channel: "room.1" });
 * ```
 *
 * A lost connection comes back by itself, with exponential backoff and full
 * jitter, one attempt at a time, and at once when the browser says that the
 * network is back or the page is looked at again. What is bound is subscribed
 * again, and what was stored meanwhile is delivered as if it came live: the client
 * names the last id that it knows of the channel, by a message that came or by a page of
 * `listMessages` that leaves no hole after those, and the broker sends what is newer, this
 * client's own messages too. What a page had may so come again: its id tells.
 *
 * Where the broker can't promise that nothing is missing, `@@gap` is told, and the
 * application reloads what it shows. That is so without `historyStart` in the token, after
 * a long absence, when a message has expired, when no id is known, and for channels that a
 * token subscribes to by `autoSubscribe`. Messages that are not stored, and changes to
 * reactions, are not caught up with.
 */
export class FanfareClient {
  /** `url` ends in `/v1`; page-relative and `http(s)` addresses are understood too. */
  constructor(url: string | URL, options: ClientOptions);

  /** `idle` before a lazy client's first binding; `disconnected` while it waits to try again. */
  readonly state: "idle" | "connecting" | "connected" | "disconnected" | "suspended";
  readonly connectionId: string | undefined;
  readonly uid: string | null | undefined;
  readonly umd: Json | undefined;

  /**
   * Calls `messageFn` for each message whose event matches, in all channels. With
   * `channel`, only for that channel's, and subscribes to it for as long as it
   * has a binding.
   *
   * `@@gap` gets a `Gap` when a channel is subscribed again and messages may be missing; it can be
   * bound with `channel` too. `@@connect`, `@@disconnect` and `@@message` get the WebSocket's own `Event`,
   * `CloseEvent` and `MessageEvent`; `@@messageSent` the text sent; `@@error` the
   * WebSocket's `Event` or a `FanfareError`.
   */
  bind(
    event: "@@connect" | "@@disconnect" | "@@message" | "@@messageSent" | "@@error",
    fn: (detail: any) => void,
  ): Binding;
  bind(
    event: "@@gap",
    fn: (gap: Gap) => void,
    options?: { channel?: string; subscribeTokenFn?: TokenFn<SubscribeTokenParams> },
  ): Binding;
  bind(
    event: string | RegExp,
    messageFn: MessageFn,
    options?: { channel?: string; subscribeTokenFn?: TokenFn<SubscribeTokenParams> },
  ): Binding;

  /**
   * Removes the bindings of `event`: all, or those of `messageFn`. A channel
   * that has none left is unsubscribed.
   */
  unbind: (event: string | RegExp, options?: { messageFn?: Function; channel?: string }) => void;

  channels: (name: string) => Channel;

  /**
   * Publishes over the WebSocket. A success is not answered; where delivery must
   * be known, use `publishMessage`. Nothing is queued while there is no
   * connection, since a queue would hide that messages may come late or never.
   *
   * Throws `FanfareError`: `NOT_CONNECTED`, `SEND_BUFFER_FULL`, `INVALID_ARGUMENT`.
   */
  sendMessage: (event: string, options?: { channel?: string; data?: unknown }) => void;

  /** Sends text that is a protocol message already. Throws like `sendMessage`. */
  sendRawMessage: (message: string) => void;

  /** Closes the connection and stays away until `resume()`. Bindings are kept. */
  suspend: () => void;

  /** Connects now, unless connected, and subscribes again to what is bound. */
  resume: () => void;

  /** Closes the connection and forgets all bindings. */
  terminate: () => void;

  /**
   * Calls an operation of the client HTTP API, such as `listMessages`.
   *
   * Rejects with `FanfareError`: the server's `code` and `status`, or
   * `NOT_CONNECTED`, or `NETWORK_ERROR`, `TIMEOUT`, `ABORTED` or `HTTP_ERROR`,
   * which leave open whether the server acted.
   */
  http: <Answer = any>(
    operation: string,
    body?: object,
    options?: { signal?: AbortSignal; timeoutMs?: number },
  ) => Promise<Answer>;

  /**
   * Shows others the `umd` of a `umd`-scoped token: on one channel, or as the connection's own,
   * which later subscriptions show.
   */
  updateUmd: (token: string, options?: { channel?: string }) => Promise<void>;

  /** One page of stored messages, at most 100, oldest first unless `reverse`. */
  listMessages: (
    channel: string,
    options?: ListMessagesOptions,
  ) => Promise<{ messages: StoredMessage[] }>;

  /**
   * Publishes over HTTP. Once it resolves, the message is accepted and, where
   * it is stored, in storage.
   */
  publishMessage: (
    event: string,
    options: PublishOptions & { channel: string },
  ) => Promise<Published>;
}

/** The name that users of `hotsock-js` import. */
export { FanfareClient as HotsockClient };
