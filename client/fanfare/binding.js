/** What `bind` returns: one function bound to one event. */
class Binding {
  #owner;

  constructor(event, messageFn, channelName, subscribeTokenFn, owner) {
    this.event = event;
    this.messageFn = messageFn;
    this.channelName = channelName;
    this.subscribeTokenFn = subscribeTokenFn;
    this.#owner = owner;
  }

  unbind = () => this.#owner.remove();

  /** The channel's present state, where the binding has a channel. */
  get channel() {
    return this.#owner.channel();
  }

  offer(event, message, log) {
    if (this.event instanceof RegExp) {
      this.event.lastIndex = 0; // a `g` or `y` flag would remember the last match
      if (!this.event.test(event)) return;
    } else if (this.event !== event) {
      return;
    }
    this.call(message, log);
  }

  /** One handler's error must not keep the message from the next. */
  call(detail, log) {
    try {
      this.messageFn(detail);
    } catch (error) {
      log.error(`a handler of "${this.event}" failed:`, error);
    }
  }
}
