/** What the codes say with which a connection is closed (RFC 6455, and the broker's own). */

const MEANINGS = {
  1000: "a normal end",
  1001: "the connection reached its maximum age, or was idle for too long; connect again",
  1002: "something was no WebSocket frame as RFC 6455 wants it",
  1005: "closed without a code",
  1006: "the connection was lost, without a word from the broker",
  1007: "a text frame was no valid UTF-8",
  1008: "against the rules of the broker, or of a proxy in front of it",
  1009: "a frame was too big; the broker takes 64 KiB unless it is told otherwise",
  1011: "something failed in the broker, or in a proxy in front of it",
  1012: "the broker is restarting; connect again",
  1013: "the broker's storage fails; connect again later",
  4403: "an operator ended the connection, or its token was revoked",
  4408: "a heartbeat was missed that the token asks for",
  4429: "this client read more slowly than the broker had things to say",
};

export function meaningOf(code) {
  return MEANINGS[code] ?? (code >= 4000 ? "a code of the application's" : "an unusual code");
}
