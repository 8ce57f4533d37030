/** The modes of `sync` as numbers: when whoever waits is told, and how soon what was written has to be on the medium. */
import type { SyncMode } from "../config/store.ts";
import type { Message } from "../core/message.ts";

/** `off`: told after the commit; on the medium at the next checkpoint. */
export const AT_CHECKPOINT = 0;
/** `normal`: told after the commit; on the medium within five seconds. */
export const WITHIN_SECONDS = 1;
/** `full`: told when it is on the medium. */
export const ON_MEDIUM = 2;

export type Level = typeof AT_CHECKPOINT | typeof WITHIN_SECONDS | typeof ON_MEDIUM;

const LEVELS: Record<SyncMode, Level> = { off: AT_CHECKPOINT, normal: WITHIN_SECONDS, full: ON_MEDIUM };

export function levelOfMode(sync: SyncMode): Level {
  return LEVELS[sync];
}

/** Of a message: its topic's own, or else the store's. */
export function levelOf(message: Message, storeLevel: Level): Level {
  const own = message.durability === null ? null : message.durability.sync;
  return own === null ? storeLevel : LEVELS[own];
}
