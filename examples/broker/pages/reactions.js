/** Reactions below messages: those given, and a choice of them. */

/** The tokens of the demo allow these. */
const CHOICES = ["👍", "❤️", "😂", "🎉", "😮", "😢"];

/** For all messages of one list. */
export class Reactions {
  #list;
  #name;
  #toggle;
  #picker = picker();
  /** The button that opened the picker. @type {HTMLElement | undefined} */
  #opener;
  /** The only one of the list's buttons that the tab key comes to. */
  #tabStop;

  /**
   * @param {HTMLElement} list
   * @param {string} name Whose side this is.
   * @param {(id: string, reaction: string) => void} toggle
   */
  constructor(list, name, toggle) {
    this.#list = list;
    this.#name = name;
    this.#toggle = toggle;
    list.addEventListener("click", ({ target }) => this.#clicked(target.closest("button")));
    list.addEventListener("keydown", (event) => this.#pressed(event));
    list.addEventListener("focusout", ({ relatedTarget: next }) => {
      // Some browsers give a clicked button no focus.
      if (next && next !== this.#opener && !this.#picker.contains(next)) this.#close();
    });
  }

  /** The tab key comes to the newest message; arrows go on from there. */
  set newest(node) {
    if (this.#tabStop) this.#tabStop.tabIndex = -1;
    this.#tabStop = node?.querySelector(".react");
    if (this.#tabStop) this.#tabStop.tabIndex = 0;
  }

  /** @param {Map<string, Set<string>>} reactions */
  draw(node, reactions) {
    const given = node.querySelector(".given");
    // Buttons are kept, so that one keeps its focus.
    const buttons = new Map([...given.children].map((each) => [each.dataset.reaction, each]));
    for (const [reaction, names] of reactions) {
      const button = buttons.get(reaction) ?? given.appendChild(choice(reaction));
      buttons.delete(reaction);
      const who = [...names].join(", ");
      button.textContent = `${reaction} ${names.size}`;
      button.title = who;
      button.setAttribute("aria-label", `${reaction} ${names.size}: ${who}`);
      button.setAttribute("aria-pressed", names.has(this.#name));
    }
    for (const button of buttons.values()) button.remove();
  }

  #clicked(button) {
    const { id } = button?.closest(".message")?.dataset ?? {};
    if (button?.dataset.reaction) this.#toggle(id, button.dataset.reaction);
    const opens = button?.classList.contains("react") && button !== this.#opener;
    this.#close(button === this.#opener || this.#picker.contains(button));
    if (opens) this.#open(button);
  }

  #open(button) {
    this.#opener = button;
    button.closest(".line").after(this.#picker);
    button.setAttribute("aria-expanded", "true");
    this.#picker.firstElementChild.focus();
  }

  #close(returns = false) {
    const opener = this.#opener;
    if (!opener) return;
    this.#opener = undefined;
    opener.removeAttribute("aria-expanded");
    if (returns) opener.focus();
    this.#picker.remove();
  }

  #pressed(event) {
    const { key, target } = event;
    if (key === "Escape" && this.#picker.contains(target)) this.#close(true);
    else if (key.startsWith("Arrow") && this.#move(key, target)) event.preventDefault();
  }

  #move(key, target) {
    const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[key];
    const isInPicker = this.#picker.contains(target);
    if (!isInPicker && !target.classList.contains("react")) return false;
    const messages = this.#list.querySelectorAll("[data-id] .react");
    const all = [...(isInPicker ? this.#picker.children : messages)];
    const next = all[all.indexOf(target) + step];
    next?.focus();
    return next !== undefined;
  }
}

function picker() {
  const node = document.createElement("span");
  node.className = "picker";
  node.setAttribute("role", "group");
  node.setAttribute("aria-label", "Reactions");
  node.dataset.testid = "picker";
  node.append(...CHOICES.map(choice));
  return node;
}

function choice(reaction) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.reaction = reaction;
  button.textContent = reaction;
  return button;
}
