/**
 * The browser client of a fanfare broker: one WebSocket that stays connected,
 * channels that follow what is bound, and the client HTTP API. Users of
 * `hotsock-js` find the surface they know. No dependencies, no build step.
 *
 * Public classes and options are documented in `fanfare.d.ts`.
 *
 * @module
 */

export class FanfareError extends Error {
  constructor(code, message, { status = 0, cause } = {}) {
    super(message, { cause });
    this.name = "FanfareError";
    this.code = code;
    this.status = status;
  }
}
