// Connecting, staying connected, coming back, sending, and the HTTP API.

Object.assign(cases, {
  async "it connects with a token and knows who it is"() {
    const client = start();
    equal(client.state, "connecting");
    await settle();
    equal(FakeSocket.last.url.href, `wss://broker.example/some/v1?token=${JWT}`);
    const events = [];
    for (const event of ["@@connect", "@@message"])
      client.bind(event, ({ type }) => events.push(type));
    FakeSocket.last.accept();
    equal(
      [client.state, client.connectionId, client.uid, client.umd],
      ["connected", "c-1", "jim", { since: 1 }],
    );
    equal(events, ["open", "message"]);
    equal(HotsockClient === FanfareClient, true);
  },

  async "an http address becomes the WebSocket's"() {
    start({}, "https://broker.example/v1");
    await settle();
    equal(FakeSocket.last.url.protocol, "wss:");
    start({}, "v1");
    await settle();
    equal(FakeSocket.last.url.href, `ws://${location.host}/v1?token=${JWT}`);
  },

  async "wrong arguments are refused at once"() {
    throws(() => new FanfareClient("wss://broker.example/v1", {}), "INVALID_ARGUMENT");
    throws(() => start({ logLevel: "loud" }), "INVALID_ARGUMENT");
    const client = await connected();
    throws(() => client.bind("chat"), "INVALID_ARGUMENT");
    throws(() => client.bind("", () => {}), "INVALID_ARGUMENT");
    throws(() => client.sendMessage(""), "INVALID_ARGUMENT");
  },

  async "a lazy client connects with its first channel"() {
    const client = start({ lazyConnection: true });
    client.bind("@@connect", () => {});
    await settle();
    equal([client.state, FakeSocket.all.length], ["idle", 0]);
    client.bind("chat", () => {}, { channel: "a" });
    await settle();
    FakeSocket.last.accept();
    equal([FakeSocket.all.length, subscribes()], [1, ["a"]]);
  },

  async "sending needs a connection and a buffer that is not full"() {
    const client = start({ maxBufferedBytes: 100 });
    throws(() => client.sendMessage("chat", { channel: "a" }), "NOT_CONNECTED");
    await settle();
    throws(() => client.sendMessage("chat", { channel: "a" }), "NOT_CONNECTED");
    FakeSocket.last.accept();
    const sent = [];
    client.bind("@@messageSent", (text) => sent.push(text));
    client.channels("a").sendMessage("chat", { data: { text: "hi" } });
    client.sendRawMessage('{"event":"hotsock.ping"}');
    equal(sent, [
      '{"event":"chat","channel":"a","data":{"text":"hi"}}',
      '{"event":"hotsock.ping"}',
    ]);
    FakeSocket.last.bufferedAmount = 90;
    throws(() => client.sendMessage("chat", { channel: "a" }), "SEND_BUFFER_FULL");
    equal(sent.length, 2);
  },

  async "a ping is answered"() {
    await connected();
    FakeSocket.last.say({ event: "hotsock.ping" });
    equal(FakeSocket.last.sent, [{ event: "hotsock.pong" }]);
  },

  async "heartbeats come at most a tenth early and never late"() {
    await connected({ heartbeatIntervalSeconds: 10 });
    await clock.advance(9_499);
    equal(FakeSocket.last.take("hotsock.heartbeat").length, 0);
    await clock.advance(1);
    equal(FakeSocket.last.take("hotsock.heartbeat").length, 1);
    await clock.advance(95_000);
    equal(FakeSocket.last.take("hotsock.heartbeat").length, 10);
  },

  async "waits double up to a limit, one attempt at a time"() {
    const client = start({ random: () => 0.999999 });
    await settle();
    const waits = [];
    for (let round = 0; round < 8; round += 1) {
      const before = FakeSocket.all.length;
      FakeSocket.last.drop();
      equal(client.state, "disconnected");
      let waited = 0;
      for (; FakeSocket.all.length === before; waited += 100) await clock.advance(100);
      equal(FakeSocket.all.length, before + 1, "the number of attempts");
      waits.push(waited);
    }
    equal(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
  },

  async "waits are spread over the whole interval"() {
    start({ random: () => 0 });
    await settle();
    for (let round = 1; round <= 5; round += 1) {
      FakeSocket.last.drop();
      await clock.advance(0);
      equal(FakeSocket.all.length, round + 1);
    }
  },

  async "only a connection that lasts ends the backoff"() {
    const client = start({ random: () => 0.999999, stableAfterMs: 5_000 });
    await settle();
    const waitAfter = async (lifetime, code) => {
      FakeSocket.last.accept();
      await clock.advance(lifetime);
      FakeSocket.last.drop(code);
      let waited = 0;
      for (; client.state === "disconnected"; waited += 100) await clock.advance(100);
      await settle();
      return waited;
    };
    equal(await waitAfter(4_999), 500);
    equal(await waitAfter(4_999), 1_000);
    equal(await waitAfter(5_000), 500);
    equal(await waitAfter(60_000, 1012), 500);
    equal(await waitAfter(60_000, 1001), 500);
    equal(await waitAfter(60_000, 4429), 1_500);
  },

  async "an operator's disconnect keeps it away for long"() {
    const client = await connected({ random: () => 0 });
    FakeSocket.last.drop(4403);
    dispatchEvent(new Event("online"));
    await clock.advance(19_999);
    equal([client.state, FakeSocket.all.length], ["disconnected", 1]);
    await clock.advance(1);
    equal([client.state, FakeSocket.all.length], ["connecting", 2]);
  },

  async "it tries at once when the browser is online again"() {
    const client = await connected({ backoffBaseMs: 60_000, backoffMaxMs: 60_000 });
    FakeSocket.last.drop();
    dispatchEvent(new Event("offline"));
    await settle();
    equal([client.state, FakeSocket.all.length], ["disconnected", 1]);
    dispatchEvent(new Event("online"));
    await settle();
    equal([client.state, FakeSocket.all.length], ["connecting", 2]);
    FakeSocket.last.accept();
    await clock.advance(60_000);
    equal(FakeSocket.all.length, 2, "the number of attempts");
  },

  async "a change of the network makes it ask whether the connection lives"() {
    const client = await connected({ pongTimeoutMs: 5_000 });
    dispatchEvent(new Event("offline"));
    equal(FakeSocket.last.take("hotsock.ping").length, 1);
    await clock.advance(1);
    FakeSocket.last.say({ event: "hotsock.pong", data: "{}" });
    await clock.advance(5_000);
    equal(client.state, "connected");
    dispatchEvent(new Event("online"));
    equal(FakeSocket.last.take("hotsock.ping").length, 1);
    const codes = [];
    client.bind("@@disconnect", ({ code }) => codes.push(code));
    await clock.advance(5_000);
    equal([client.state, codes, FakeSocket.all[0].closedByClient], ["disconnected", [1006], true]);
  },

  async "a silent server is asked for a sign of life"() {
    const client = await connected({ pingIntervalMs: 30_000, pongTimeoutMs: 10_000 });
    const socket = FakeSocket.last;
    await clock.advance(20_000);
    socket.say({ event: "chat", channel: "a" });
    await clock.advance(29_999);
    equal(socket.take("hotsock.ping").length, 0);
    await clock.advance(1);
    equal(socket.take("hotsock.ping").length, 1);
    socket.say({ event: "hotsock.pong", data: "{}" });
    await clock.advance(30_000);
    equal(socket.take("hotsock.ping").length, 1);
    await clock.advance(9_999);
    equal(client.state, "connected");
    await clock.advance(1);
    equal([client.state, socket.closedByClient], ["disconnected", true]);
    // What the given-up socket still says is not for anybody.
    socket.say({ event: "chat", channel: "a" });
    socket.onclose({ type: "close", code: 1006 });
    await clock.advance(250);
    equal([client.state, FakeSocket.all.length], ["connecting", 2]);
  },

  async "an attempt that hangs is given up"() {
    const client = start({ connectTimeoutMs: 3_000 });
    const errors = [];
    client.bind("@@error", ({ code }) => errors.push(code));
    await settle();
    FakeSocket.last.readyState = 1;
    FakeSocket.last.onopen({ type: "open" });
    await clock.advance(2_999);
    equal(client.state, "connecting");
    await clock.advance(1);
    equal([client.state, errors], ["disconnected", ["CONNECT_FAILED"]]);
    await clock.advance(250);
    FakeSocket.last.accept();
    await clock.advance(60_000);
    equal([client.state, FakeSocket.all.length], ["connected", 2]);
  },

  async "one that is given up may be begun anew by whoever is told"() {
    const client = start({ connectTimeoutMs: 3_000 });
    const again = client.bind("@@error", () => {
      again.unbind();
      client.suspend();
      client.resume();
    });
    await clock.advance(3_000);
    await settle();
    equal([client.state, FakeSocket.all.length], ["connecting", 2]);
    FakeSocket.last.accept();
    await clock.advance(60_000);
    equal([client.state, FakeSocket.all.length], ["connected", 2]);
  },

  async "a connection that was given up does not end the next one"() {
    const client = await connected({ pingIntervalMs: 30_000, pongTimeoutMs: 10_000 });
    const suspend = client.bind("@@messageSent", () => {
      suspend.unbind();
      client.suspend();
    });
    await clock.advance(30_000);
    equal(client.state, "suspended");
    client.resume();
    await settle();
    FakeSocket.last.accept();
    for (let second = 0; second < 300; second += 1) {
      await clock.advance(1_000);
      FakeSocket.last.say({ event: "chat", channel: "a" });
    }
    equal([FakeSocket.last.take("hotsock.ping").length, FakeSocket.all.length], [0, 2]);
  },

  async "a connect token is asked for twice, then later again"() {
    let calls = 0;
    const errors = [];
    const connectTokenFn = async () => {
      calls += 1;
      if (calls === 1) throw new Error("not now");
      return calls === 2 ? "no token" : JWT;
    };
    const client = start({ connectTokenFn });
    client.bind("@@error", (error) => errors.push(error instanceof FanfareError && error.code));
    await clock.advance(500);
    equal([calls, errors, FakeSocket.all.length], [2, ["TOKEN_UNAVAILABLE"], 0]);
    await clock.advance(250);
    equal([calls, FakeSocket.all.length], [3, 1]);
  },

  async "a connect token function that hangs is given up"() {
    let calls = 0;
    const connectTokenFn = () => {
      calls += 1;
      return new Promise(() => {});
    };
    start({ connectTokenFn, connectTimeoutMs: 1_000, connectTokenFnMaxAttempts: 1 });
    await clock.advance(1_000);
    equal(calls, 1);
    await clock.advance(250);
    equal(calls, 2);
  },

  async "a suspended client stays away until it is resumed"() {
    const client = await connected();
    const codes = [];
    client.bind("@@disconnect", ({ code }) => codes.push(code));
    client.bind("chat", () => {}, { channel: "a" });
    client.suspend();
    equal([client.state, codes, FakeSocket.last.closedByClient], ["suspended", [1000], true]);
    throws(() => client.sendMessage("chat", { channel: "a" }), "NOT_CONNECTED");
    dispatchEvent(new Event("online"));
    await clock.advance(120_000);
    equal(FakeSocket.all.length, 1);
    client.resume();
    client.resume();
    await settle();
    FakeSocket.last.accept();
    equal([FakeSocket.all.length, subscribes()], [2, ["a"]]);
  },

  async "a client suspended for want of a token stays suspended"() {
    const client = start({
      connectTokenFnMaxAttempts: 1,
      connectTokenFn: () => {
        throw new Error("forbidden");
      },
    });
    client.bind("@@error", client.suspend);
    await clock.advance(120_000);
    equal([client.state, FakeSocket.all.length], ["suspended", 0]);
  },

  async "a terminated client forgets its bindings"() {
    const client = await connected();
    let disconnects = 0;
    client.bind("@@disconnect", () => (disconnects += 1));
    client.bind("chat", () => {}, { channel: "a" });
    client.terminate();
    equal(disconnects, 1);
    client.resume();
    await settle();
    FakeSocket.last.accept();
    FakeSocket.last.drop();
    equal([subscribes(), disconnects], [[], 1]);
  },

  async "the HTTP API is called for this connection"() {
    const calls = [];
    const fetch = async (url, { method, body }) => {
      calls.push([method, url, JSON.parse(body)]);
      return new Response('{"messages":[]}', { status: 200 });
    };
    const client = start({ fetch });
    await rejects(client.listMessages("a"), "NOT_CONNECTED", 0);
    await settle();
    FakeSocket.last.accept();
    equal(await client.listMessages("a", { after: "x" }), { messages: [] });
    await client.channels("b").publishMessage("chat", { data: 1, eagerIdGeneration: true });
    const base = "https://broker.example/some/connection";
    const query = "?connectionId=c-1&connectionSecret=s-1";
    equal(calls, [
      ["POST", `${base}/listMessages${query}`, { channel: "a", after: "x" }],
      [
        "POST",
        `${base}/publishMessage${query}`,
        { data: 1, eagerIdGeneration: true, channel: "b", event: "chat" },
      ],
    ]);
    const elsewhere = await connected({ fetch, httpUrl: "https://api.example/c" });
    await elsewhere.http("getChannelInfo");
    equal(calls[2], ["POST", `https://api.example/c/getChannelInfo${query}`, {}]);
  },

  async "what the HTTP API refuses is told with code and status"() {
    const answers = [
      new Response('{"error":{"code":"NOT_SUBSCRIBED","message":"subscribe first"}}', {
        status: 403,
      }),
      new Response("<h1>Bad gateway</h1>", { status: 502 }),
      new Response('{"surprise":1}', { status: 500 }),
      new TypeError("Failed to fetch"),
    ];
    const fetch = async () => {
      const next = answers.shift();
      if (next instanceof Error) throw next;
      return next;
    };
    const client = await connected({ fetch });
    await rejects(client.listMessages("a"), "NOT_SUBSCRIBED", 403);
    await rejects(client.listMessages("a"), "HTTP_ERROR", 502);
    await rejects(client.listMessages("a"), "HTTP_ERROR", 500);
    await rejects(client.listMessages("a"), "NETWORK_ERROR", 0);
  },

  async "a call of the HTTP API ends by its limit or by its caller"() {
    const fetch = (_url, { signal }) =>
      new Promise((_resolve, reject) => {
        const abort = () => reject(new DOMException("aborted", "AbortError"));
        if (signal.aborted) abort();
        signal.addEventListener("abort", abort);
      });
    const client = await connected({ fetch, httpTimeoutMs: 2_000 });
    const slow = rejects(client.listMessages("a"), "TIMEOUT", 0);
    await clock.advance(2_000);
    await slow;
    const controller = new AbortController();
    const aborted = rejects(
      client.http("listMessages", {}, { signal: controller.signal }),
      "ABORTED",
      0,
    );
    controller.abort();
    await aborted;
    await rejects(client.http("listMessages", {}, { signal: controller.signal }), "ABORTED", 0);
  },

  async "no secret is logged"() {
    const lines = [];
    const note = (...details) => lines.push(details.map(String).join(" "));
    const logger = { debug: note, info: note, warn: note, error: note };
    const client = await connected({ logger, logLevel: "debug" });
    client.bind("chat", () => {}, { channel: "a", subscribeTokenFn: () => JWT });
    await settle();
    FakeSocket.last.confirm("a");
    FakeSocket.last.drop();
    equal(lines.length > 0, true);
    for (const secret of [JWT, "s-1"])
      equal(
        lines.filter((line) => line.includes(secret)),
        [],
      );
  },
});
