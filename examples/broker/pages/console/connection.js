/**
 * One WebSocket to the broker, and the client HTTP API beside it, as they are: nothing but secrets
 * is hidden, nothing is tried again.
 */

import { parsed } from "./json.js";

const HTTP_TIMEOUT_MS = 15_000;
/** Which of a frame's `data` is not to be shown. */
const SECRETS = {
  "hotsock.connected": "connectionSecret",
  "hotsock.subscribe": "token",
  "hotsock.umdUpdate": "token",
};
const HIDDEN = "(hidden)";

/**
 * @typedef {"sent" | "received" | "request" | "answer" | "note"} Kind
 *
 * @typedef {object} Listener
 * @property {(kind: Kind, text: string) => void} logged
 * @property {(message: object, text: string) => void} received
 * @property {(close: { code: number, reason: string, wasRefused: boolean }) => void} closed
 */

/** An error that the broker answered with. */
export class BrokerError extends Error {
  constructor({ code, message, channel }, status) {
    const where = channel ? ` (${channel})` : "";
    super(`${code}${where}: ${message}${status ? ` — HTTP ${status}` : ""}`);
    this.name = "BrokerError";
  }
}

export class Connection {
  #ws;
  #listener;
  #credentials;
  #wasLeft = false;

  /** @param {string} token @param {Listener} listener */
  constructor(token, listener) {
    const url = new URL("v1", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.#listener = listener;
    listener.logged("note", `Connecting to ${url.href}`);
    url.searchParams.set("token", token);
    this.#ws = new WebSocket(url.href);
    this.#ws.onmessage = ({ data }) => this.#receive(data);
    this.#ws.onclose = ({ code, reason }) => {
      const wasRefused = !this.#credentials && !this.#wasLeft;
      listener.closed({ code, reason, wasRefused });
    };
  }

  get isOpen() {
    return this.#ws.readyState === WebSocket.OPEN;
  }

  close() {
    this.#wasLeft = true;
    this.#ws.close(1000);
  }

  /** Sends a frame as it stands. @throws {Error} where the connection is not open. */
  send(text) {
    if (!this.isOpen) throw new Error("The connection is not open.");
    this.#ws.send(text);
    this.#listener.logged("sent", withoutSecret(text));
  }

  /**
   * Calls the client HTTP API.
   *
   * @param {string} operation
   * @param {string} body JSON
   * @returns {Promise<string>} JSON
   * @throws {BrokerError | Error}
   */
  async http(operation, body) {
    const query = new URLSearchParams(this.#credentials);
    this.#listener.logged("request", `POST connection/${operation}\n${body}`);
    const response = await fetch(`connection/${operation}?${query}`, {
      method: "POST",
      body,
      signal: AbortSignal.timeout(HTTP_TIMEOUT_MS),
    });
    const text = await response.text();
    this.#listener.logged("answer", `${response.status} ${operation}\n${text}`);
    if (!response.ok) throw errorIn(response, text);
    return text;
  }

  #receive(data) {
    const text = typeof data === "string" ? data : "(a binary frame)";
    const message = parsed(text);
    if (message?.event === "hotsock.connected") {
      const { connectionId, connectionSecret } = message.data;
      this.#credentials = { connectionId, connectionSecret };
    }
    this.#listener.logged("received", withoutSecret(text));
    if (message) this.#listener.received(message, text);
  }
}

/**
 * Why the broker refused a token, which a browser doesn't tell of a WebSocket: it is asked again by
 * a request that can't connect, so that it uses no token up.
 */
export async function refusalOf(token) {
  const headers = { Authorization: `Bearer ${token}` };
  let response;
  try {
    response = await fetch("v1", { headers, signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) });
  } catch {
    return "The broker can't be reached.";
  }
  const { error } = parsed(await response.text()) ?? {};
  if (response.status !== 400 && error) {
    return `The broker refuses it. ${new BrokerError(error, response.status).message}`;
  }
  return (
    "The broker takes the token, but no WebSocket came about. Perhaps the token is for a single " +
    "use and was used, or a proxy in between doesn't pass Upgrade on."
  );
}

function errorIn({ status }, text) {
  const error = parsed(text)?.error ?? { code: "HTTP_ERROR", message: "the answer is no JSON" };
  return new BrokerError(error, status);
}

/** Whether a frame holds a token or a secret. */
export function holdsSecret(frame) {
  const name = SECRETS[frame?.event];
  return name !== undefined && typeof frame.data?.[name] === "string";
}

function withoutSecret(text) {
  const frame = parsed(text);
  if (!holdsSecret(frame)) return text;
  frame.data[SECRETS[frame.event]] = HIDDEN;
  return JSON.stringify(frame);
}
