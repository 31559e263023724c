/** The connection's subscriptions, as the broker tells of them. */

import { button, element } from "./elements.js";

/** So many members are shown by name. */
const MAX_MEMBERS = 100;

export class Subscriptions {
  #list;
  #select;
  #unsubscribe;
  /** By channel; a `Map` has no surprising names. @type {Map<string, object>} */
  #channels = new Map();
  #drawRequested = false;

  /**
   * @param {HTMLElement} list
   * @param {{ select: (channel: string) => void, unsubscribe: (channel: string) => void }} actions
   */
  constructor(list, { select, unsubscribe }) {
    this.#list = list;
    this.#select = select;
    this.#unsubscribe = unsubscribe;
  }

  get names() {
    return [...this.#channels.keys()];
  }

  clear() {
    this.#channels.clear();
    this.#list.replaceChildren();
  }

  /** Takes a message in that may tell of a subscription. */
  take({ event, channel, data, meta }) {
    switch (event) {
      case "hotsock.subscribed":
        this.#add(channel, data ?? {}, meta ?? {});
        break;
      case "hotsock.unsubscribed":
        this.#channels.get(channel)?.node.remove();
        this.#channels.delete(channel);
        break;
      case "hotsock.memberAdded":
      case "hotsock.memberUpdated":
      case "hotsock.memberRemoved":
        if (this.#channels.has(channel)) this.#channels.get(channel).members = data.members;
        this.#drawSoon();
        break;
    }
  }

  #add(channel, { members, autoSubscribed, recovered }, { channelAlias, uid, umd }) {
    const facts = [
      channelAlias && `alias ${channelAlias}`,
      uid != null && `as ${uid}`,
      umd != null && `umd ${JSON.stringify(umd)}`,
      autoSubscribed && "by the token itself",
      recovered === true && "recovered",
      recovered === false && "not recovered: something may be missing",
    ];
    const people = element("ul", { className: "members", hidden: !members });
    people.setAttribute("aria-label", `Members of ${channel}`);
    const leave = button("Unsubscribe", () => this.#unsubscribe(channel));
    leave.setAttribute("aria-label", `Unsubscribe from ${channel}`);
    const use = button(channel, () => this.#select(channel));
    use.title = "Use this channel below";
    use.className = "name";
    const about = element("span", {}, facts.filter(Boolean).join(", "));
    const node = element("li", {}, use, about, leave, people);
    node.dataset.channel = channel;
    this.#channels.get(channel)?.node.remove();
    this.#channels.set(channel, { node, people, members });
    this.#list.append(node);
    this.#drawSoon();
  }

  /** A crowd comes and goes faster than anybody could read it. */
  #drawSoon() {
    if (this.#drawRequested) return;
    this.#drawRequested = true;
    requestAnimationFrame(() => {
      this.#drawRequested = false;
      for (const { people, members = [] } of this.#channels.values()) drawMembers(people, members);
    });
  }
}

function drawMembers(people, members) {
  const shown = members.slice(0, MAX_MEMBERS).map(({ uid, umd }) => {
    const about = umd == null ? "" : ` ${JSON.stringify(umd)}`;
    return element("li", {}, `${uid}${about}`);
  });
  const others = members.length - shown.length;
  if (others > 0) shown.push(element("li", {}, `and ${others} more`));
  people.replaceChildren(...shown);
}
