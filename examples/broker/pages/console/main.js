/** The console: one connection, made and used by hand. */

import { exactNames, showClaims } from "./claims.js";
import { meaningOf } from "./close_codes.js";
import * as commands from "./commands.js";
import { BrokerError, Connection, holdsSecret, refusalOf } from "./connection.js";
import { demoToken } from "./demo.js";
import { $, describe, moment, suggest } from "./elements.js";
import { FrameLog } from "./frame_log.js";
import { History } from "./history.js";
import { parsed, pretty } from "./json.js";
import { Recent } from "./recent.js";
import { Subscriptions } from "./subscriptions.js";
import { problems, read } from "./token.js";

/** So many message ids are suggested, the newest. */
const MAX_IDS = 20;

const tokenField = $("#token");
const channelField = $("#channel");

/** @type {Connection | undefined} */
let connection;
/** The token last connected with, so that one can connect again; in memory only. */
let token;
let heartbeatTimer;
/** The newest first. @type {string[]} */
let ids = [];

const log = new FrameLog($("#log"), $("#log-note"));
const pages = new History($("#history"), $("#page"), $("#next-page"));
const recent = new Recent($("#recent"), {
  send: (text) => attempt(() => sendRaw(text)),
  edit: (text) => {
    const field = $("[data-command=raw] [name=text]");
    field.value = text;
    field.focus();
  },
});
const subscriptions = new Subscriptions($("#subscriptions"), {
  select: (channel) => {
    channelField.value = channel;
    channelField.focus();
  },
  unsubscribe: (channel) => attempt(() => connection.send(commands.unsubscribe(channel))),
});

// ---- the token ----

/** What is in the token field, read; nothing where that is empty or no JWT. */
function pasted() {
  const text = tokenField.value.trim();
  $("#token-problem").textContent = "";
  if (!text) return undefined;
  try {
    const found = read(text);
    $("#token-problem").textContent = problems(found).join(" ");
    return found;
  } catch ({ message }) {
    $("#token-problem").textContent = message;
    return undefined;
  }
}

function showToken(found) {
  showClaims($("#claims"), found);
  $("#heartbeat").hidden = !found?.claims.heartbeatTimeout;
}

function paste(text) {
  tokenField.value = text;
  pastedAnew();
}

function pastedAnew() {
  showToken(pasted());
  $("#claims").open = true;
}

/** A token in the address is taken once; it must not stay where it can be seen, kept or shared. */
function takeFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token");
  if (found === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (!connection) paste(found);
}

async function useDemoToken() {
  try {
    paste(await demoToken());
    $("#connect-button").focus();
  } catch ({ message }) {
    $("#token-problem").textContent = message;
  }
}

// ---- the connection ----

function connect() {
  const found = pasted();
  if (tokenField.value.trim() && !found) return;
  token = found ?? token;
  if (!token) {
    $("#token-problem").textContent = "Paste a token first.";
    tokenField.focus();
    return;
  }
  $("#closed").textContent = "";
  connection = new Connection(token.token, {
    logged: (kind, text) => log.add(kind, text),
    received,
    closed,
  });
  showState("connecting", "Connecting…");
}

function showState(state, text) {
  const isOpen = state === "connected";
  $("#status").dataset.state = state;
  $("#status").textContent = text;
  $("#commands").disabled = !isOpen;
  $("#connect-button").textContent = connection ? "Disconnect" : "Connect";
  $("#token-entry").hidden = connection !== undefined;
  tokenField.placeholder = token ? "Empty for the same token again" : "";
  $("#demo-token").hidden = !demoToken || connection !== undefined;
}

function connected({ data, meta }) {
  const { connectionId, connectionExpiresAt } = data;
  describe($("#facts"), [
    ["Connection id", connectionId],
    ["Expires", moment(new Date(connectionExpiresAt))],
    ["uid", JSON.stringify(meta.uid)],
    ["umd", JSON.stringify(meta.umd)],
  ]);
  tokenField.value = "";
  $("#token-problem").textContent = "";
  showToken(token);
  $("#claims").open = false;
  const names = exactNames(token);
  channelField.value ||= names.channels[0] ?? "";
  $("[data-command=publish] [name=event]").value ||= names.events[0] ?? "";
  suggest($("#events"), names.events);
  suggestChannels();
  showState("connected", "Connected");
  beatHearts(token.claims.heartbeatTimeout);
}

function beatHearts(timeoutSeconds) {
  if (!timeoutSeconds) return;
  heartbeatTimer = setInterval(() => {
    if (!$("#heartbeats").checked || !connection.isOpen) return;
    connection.send('{"event":"hotsock.heartbeat"}');
  }, timeoutSeconds * 500);
}

