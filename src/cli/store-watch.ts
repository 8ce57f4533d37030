/**
 * Finds out when a restart would bring back a store that has failed: when a file beside it can be written and synced.
 * Until then the gateway goes on with what needs no disk, and a supervisor that starts it again and again would only
 * interrupt that.
 */
import fs from "node:fs";
import { join } from "node:path";

const EVERY_MS = 30_000;
const PROBE_NAME = "sluice.probe";

/**
 * Resolves when the store has failed and its disk works again, half a minute or more after the failure.
 * @param failed  asked every 30 s
 */
export function storeRestartable(dataDir: string, failed: () => boolean): Promise<void> {
  const file = join(dataDir, PROBE_NAME);
  let seen = false;
  let probing = false;
  return new Promise((resolve) => {
    const timer = setInterval(async () => {
      if (probing || !failed()) return;
      if (!seen) {
        seen = true;
        return;
      }
      probing = true;
      if (await canStore(file)) {
        clearInterval(timer);
        resolve();
      }
      probing = false;
    }, EVERY_MS);
    timer.unref();
  });
}

async function canStore(file: string): Promise<boolean> {
  try {
    const handle = await fs.promises.open(file, "w", 0o600);
    try {
      await handle.write(Buffer.alloc(4096, 1));
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await fs.promises.rm(file, { force: true });
    return true;
  } catch {
    return false;
  }
}
