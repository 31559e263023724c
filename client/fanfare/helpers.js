// ---- helpers without state ----

const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"];

const now = () => performance.now();

function sameEvent(a, b) {
  if (a instanceof RegExp && b instanceof RegExp)
    return a.source === b.source && a.flags === b.flags;
  return a === b;
}

/** The folder that the endpoint `v1` (or `v1/`) is in. */
function directoryOf(url) {
  const directory = new URL(url);
  directory.search = "";
  directory.hash = "";
  directory.pathname = directory.pathname.replace(/[^/]*\/?$/, "");
  return directory;
}

function levelled(logger, level) {
  const least = LOG_LEVELS.indexOf(level);
  if (least < 0) {
    throw new FanfareError("INVALID_ARGUMENT", `logLevel must be one of ${LOG_LEVELS.join(", ")}`);
  }
  const at =
    (name) =>
    (message, ...details) => {
      if (LOG_LEVELS.indexOf(name) >= least) logger[name]?.(`[fanfare] ${message}`, ...details);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Rejects with `TIMEOUT` where the promise takes longer. */
function within(timeoutMs, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new FanfareError("TIMEOUT", `no token within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function answerOf(fetch, url, request, { signal, timeoutMs }) {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, timeoutMs);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  try {
    const response = await fetch(url.href, { ...request, signal: controller.signal });
    const text = await response.text();
    return parsedAnswer(response, text);
  } catch (error) {
    if (error instanceof FanfareError) throw error;
    if (signal?.aborted)
      throw new FanfareError("ABORTED", "the request was aborted", { cause: error });
    if (controller.signal.aborted) {
      throw new FanfareError("TIMEOUT", `no answer within ${timeoutMs} ms`, { cause: error });
    }
    throw new FanfareError("NETWORK_ERROR", "the request failed on its way", { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function parsedAnswer({ ok, status }, text) {
  const answer = parsed(text);
  if (ok && (answer !== undefined || text === "")) return answer;
  const { code = "HTTP_ERROR", message = `answered ${status}` } = answer?.error ?? {};
  throw new FanfareError(code, message, { status });
}

/** What a JWT says, taken at its word: the broker has checked it. */
function claimsOf(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return parsed(new TextDecoder().decode(bytes)) ?? {};
}

/** What the JSON says, `undefined` where it is none. */
function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