async function closed({ code, reason, wasRefused }) {
  clearInterval(heartbeatTimer);
  connection = undefined;
  subscriptions.clear();
  pages.clear();
  $("#facts").replaceChildren();
  const why = `${code}${reason && ` “${reason}”`}: ${meaningOf(code)}`;
  log.add("note", `Closed with ${why}`);
  showState("closed", wasRefused ? "Not connected" : "Closed");
  if (!wasRefused) {
    $("#closed").textContent = `Closed with ${why}.`;
    return;
  }
  const refusal = await refusalOf(token.token);
  if (!connection) $("#token-problem").textContent = [...problems(token), refusal].join(" ");
}

function received(message, text) {
  const { event, channel, id, error } = message;
  if (event === "hotsock.connected") connected(message);
  subscriptions.take(message);
  if (event === "hotsock.subscribed" || event === "hotsock.unsubscribed") suggestChannels();
  if (event === "hotsock.error") showProblem(new BrokerError({ ...error, channel }).message);
  if (event === "hotsock.channelStorageData") $("#stored").textContent = pretty(text);
  if (typeof id === "string") noteIds([id]);
}

function suggestChannels() {
  suggest($("#channels"), [...new Set([...exactNames(token).channels, ...subscriptions.names])]);
}

function noteIds(found) {
  ids = [...new Set([...found, ...ids])].slice(0, MAX_IDS);
}

// ---- the forms ----

const showProblem = (text) => ($("#problem").textContent = text);

/** Does what may fail, and shows why it did. */
async function attempt(act) {
  showProblem("");
  try {
    await act();
  } catch ({ message }) {
    showProblem(message);
  }
}

/** What each form does with its fields. */
const FORMS = {
  subscribe(channel, fields, form) {
    connection.send(commands.subscribe(channel, fields));
    form.elements.token.value = "";
  },

  async publish(channel, { over, ...fields }) {
    if (over !== "http") return connection.send(commands.publish(channel, fields));
    const body = commands.publish(channel, { ...fields, eagerIdGeneration: true });
    const { id } = JSON.parse(await connection.http("publishMessage", body));
    if (id) noteIds([id]);
  },

  react(channel, fields) {
    connection.send(commands.react(channel, fields));
  },

  async storage(channel, fields) {
    if (fields.action === "get") return connection.send(commands.getStored(channel, fields));
    if (fields.action === "set") return connection.send(commands.setStored(channel, fields));
    const body = JSON.stringify({ channel, after: fields.key });
    $("#stored").textContent = pretty(await connection.http("channelStorageList", body));
  },

  async history(channel, fields) {
    if (fields.action === "info") {
      const body = JSON.stringify({ channel });
      $("#info").textContent = pretty(await connection.http("getChannelInfo", body));
      return;
    }
    const isNext = fields.action === "next";
    const page = isNext ? pages.next(connection) : pages.first(connection, channel, fields);
    noteIds(await page);
  },

  umd(channel, fields, form) {
    connection.send(commands.updateUmd(channel, fields));
    form.elements.token.value = "";
  },

  raw(_, { text }) {
    sendRaw(text);
  },
};

function sendRaw(text) {
  connection.send(text);
  if (!holdsSecret(parsed(text))) recent.add(text);
}

/** The fields that are filled in. */
function fieldsOf(form, submitter) {
  const fields = [...new FormData(form, submitter)].filter(([, value]) => value.trim() !== "");
  return Object.fromEntries(fields);
}

function submitted(event) {
  event.preventDefault();
  const { target: form, submitter } = event;
  const fields = fieldsOf(form, submitter);
  const channel = channelField.value.trim() || undefined;
  attempt(() => FORMS[form.dataset.command](channel, fields, form));
}

for (const form of document.querySelectorAll("[data-command]")) {
  form.addEventListener("submit", submitted);
}
// Messages come faster than suggestions are needed.
$("#commands").addEventListener("focusin", ({ target }) => {
  if (target.list === $("#ids")) suggest(target.list, ids);
});
$("#connect").addEventListener("submit", (event) => {
  event.preventDefault();
  if (connection) connection.close();
  else connect();
});
tokenField.addEventListener("input", pastedAnew);
$("#demo-token").addEventListener("click", useDemoToken);
$("#clear").addEventListener("click", () => log.clear());
$("#pause").addEventListener("click", ({ currentTarget }) => {
  log.paused = !log.paused;
  currentTarget.setAttribute("aria-pressed", log.paused);
});
$("#filters").addEventListener("submit", (event) => event.preventDefault());
$("#filters").addEventListener("input", ({ currentTarget }) => {
  log.filter = Object.fromEntries(new FormData(currentTarget));
});
addEventListener("hashchange", takeFromAddress);
showState("idle", "Not connected");
takeFromAddress();
