// Tests of fanfare.js in the browser, with a WebSocket and a clock that only the
// tests move. This file, the cases and `run.js` are joined to the body of one
// async function, which resolves to a list of `{ name, failure }`.

const JWT = "e30.e30.c2ln";
const CONNECTED = {
  event: "hotsock.connected",
  data: { connectionId: "c-1", connectionSecret: "s-1" },
  meta: { uid: "jim", umd: { since: 1 } },
};

// ---- a clock that only a test moves ----

const realTimeout = globalThis.setTimeout;
/** Lets everything that waits for promises run. */
const settle = () => new Promise((resume) => realTimeout(resume, 0));

class Clock {
  now = 1_000;
  #timers = new Map();
  #nextId = 1;

  install() {
    const { setTimeout, clearTimeout } = globalThis;
    const performanceNow = performance.now;
    globalThis.setTimeout = (act, delay = 0) => {
      this.#timers.set(this.#nextId, { act, at: this.now + delay });
      return this.#nextId++;
    };
    globalThis.clearTimeout = (id) => this.#timers.delete(id);
    performance.now = () => this.now;
    return () => {
      Object.assign(globalThis, { setTimeout, clearTimeout });
      performance.now = performanceNow;
    };
  }

  async advance(duration) {
    const end = this.now + duration;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end);
      if (due.length === 0) break;
      const [id, { act, at }] = due.reduce((a, b) => (b[1].at < a[1].at ? b : a));
      this.#timers.delete(id);
      this.now = Math.max(this.now, at);
      act();
      await settle();
    }
    this.now = end;
  }
}

// ---- a network that only a test moves ----

class FakeSocket {
  static all = [];
  static get last() {
    return FakeSocket.all.at(-1);
  }

  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  closedByClient = false;

  constructor(url) {
    this.url = new URL(url);
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
    this.closedByClient = true;
  }

  // What the other side does.

  accept(connected = CONNECTED) {
    this.readyState = 1;
    this.onopen({ type: "open" });
    this.say(connected);
  }

  say(message) {
    this.onmessage({ type: "message", data: JSON.stringify(message) });
  }

  confirm(channel, more = {}) {
    this.say({ event: "hotsock.subscribed", channel, data: {}, meta: {}, ...more });
  }

  fail(channel, code) {
    this.say({ event: "hotsock.error", channel, error: { code, message: code } });
  }

  drop(code = 1006) {
    this.readyState = 3;
    this.onclose({ type: "close", code, reason: "", wasClean: false });
  }

  /** What was sent with this event since the last call. */
  take(event) {
    const taken = this.sent.filter((message) => message.event === event);
    this.sent = this.sent.filter((message) => message.event !== event);
    return taken;
  }
}

// ---- assertions ----

function equal(actual, expected, what = "") {
  const [a, b] = [actual, expected].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${what} is ${a}, not ${b}`);
}

function throws(act, code) {
  try {
    act();
  } catch (error) {
    equal(error.code, code, "the thrown code");
    return;
  }
  throw new Error(`nothing was thrown, not even ${code}`);
}

async function rejects(promise, code, status) {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  equal([error?.code, error?.status], [code, status], "the rejection");
}

// ---- what the cases share ----

const { FanfareClient, HotsockClient, FanfareError } = await import("/fanfare.js");

let clock;
let clients;

function start(options = {}, url = "wss://broker.example/some/v1") {
  const client = new FanfareClient(url, {
    connectTokenFn: () => JWT,
    WebSocket: FakeSocket,
    random: () => 0.5,
    logLevel: "silent",
    pingIntervalMs: 0,
    ...options,
  });
  clients.push(client);
  return client;
}

async function connected(options) {
  const client = start(options);
  await settle();
  FakeSocket.last.accept();
  return client;
}

/** The channels that the newest connection was asked to (un)subscribe. */
const asked = (command) => FakeSocket.last.take(`hotsock.${command}`).map(({ channel }) => channel);
const subscribes = () => asked("subscribe");
const unsubscribes = () => asked("unsubscribe");

const cases = {};
