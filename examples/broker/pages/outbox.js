/** What has been written and is not known to be stored. */

const LIMIT = 200;

/**
 * `after` is the id that was the newest known when the entry was first on its
 * way: whatever the broker has of it is newer. `null` where it never was.
 *
 * @typedef {{
 *   nonce: string, text: string, at: Date, after: string | null, error?: string,
 * }} OutboxEntry
 */

/**
 * It outlives a reload of its tab, and belongs to that tab alone: two that
 * shared it would both send it.
 */
export class Outbox {
  #key;
  /** @type {OutboxEntry[]} */
  entries = [];

  constructor(key) {
    this.#key = key;
    try {
      const kept = JSON.parse(sessionStorage.getItem(key)) ?? [];
      this.entries = kept.map((entry) => ({ after: "", ...entry, at: new Date(entry.at) }));
    } catch {
      // Storage may be forbidden: the outbox then lives as long as the page.
    }
  }

  add(text) {
    if (this.entries.length >= LIMIT) return undefined;
    const entry = { nonce: randomId(), text, at: new Date(), after: null };
    this.entries.push(entry);
    this.#keep();
    return entry;
  }

  find(nonce) {
    return nonce && this.entries.find((entry) => entry.nonce === nonce);
  }

  next() {
    return this.entries.find((entry) => entry.error === undefined);
  }

  /** It is on its way now. */
  tried(entry, after) {
    entry.after ??= after;
    this.#keep();
  }

  mark(entry, error) {
    entry.error = error;
    this.#keep();
  }

  remove(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    this.#keep();
  }

  /** Whether the broker may have something of it that is older than this id. */
  mayBeBefore(id) {
    return this.entries.some(({ after }) => after !== null && after < id);
  }

  #keep() {
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(this.entries));
    } catch {
      // As above; a full storage is no reason not to send.
    }
  }
}

/** 130 random bits as 26 characters of base32. */
export function randomId() {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  return Array.from(crypto.getRandomValues(new Uint8Array(26)), (byte) => alphabet[byte % 32]).join(
    "",
  );
}
