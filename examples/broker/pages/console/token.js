/** Reading tokens. The broker alone verifies them. */

import { moment } from "./elements.js";
import { parsed } from "./json.js";

const PART = /^[\w-]+$/;

/** @typedef {{ token: string, header: object, claims: object }} Token */

/**
 * A token as it is pasted, perhaps with line breaks, or as a header has it.
 *
 * @returns {Token}
 * @throws {Error} where it is no JWT, with what is wrong.
 */
export function read(text) {
  const token = text.replace(/\s+/g, "").replace(/^Bearer/i, "");
  const parts = token.split(".");
  if (parts.length !== 3 || !parts.every((part) => PART.test(part))) {
    throw new Error("This is no JWT, which has three parts of base64url with dots between them.");
  }
  const [header, claims] = parts.map(objectIn);
  if (!header) throw new Error("This is no JWT: its first part is no JSON object in base64url.");
  if (!claims) throw new Error("This is no JWT: its second part is no JSON object in base64url.");
  return { token, header, claims };
}

function objectIn(part) {
  try {
    const binary = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const value = parsed(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Why the broker will not let the token in, as far as that can be seen from here. */
export function problems({ header, claims }, now = Date.now()) {
  const { exp, nbf, scope, connectionId } = claims;
  const scopes = typeof scope === "string" ? scope.split(/\s+/) : [];
  const said = JSON.stringify(scope) ?? "absent";
  return [
    header.alg === "none" && "It has no signature (alg is none).",
    typeof exp !== "number" && "It has no exp, or one that is no number.",
    exp * 1_000 <= now && `It has expired: ${moment(new Date(exp * 1_000))}.`,
    nbf * 1_000 > now && `It is not valid before ${moment(new Date(nbf * 1_000))}.`,
    !scopes.includes("connect") && `Its scope has no “connect”: ${said}.`,
    connectionId != null && "It is for a connection that exists (connectionId), and opens none.",
  ].filter(Boolean);
}
