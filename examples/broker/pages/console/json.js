/** JSON text that is shown and sent as it was written: no number is rounded, no key moved. */

/** Deeper than this, lines are indented no further, so that brackets can't fill the memory. */
const MAX_INDENT = 16;
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** What the JSON says, `undefined` where it is none. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The same text on several lines; what is no JSON stays as it is. */
export function pretty(text) {
  if (parsed(text) === undefined) return text;
  let lines = "";
  let depth = 0;
  let before = "";
  const line = () => `\n${"  ".repeat(Math.min(depth, MAX_INDENT))}`;
  for (const [token] of text.matchAll(TOKENS)) {
    const closes = token === "}" || token === "]";
    const isEmpty = closes && (before === "{" || before === "[");
    if (closes) depth -= 1;
    if (isEmpty || before === "" || token === "," || token === ":") lines += token;
    else if (before === ":") lines += ` ${token}`;
    else if (closes || "{[,".includes(before)) lines += line() + token;
    else lines += token;
    if (token === "{" || token === "[") depth += 1;
    before = token;
  }
  return lines;
}

/**
 * An object as JSON, without what is `undefined`, and with `data` as it was written.
 *
 * @throws {Error} where `data` is no JSON.
 */
export function withData(fields, data) {
  const text = JSON.stringify(fields);
  if (data === undefined) return text;
  try {
    JSON.parse(data);
  } catch ({ message }) {
    throw new Error(`The data must be JSON: ${message}`);
  }
  const end = text === "{}" ? "" : ",";
  return `${text.slice(0, -1)}${end}"data":${data}}`;
}
