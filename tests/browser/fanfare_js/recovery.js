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

/** A history whose pages are what the test says: the messages' numbers. */
class Pages {
  next = [];

  fetch = async () => {
    const messages = (await this.next).map((number) => message(number));
    return new Response(JSON.stringify({ messages }), { status: 200 });
  };

  /** Asks for a page, which comes when what this returns is called. */
  ask(channel, options, numbers) {
    let answer;
    this.next = new Promise((resolve) => (answer = () => resolve(numbers)));
    const listed = channel.listMessages(options);
    return async () => {
      answer();
      await listed;
    };
  }
}

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
    const pages = new Pages();
    const { client, channel } = await following({ fetch: pages.fetch });
    const after = async (options, ...numbers) => {
      pages.next = numbers;
      await channel.listMessages(options);
      await reconnect();
      const [after] = asked_after();
      FakeSocket.last.confirm("a", recovered(true));
      return after === undefined ? undefined : Number(after);
    };
    equal(await after({ reverse: true, before: ID(9) }, 8, 7), undefined, "a page of what is older");
    equal(await after({}), 0, "nothing is there, so that all that comes is missed");
    equal(await after({}, 3, 4), 4);
    equal(await after({ after: ID(4) }, 5, 6), 6, "the next page");
    equal(await after({ after: ID(7) }, 8, 9), 6, "a page from further on");
    equal(await after({ reverse: true }, 9, 8, 7), 6, "one that does not reach back as far");
    equal(await after({ reverse: true }, 9, 8, 7, 6), 9);
    equal(await after({ after: ID(9) }), 9);
    equal(await after({}, 1, 2), 9);
    await client.listMessages("other");
    equal(await after({ after: ID(5) }, 6, 10), 10);
  },

  async "a page hides nothing of what is still to come"() {
    const pages = new Pages();
    const { channel, seen, gaps } = await following({ fetch: pages.fetch });
    pages.next = [9, 8, 7];
    await channel.listMessages({ reverse: true });
    FakeSocket.last.say(message(4));
    await reconnect();
    equal(asked_after(), [ID(4)], "what came live is older than the page");
    FakeSocket.last.confirm("a", recovered(true));
    FakeSocket.last.say(message(5));
    for (const [options, ...numbers] of [
      [{ reverse: true }, 9, 8, 7],
      [{ after: ID(6) }, 7, 8],
      [{ reverse: true, before: ID(7) }, 6],
    ]) {
      pages.next = numbers;
      await channel.listMessages(options);
    }
    await reconnect();
    equal(asked_after(), [ID(5)], "what was missed still came");
    FakeSocket.last.confirm("a", recovered(true));
    for (const number of [6, 7, 8, 9]) FakeSocket.last.say(message(number));
    equal([seen, gaps], [[4, 5, 6, 7, 8, 9], []]);
  },

  async "a page that comes after the connection was lost counts where it leaves no hole"() {
    const pages = new Pages();
    const { channel } = await following({ fetch: pages.fetch });
    FakeSocket.last.say(message(4));
    const newest = pages.ask(channel, { reverse: true }, [9, 8]);
    const first = pages.ask(channel, { after: ID(3) }, [4, 5]);
    const second = pages.ask(channel, { after: ID(5) }, [6, 7]);
    FakeSocket.last.drop();
    await newest();
    await first();
    await clock.advance(250);
    FakeSocket.last.accept();
    equal(asked_after(), [ID(5)]);
    await second();
    FakeSocket.last.confirm("a", recovered(true));
    await reconnect();
    equal(asked_after(), [ID(7)]);
  },

  async "a page that was asked for before a gap does not count after it"() {
    const pages = new Pages();
    const { channel, gaps } = await following({ fetch: pages.fetch });
    const old = pages.ask(channel, {}, [8]);
    await reconnect();
    FakeSocket.last.confirm("a");
    equal(gaps, [{ channel: "a" }]);
    await old();
    await reconnect();
    equal(asked_after(), [undefined]);
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

  async "one that is taken up again before it is left goes on with what came in between"() {
    for (const [came, answer, expected] of [
      [[2, 3], recovered(true), []],
      [[2, 3], recovered(false), [{ channel: "a", after: ID(3) }]],
      [[], {}, []],
    ]) {
      const { client } = await following();
      FakeSocket.last.say(message(1));
      client.unbind("chat", { channel: "a" });
      client.unbind("@@gap", { channel: "a" });
      const [seen, gaps] = [[], []];
      client.bind("@@gap", (gap) => gaps.push(gap), { channel: "a" });
      client.bind("chat", ({ id }) => seen.push(Number(id)), { channel: "a" });
      equal(unsubscribes(), ["a"]);
      for (const number of came) FakeSocket.last.say(message(number));
      FakeSocket.last.say({ event: "hotsock.unsubscribed", channel: "a", data: {} });
      equal(asked_after(), [came.length > 0 ? ID(3) : undefined]);
      FakeSocket.last.confirm("a", answer);
      FakeSocket.last.say(message(5));
      equal([seen, gaps], [[...came, 5], expected]);
    }
  },

  async "what comes with the message upon which it is taken up again counts too"() {
    const { client } = await following();
    const seen = [];
    const everywhere = client.bind("chat", () => {
      everywhere.unbind();
      client.unbind("chat", { channel: "a" });
      client.unbind("@@gap", { channel: "a" });
      client.bind("chat", ({ id }) => seen.push(Number(id)), { channel: "a" });
    });
    FakeSocket.last.say(message(1));
    FakeSocket.last.say({ event: "hotsock.unsubscribed", channel: "a", data: {} });
    equal([seen, asked_after()], [[1], [ID(1)]]);
  },

  async "what came as the client was suspended does not come again"() {
    const { client, seen } = await following();
    client.bind("@@message", () => client.suspend());
    FakeSocket.last.say(message(1));
    client.unbind("@@message");
    client.resume();
    await settle();
    FakeSocket.last.accept();
    equal([seen, asked_after()], [[1], [ID(1)]]);
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
