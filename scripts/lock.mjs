// One installer or builder at a time per working tree.
//
// The lock is an abstract unix socket: the kernel takes it back when its holder dies, so there is no stale lock
// to reason about. Where abstract sockets do not exist (not Linux) there is no lock.
import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "./root.mjs";

const RETRY_MS = 100;
const SAY_AFTER_MS = 1000;

/** Runs `work` while no other process holds the lock of this tree. */
export async function withLock(work) {
  const server = await acquire();
  try {
    return await work();
  } finally {
    server?.close();
  }
}

async function acquire() {
  if (process.platform !== "linux") return undefined;
  const name = `\0sluice-${createHash("sha256").update(ROOT).digest("hex").slice(0, 32)}`;
  const since = Date.now();
  for (let said = false; ; await delay(RETRY_MS)) {
    const outcome = await listen(name);
    if (outcome !== "taken") return outcome;
    if (!said && Date.now() - since > SAY_AFTER_MS) {
      process.stderr.write("sluice: another process installs or builds in this tree, waiting for it\n");
      said = true;
    }
  }
}

function listen(path) {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error) => resolve(error.code === "EADDRINUSE" ? "taken" : undefined));
    server.listen({ path }, () => resolve(server));
  });
}
