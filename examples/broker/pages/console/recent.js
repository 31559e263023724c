/** Frames that were written by hand, to be sent again. */

import { button, element } from "./elements.js";

const MAX_RECENT = 10;

export class Recent {
  #list;
  #actions;
  /** The newest first. @type {string[]} */
  #texts = [];

  /** @param {{ send: (text: string) => void, edit: (text: string) => void }} actions */
  constructor(list, actions) {
    this.#list = list;
    this.#actions = actions;
  }

  add(text) {
    this.#texts = [text, ...this.#texts.filter((other) => other !== text)].slice(0, MAX_RECENT);
    this.#list.replaceChildren(...this.#texts.map((each) => this.#item(each)));
  }

  #item(text) {
    const { send, edit } = this.#actions;
    const buttons = [button("Send again", () => send(text)), button("Edit", () => edit(text))];
    for (const each of buttons) each.setAttribute("aria-label", `${each.textContent}: ${text}`);
    return element("li", {}, element("code", {}, text), ...buttons);
  }
}
