/** Tokens of the demo. The broker serves this only while its demo is on. */

/** The chat that the broker's start announces, so that both can be seen side by side. */
const SESSION = "hello";
const NAME = "Console";

/** A token for the demo's conversation. */
export async function demoToken() {
  const response = await fetch("demo/token", {
    method: "POST",
    body: JSON.stringify({ session: SESSION, name: NAME }),
  });
  if (!response.ok) throw new Error(`The demo gave no token: it answered ${response.status}.`);
  return (await response.json()).token;
}
