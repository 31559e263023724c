// Catching up after a time without connection.

const ID = (number) => String(number).padStart(26, "0");

/** Loses the connection, and has the next one accepted. */
async function reconnect() {
  const lost = FakeSocket.last;
  lost.drop();
  while (FakeSocket.last === lost) await clock.advance(250);
  FakeSocket.last.accept();
  await settle();
}

const message = (number, channel = "a") => ({ event: "chat", id: ID(number), channel });
/** What the newest connection's subscribes said beside the channel. */
const asked_after = () => FakeSocket.last.take("hotsock.subscribe").map(({ data }) => data?.after);

/** A client with one channel, what it gets there, and the gaps that it is told of. */
async function following(options) {
  const client = await connected(options);
  const seen = [];
  const gaps = [];
  const channel = client.channels("a");
  channel.bind("chat", ({ id }) => seen.push(Number(id)));
  channel.bind("@@gap", (gap) => gaps.push(gap));
  equal(asked_after(), [undefined]);
  FakeSocket.last.confirm("a");
  return { client, channel, seen, gaps };
}

const recovered = (yes) => ({ data: { recovered: yes } });

Object.assign(cases, {
  async "a channel goes on where it was left"() {
    const { seen, gaps } = await following();
    FakeSocket.last.say(message(1));
    FakeSocket.last.say({ event: "hotsock.messageReactionAdded", id: ID(2), channel: "a" });
    await reconnect();
    equal(asked_after(), [ID(2)]);
    FakeSocket.last.confirm("a", recovered(true));
    FakeSocket.last.say(message(3));
    await reconnect();
    equal(asked_after(), [ID(3)]);
    equal([seen, gaps], [[1, 3], []]);
  },

  async "what was known before comes to nobody twice"() {
    const { seen } = await following();
    FakeSocket.last.say(message(5));
    await reconnect();
    FakeSocket.last.confirm("a", recovered(true));
    for (const number of [4, 5, 6, 7]) FakeSocket.last.say(message(number));
    equal(seen, [5, 6, 7]);
  },

  async "a gap is told to the channel's handlers and to everybody's"() {
    const { client, gaps } = await following();
    const everybody = [];
    client.bind("@@gap", ({ channel }) => everybody.push(channel));
    FakeSocket.last.say(message(1));
    for (const answer of [recovered(false), {}]) {
      await reconnect();
      FakeSocket.last.confirm("a", answer);
    }
    const gap = { channel: "a", after: ID(1) };
    equal([gaps, everybody], [
      [gap, { channel: "a" }],
      ["a", "a"],
    ]);
  },

  async "after a gap, whatever comes is new, even where ids went back"() {
    const { seen } = await following();
    FakeSocket.last.say(message(5));
    await reconnect();
    FakeSocket.last.confirm("a", recovered(false));
    for (const number of [2, 3]) FakeSocket.last.say(message(number));
    equal(seen, [5, 2, 3]);
    await reconnect();
    equal(asked_after(), [ID(3)]);
  },

  async "without an id to go on from, a gap is told"() {
    const { gaps } = await following();
    await reconnect();
    equal(asked_after(), [undefined]);
    FakeSocket.last.confirm("a");
    equal(gaps, [{ channel: "a" }]);
  },

  async "a page of the history tells where to go on"() {
    let messages = [];
    const fetch = async () => new Response(JSON.stringify({ messages }), { status: 200 });
    const { client, channel } = await following({ fetch });
    const after = async (options) => {
      await channel.listMessages(options);
      await reconnect();
      const [after] = asked_after();
      FakeSocket.last.confirm("a", recovered(true));
      return after === undefined ? undefined : Number(after);
    };
    equal(await after({}), 0, "nothing is there, so that all that comes is missed");
    messages = [message(3), message(4)];
    equal(await after({}), 4);
    messages = [message(8), message(7)];
    equal(await after({ reverse: true, before: ID(9) }), 4, "a page of what is older");
    equal(await after({ reverse: true }), 8);
    messages = [];
    equal(await after({ after: ID(6) }), 8);
    messages = [message(9)];
    await client.listMessages("other");
    equal(await after({ reverse: true }), 9);
  },

  async "a channel that is left and taken up again begins anew"() {
    const { client, gaps } = await following();
    FakeSocket.last.say(message(1));
    client.unbind("chat", { channel: "a" });
    client.unbind("@@gap", { channel: "a" });
    FakeSocket.last.say(message(2));
    FakeSocket.last.say({ event: "hotsock.unsubscribed", channel: "a", data: {} });
    client.bind("@@gap", (gap) => gaps.push(gap), { channel: "a" });
    equal(asked_after(), [undefined]);
    FakeSocket.last.confirm("a");
    equal(gaps, []);
  },

  async "one that the server ended goes on"() {
    const { client } = await following();
    FakeSocket.last.say(message(1));
    FakeSocket.last.say({ event: "hotsock.unsubscribed", channel: "a", data: {} });
    client.bind("other", () => {}, { channel: "a" });
    equal(asked_after(), [ID(1)]);
  },

  async "a suspended client catches up, a terminated one begins anew"() {
    const { client } = await following();
    FakeSocket.last.say(message(1));
    client.suspend();
    client.resume();
    await settle();
    FakeSocket.last.accept();
    equal(asked_after(), [ID(1)]);
    client.terminate();
    client.bind("chat", () => {}, { channel: "a" });
    client.resume();
    await settle();
    FakeSocket.last.accept();
    equal(asked_after(), [undefined]);
  },

  async "a channel goes on under its alias"() {
    const client = await connected();
    const gaps = [];
    client.bind("@@gap", (gap) => gaps.push(gap), { channel: "alias" });
    client.bind("chat", () => {}, { channel: "real" }).unbind();
    const meta = { uid: "jim", channelAlias: "alias" };
    FakeSocket.last.confirm("real", { meta });
    FakeSocket.last.say(message(1, "real"));
    await reconnect();
    equal(FakeSocket.last.take("hotsock.subscribe"), [
      { event: "hotsock.subscribe", channel: "alias", data: { after: ID(1) } },
    ]);
    FakeSocket.last.confirm("real", { meta, ...recovered(false) });
    equal(gaps, [{ channel: "real", after: ID(1) }]);
  },

  async "the token and the id go together"() {
    const client = await connected();
    client.bind("chat", () => {}, { channel: "a", subscribeTokenFn: () => JWT });
    await settle();
    FakeSocket.last.confirm("a");
    FakeSocket.last.say(message(1));
    await reconnect();
    equal(FakeSocket.last.take("hotsock.subscribe"), [
      { event: "hotsock.subscribe", channel: "a", data: { token: JWT, after: ID(1) } },
    ]);
  },

  async "what a token subscribes by itself can't go on, which is told"() {
    const client = await connected();
    const gaps = [];
    client.bind("@@gap", ({ channel }) => gaps.push(channel));
    FakeSocket.last.confirm("a", { data: { autoSubscribed: true } });
    equal(gaps, []);
    await reconnect();
    FakeSocket.last.confirm("a", { data: { autoSubscribed: true } });
    equal(gaps, ["a"]);
  },

  async "ids of another kind are not gone on from"() {
    await following();
    FakeSocket.last.say({ event: "chat", id: "m-1", channel: "a" });
    FakeSocket.last.say({ event: "chat", id: 7, channel: "a" });
    await reconnect();
    equal(asked_after(), [undefined]);
  },
});
