// Bindings, subscriptions, and what comes in.

Object.assign(cases, {
  async "a channel is subscribed as long as it has a binding"() {
    const client = start();
    const first = client.bind("chat", () => {}, { channel: "a" });
    await settle();
    const socket = FakeSocket.last;
    socket.accept();
    const second = client.channels("a").bind(/./, () => {});
    equal(subscribes(), ["a"]);
    equal(first.channel.state, "subscribePending");
    socket.confirm("a", { meta: { uid: "other", umd: null } });
    equal([first.channel.state, first.channel.uid], ["subscribeConfirmed", "other"]);
    equal(client.channels("a").uid, "other");
    first.unbind();
    equal(unsubscribes(), []);
    second.unbind();
    equal(unsubscribes(), ["a"]);
    equal(client.channels("a").state, "unsubscribePending");
    socket.say({ event: "hotsock.unsubscribed", channel: "a", data: {} });
    equal([client.channels("a").state, client.channels("a").members], [undefined, []]);
    equal([subscribes(), unsubscribes()], [[], []]);
  },

  async "bindings that change while an answer is awaited are obeyed after it"() {
    const client = await connected();
    const socket = FakeSocket.last;
    client.bind("chat", () => {}, { channel: "a" }).unbind();
    equal([subscribes(), unsubscribes()], [["a"], []]);
    socket.confirm("a");
    equal(unsubscribes(), ["a"]);
    client.bind("chat", () => {}, { channel: "a" });
    equal(subscribes(), []);
    socket.say({ event: "hotsock.unsubscribed", channel: "a", data: {} });
    equal(subscribes(), ["a"]);
  },

  async "messages reach the bindings that match"() {
    const client = await connected();
    const socket = FakeSocket.last;
    const seen = [];
    const note =
      (mark) =>
      ({ data }) =>
        seen.push(mark + data);
    client.bind("chat", note("everywhere "));
    client.bind(/^ch/g, note("pattern "));
    client.bind("chat", note("a "), { channel: "a" });
    client.bind("other", note("never "), { channel: "a" });
    socket.confirm("a");
    socket.say({ event: "chat", channel: "a", data: 1 });
    socket.say({ event: "chat", channel: "b", data: 2 });
    equal(seen, ["everywhere 1", "pattern 1", "a 1", "everywhere 2", "pattern 2"]);
  },

  async "unbind removes what it names and nothing else"() {
    const client = await connected();
    const seen = [];
    const one = () => seen.push(1);
    const two = () => seen.push(2);
    const three = () => seen.push(3);
    for (const fn of [one, one, two]) client.bind("chat", fn, { channel: "a" });
    client.bind("chat", three);
    client.bind(/chat/, three);
    const say = () => {
      seen.length = 0;
      FakeSocket.last.say({ event: "chat", channel: "a" });
      return seen.join();
    };
    equal(say(), "3,3,1,1,2");
    client.unbind("chat", { channel: "a", messageFn: one });
    client.unbind("chat");
    equal(say(), "3,2");
    client.unbind(/chat/);
    client.channels("a").unbind("chat");
    equal(say(), "");
  },

  async "a handler that fails does not keep the message from others"() {
    const errors = [];
    const logger = { error: (message) => errors.push(message) };
    const client = await connected({ logger, logLevel: "error" });
    let called = 0;
    client.bind("chat", () => {
      throw new Error("mine");
    });
    client.bind("chat", () => (called += 1));
    FakeSocket.last.say({ event: "chat", channel: "a" });
    equal([called, errors.length], [1, 1]);
  },

  async "a subscribe token is fetched for every subscribe"() {
    const calls = [];
    const client = await connected();
    const channel = client.channels("a");
    channel.subscribeTokenFn = async (params) => {
      calls.push(params);
      return JWT;
    };
    channel.bind("chat", () => {});
    await settle();
    equal(FakeSocket.last.take("hotsock.subscribe"), [
      { event: "hotsock.subscribe", channel: "a", data: { token: JWT } },
    ]);
    FakeSocket.last.drop();
    await clock.advance(500);
    FakeSocket.last.accept({ ...CONNECTED, data: { ...CONNECTED.data, connectionId: "c-2" } });
    await settle();
    equal(subscribes(), ["a"]);
    equal(calls, [
      { channel: "a", connectionId: "c-1" },
      { channel: "a", connectionId: "c-2" },
    ]);
  },

  async "a subscribe token that comes too late is not used"() {
    const client = await connected();
    let give;
    const subscribeTokenFn = () => new Promise((resolve) => (give = resolve));
    const binding = client.bind("chat", () => {}, { channel: "a", subscribeTokenFn });
    await settle();
    binding.unbind();
    give(JWT);
    await settle();
    equal([subscribes(), unsubscribes(), client.channels("a").state], [[], [], undefined]);
  },

  async "a subscribe token function that fails is asked again"() {
    let calls = 0;
    const subscribeTokenFn = () => {
      calls += 1;
      if (calls <= 2) throw new Error("not now");
      return JWT;
    };
    const client = await connected();
    const errors = [];
    client.bind("@@error", ({ code }) => errors.push(code));
    client.bind("chat", () => {}, { channel: "a", subscribeTokenFn });
    await clock.advance(500);
    equal(
      [calls, errors, client.channels("a").state],
      [2, ["TOKEN_UNAVAILABLE"], "subscribeFailed"],
    );
    await clock.advance(250);
    equal([calls, subscribes()], [3, ["a"]]);
  },

  async "error codes change a channel's state"() {
    const client = await connected();
    const socket = FakeSocket.last;
    const states = [];
    for (const code of [
      "SUBSCRIBE_PERMISSION_DENIED",
      "INVALID_SUBSCRIBE_TOKEN",
      "PRESENCE_CHANNEL_USER_ID_REQUIRED",
      "ALREADY_SUBSCRIBED",
      "PUBLISH_PERMISSION_DENIED",
      "NOT_SUBSCRIBED",
    ]) {
      client.bind("chat", () => {}, { channel: code });
      socket.fail(code, code);
      states.push(client.channels(code).state);
    }
    equal(states, [
      "subscribeFailed",
      "subscribeFailed",
      "subscribeFailed",
      "subscribeConfirmed",
      "subscribePending",
      "subscribePending",
    ]);
    subscribes();
    // Refused channels are not tried again on this connection.
    await clock.advance(60_000);
    equal(subscribes(), []);
    // One that the broker has lost is.
    socket.confirm("NOT_SUBSCRIBED");
    socket.fail("NOT_SUBSCRIBED", "NOT_SUBSCRIBED");
    equal(subscribes(), ["NOT_SUBSCRIBED"]);
  },

  async "a refused channel is tried again once it was unbound"() {
    const client = await connected();
    const binding = client.bind("chat", () => {}, { channel: "a" });
    FakeSocket.last.fail("a", "SUBSCRIBE_PERMISSION_DENIED");
    subscribes();
    client.bind("other", () => {}, { channel: "a" }).unbind();
    equal(subscribes(), []);
    binding.unbind();
    client.bind("chat", () => {}, { channel: "a" });
    equal(subscribes(), ["a"]);
  },

  async "a subscription that the server ends stays ended until it is wanted anew"() {
    const client = await connected();
    client.bind("chat", () => {}, { channel: "a" });
    FakeSocket.last.confirm("a");
    subscribes();
    FakeSocket.last.say({ event: "hotsock.unsubscribed", channel: "a", data: {} });
    equal([subscribes(), client.channels("a").state], [[], "unsubscribeConfirmed"]);
    client.bind("other", () => {}, { channel: "a" });
    equal(subscribes(), ["a"]);
  },

  async "what the token subscribes by itself is left alone"() {
    const client = await connected();
    FakeSocket.last.confirm("a", { data: { autoSubscribed: true } });
    equal([client.channels("a").state, unsubscribes()], ["subscribeConfirmed", []]);
    const binding = client.bind("chat", () => {}, { channel: "a" });
    equal(subscribes(), []);
    binding.unbind();
    equal(unsubscribes(), ["a"]);
  },

  async "a channel bound by its alias gets what comes under its name"() {
    const client = await connected();
    const seen = [];
    const binding = client.bind("chat", ({ data }) => seen.push(data), { channel: "alias" });
    equal(subscribes(), ["alias"]);
    FakeSocket.last.confirm("real", { meta: { uid: "jim", channelAlias: "alias" } });
    equal(client.channels("alias").state, "subscribeConfirmed");
    FakeSocket.last.say({ event: "chat", channel: "real", data: 1 });
    equal(seen, [1]);
    binding.unbind();
    equal(unsubscribes(), ["alias"]);
    FakeSocket.last.say({
      event: "hotsock.unsubscribed",
      channel: "real",
      data: {},
      meta: { channelAlias: "alias" },
    });
    equal([client.channels("alias").state, client.channels("real").state], [undefined, undefined]);
  },

  async "members are those that the server told last"() {
    const client = await connected();
    const channel = client.channels("presence.a");
    channel.bind(/member/, () => {});
    const members = ["jim", "pam"].map((uid) => ({ uid, umd: null }));
    FakeSocket.last.confirm("presence.a", { data: { members: members.slice(0, 1) } });
    equal(channel.members, members.slice(0, 1));
    for (const [event, now] of [
      ["memberAdded", members],
      ["memberUpdated", members.map((member) => ({ ...member, umd: 1 }))],
      ["memberRemoved", members.slice(1)],
    ]) {
      FakeSocket.last.say({
        event: `hotsock.${event}`,
        channel: "presence.a",
        data: { members: now },
      });
      equal(channel.members, now, event);
    }
  },

  async "messages that are not JSON are passed over"() {
    const client = await connected();
    FakeSocket.last.onmessage({ type: "message", data: "not JSON" });
    FakeSocket.last.onmessage({ type: "message", data: "null" });
    equal(client.state, "connected");
  },
});
