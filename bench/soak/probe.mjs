// Loaded into the gateway's process by `--import`, with `--expose-gc`: answers the soak on a unix socket of its own, so
// that the product needs no door for it. Plain JavaScript: the type stripper would add 18 MB to what is measured.
//
//     -> "memory"          <- {"heapUsed":...,"timeouts":...}    after two full collections
//     -> "snapshot FILE"   <- {"snapshot":FILE}
import { createServer } from "node:net";
import { writeHeapSnapshot } from "node:v8";

// The child that reads the configuration inherits the flags.
if (process.argv.includes("run")) listen(process.env.SLUICE_PROBE);

function listen(path) {
  const server = createServer((socket) => {
    socket.setEncoding("utf8");
    socket.on("error", () => {});
    socket.on("data", async (line) => {
      const [verb, file] = line.trim().split(" ");
      socket.end(`${JSON.stringify(verb === "snapshot" ? { snapshot: writeHeapSnapshot(file) } : await memory())}\n`);
    });
  });
  server.listen(path);
  server.unref();
}

async function memory() {
  for (let i = 0; i < 2; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve)); // finalizers run between two turns
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  const timeouts = process.getActiveResourcesInfo().filter((type) => type === "Timeout").length;
  return { heapUsed, external, arrayBuffers, timeouts };
}
