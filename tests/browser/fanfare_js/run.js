// Runs all cases, each with a clock and a network of its own.

const results = [];
for (const [name, run] of Object.entries(cases)) {
  clock = new Clock();
  clients = [];
  FakeSocket.all = [];
  const uninstall = clock.install();
  let failure = null;
  try {
    await run();
  } catch (error) {
    failure = `${error?.stack ?? error}`;
  }
  for (const client of clients) client.terminate();
  uninstall();
  results.push({ name, failure });
}
return results;
