/** One channel of a client: the client's methods with the channel filled in. */
class Channel {
  #client;
  #state;
  name;

  subscribeTokenFn;

  constructor(client, name, state) {
    this.#client = client;
    this.#state = state;
    this.name = name;
  }

  bind = (event, messageFn) =>
    this.#client.bind(event, messageFn, {
      channel: this.name,
      subscribeTokenFn: this.subscribeTokenFn,
    });

  unbind = (event, { messageFn } = {}) =>
    this.#client.unbind(event, { channel: this.name, messageFn });

  sendMessage = (event, { data } = {}) =>
    this.#client.sendMessage(event, { channel: this.name, data });

  publishMessage = (event, message = {}) =>
    this.#client.publishMessage(event, { ...message, channel: this.name });

  listMessages = (page = {}) => this.#client.listMessages(this.name, page);

  addReaction = (messageId, reaction) => this.#react(messageId, reaction, "add");

  removeReaction = (messageId, reaction) => this.#react(messageId, reaction, "remove");

  listReactions = (messageId) => this.#http("listReactions", { messageId });

  info = () => this.#http("getChannelInfo");

  updateUmd = (token) => this.#client.updateUmd(token, { channel: this.name });

  storage = {
    get: (key) => this.#http("channelStorageGet", { key }),
    set: (key, data, options = {}) => this.#http("channelStorageSet", { ...options, key, data }),
    list: ({ keys, after } = {}) => this.#http("channelStorageList", { keys, after }),
  };

  #react(messageId, reaction, action) {
    return this.publishMessage("hotsock.messageReaction", { data: { messageId, reaction, action } });
  }

  #http(operation, body) {
    return this.#client.http(operation, { ...body, channel: this.name });
  }

  get uid() {
    return this.#state()?.uid;
  }

  get umd() {
    return this.#state()?.umd;
  }

  get members() {
    return this.#state()?.members ?? [];
  }

  get state() {
    return this.#state()?.state;
  }
}
