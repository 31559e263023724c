// Methods that call the client HTTP API for one channel.

/** A client whose calls are noted, and answered with `{}`. */
async function calling() {
  const calls = [];
  const fetch = async (url, { body }) => {
    calls.push([new URL(url).pathname.split("/").at(-1), JSON.parse(body)]);
    return new Response("{}", { status: 200 });
  };
  return { client: await connected({ fetch }), calls };
}

/** A token of which only the claims matter. */
const tokenOf = (claims) => {
  const bytes = new TextEncoder().encode(JSON.stringify(claims));
  const payload = btoa(String.fromCharCode(...bytes));
  return `e30.${payload.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.c2ln`;
};

Object.assign(cases, {
  async "reactions, channel storage and info are asked for by name"() {
    const { client, calls } = await calling();
    const channel = client.channels("a");
    await channel.addReaction("m", "👍");
    await channel.removeReaction("m", "👍");
    await channel.listReactions("m");
    await channel.storage.get("k");
    await channel.storage.set("k", { on: true });
    await channel.storage.set("k", 1, { scheduleExpression: "at(2030-01-01T00:00:00)" });
    await channel.storage.list({ keys: ["k"], after: "j" });
    await channel.storage.list();
    await channel.info();
    const reaction = (action) => ({
      data: { messageId: "m", reaction: "👍", action },
      channel: "a",
      event: "hotsock.messageReaction",
    });
    equal(calls, [
      ["publishMessage", reaction("add")],
      ["publishMessage", reaction("remove")],
      ["listReactions", { messageId: "m", channel: "a" }],
      ["channelStorageGet", { key: "k", channel: "a" }],
      ["channelStorageSet", { key: "k", data: { on: true }, channel: "a" }],
      [
        "channelStorageSet",
        { scheduleExpression: "at(2030-01-01T00:00:00)", key: "k", data: 1, channel: "a" },
      ],
      ["channelStorageList", { keys: ["k"], after: "j", channel: "a" }],
      ["channelStorageList", { channel: "a" }],
      ["getChannelInfo", { channel: "a" }],
    ]);
  },

  async "an updated umd is the one that is shown"() {
    const { client, calls } = await calling();
    for (const name of ["a", "b"]) {
      client.bind("chat", () => {}, { channel: name });
      FakeSocket.last.confirm(name, { meta: { uid: "jim", umd: 1 } });
    }
    const umds = () => [client.umd, client.channels("a").umd, client.channels("b").umd];
    const token = tokenOf({ umd: { name: "Jürgen 👋?>" } });
    await client.channels("a").updateUmd(token);
    equal(umds(), [{ since: 1 }, { name: "Jürgen 👋?>" }, 1]);
    await client.updateUmd(tokenOf({ umd: 2 }));
    equal(umds(), [2, { name: "Jürgen 👋?>" }, 1]);
    await client.updateUmd(tokenOf({ umd: 3, umdPropagate: true }));
    equal(umds(), [3, 3, 3]);
    await client.updateUmd(tokenOf({}));
    equal(client.umd, null);
    equal(calls[0], ["umdUpdate", { channel: "a", token }]);
    equal(calls[1][1], { token: tokenOf({ umd: 2 }) });
  },
});
