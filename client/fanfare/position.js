const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
/** No message has it: all are newer. */
const LEAST_ID = "0".repeat(26);

/**
 * How far a channel is known: its handlers have been given, live or by a page, all that there is
 * from where they began up to here.
 */
class Position {
  /** The newest message up to which that is so. @type {string | undefined} */
  id;
  /** A subscription was confirmed, so that messages may have been missed since. */
  isSubscribed = false;

  get isKnown() {
    return this.isSubscribed || this.id !== undefined;
  }

  /**
   * A message came live, and so all before it. That it is older than a page which was read before
   * says that what is between it and the page is still to come.
   */
  came(id) {
    if (ULID.test(id)) this.id = id;
  }

  /** A page was read. It counts where it leaves no hole between what came before and itself. */
  listed(messages, { after, before, reverse }) {
    if (reverse && before) return; // what is older says nothing of where to go on
    const from = (reverse ? messages.at(-1)?.id : after) || LEAST_ID;
    const to = messages.at(reverse ? 0 : -1)?.id ?? from;
    const leavesHole = this.id < from;
    const isNewer = this.id === undefined || this.id < to;
    if (ULID.test(to) && isNewer && !leavesHole) this.id = to;
  }
}
