// Loaded into the gateway's process by `--import`, with `--expose-gc`: answers the soak on a unix socket of its own, so
// that the product needs no door for it. Plain JavaScript: the type stripper would add 18 MB to what is measured.
//
//     -> "memory"          <- {"heapUsed":...,"timeouts":...}    after two full collections; "heapTotal" is before
//     -> "snapshot FILE"   <- {"snapshot":FILE}
//     -> "as-shipped"      <- {}                                 the compiler waits as the launcher has it wait
//
// Until then V8 compiles what is used as soon as it would after hours: a function becomes machine code after 20,000 calls,
// many of them long after a warm-up, and 186 of them took 1 MB of heap, which a soak would take for a leak.
import { createServer } from "node:net";
import { getHeapSpaceStatistics, setFlagsFromString, writeHeapSnapshot } from "node:v8";

const HURRIED_CALLS = 500;
const SHIPPED_CALLS = /--invocation-count-for-turbofan=(\d+)/.exec(process.execArgv.join(" "))?.[1];

// The child that reads the configuration inherits the flags.
if (process.argv.includes("run")) {
  listen(process.env.SLUICE_PROBE);
  compileAfter(HURRIED_CALLS);
}

function listen(path) {
  const server = createServer((socket) => {
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    socket.on("data", async (line) => {
      const [verb, file] = line.trim().split(" ");
      socket.end(`${JSON.stringify(await answer(verb, file))}\n`);
    });
  });
  server.listen(path);
  server.unref();
}

async function answer(verb, file) {
  if (verb === "snapshot") return { snapshot: writeHeapSnapshot(file) };
  if (verb === "memory") return await memory();
  if (SHIPPED_CALLS !== undefined) compileAfter(SHIPPED_CALLS);
  return {};
}

function compileAfter(calls) {
  setFlagsFromString(`--invocation-count-for-turbofan=${calls}`);
}

/** Where V8 has machine code, and what it needs to leave it again. */
const CODE_SPACES = new Set(["code_space", "code_large_object_space", "trusted_space", "trusted_large_object_space"]);

async function memory() {
  const { heapTotal } = process.memoryUsage();
  for (let i = 0; i < 2; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve)); // finalizers run between two turns
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const code = getHeapSpaceStatistics()
    .filter(({ space_name }) => CODE_SPACES.has(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0);
  const timeouts = process.getActiveResourcesInfo().filter((type) => type === "Timeout").length;
  return { heapTotal, heapUsed, code, external, arrayBuffers, timeouts };
}
