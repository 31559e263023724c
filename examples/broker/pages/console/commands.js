/** What the forms say, as frames. Empty fields are left out. */

import { withData } from "./json.js";

/** `undefined` for an object that has nothing in it. */
function orNothing(fields) {
  return Object.values(fields).some((value) => value !== undefined) ? fields : undefined;
}

export function subscribe(channel, { token, after }) {
  const data = orNothing({ token: token?.trim(), after });
  return JSON.stringify({ event: "hotsock.subscribe", channel, data });
}

export function unsubscribe(channel) {
  return JSON.stringify({ event: "hotsock.unsubscribe", channel });
}

export function publish(channel, { event, data, ...fields }) {
  const { scheduleExpression, scheduleExpressionTimezone, eagerIdGeneration } = fields;
  const schedule = { scheduleExpression, scheduleExpressionTimezone };
  return withData({ event, channel, ...schedule, eagerIdGeneration }, data);
}

export function react(channel, { messageId, reaction, action }) {
  const data = { messageId, reaction, action };
  return JSON.stringify({ event: "hotsock.messageReaction", channel, data });
}

export function getStored(channel, { key }) {
  return JSON.stringify({ event: "hotsock.channelStorageGet", channel, key });
}

export function setStored(channel, { key, data, ...fields }) {
  const { scheduleExpression, scheduleExpressionTimezone } = fields;
  const schedule = { scheduleExpression, scheduleExpressionTimezone };
  return withData({ event: "hotsock.channelStorageSet", channel, key, ...schedule }, data);
}

export function updateUmd(channel, { token, whole }) {
  const where = whole ? undefined : channel;
  const data = { token: token.trim() };
  return JSON.stringify({ event: "hotsock.umdUpdate", channel: where, data });
}
