/** The modes of `sync` as numbers: when whoever waits is told, and how soon what was written has to be on the medium. */
import type { SyncMode } from "../config/store.ts";
import type { Message } from "../core/message.ts";
import { DELIVERY_QOS } from "../core/receiver.ts";

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

/** What a store goes by. */
export interface Levels {
  /** Of messages whose topic has no `sync` of its own. */
  readonly plain: Level;
  /**
   * The highest that any message may have. Barriers, and what goes out at QoS 2, have it too: a message that a power cut
   * takes back, while its receiver knows its packet id, would make the receiver take the next one for a copy of it. And
   * a release that is taken back would make the gateway do so.
   */
  readonly highest: Level;
}

/** Of a message: its topic's own, or else the store's. */
export function levelOf(message: Message, { plain }: Levels): Level {
  const own = message.durability === null ? null : message.durability.sync;
  return own === null ? plain : LEVELS[own];
}

/** How soon it has to be on the medium, whenever its publisher is told. */
export function syncLevelOf(message: Message, levels: Levels): Level {
  const level = levelOf(message, levels);
  return level < levels.highest && message.receiverOptions.some(isQos2) ? levels.highest : level;
}

function isQos2(options: number): boolean {
  return (options & DELIVERY_QOS) === 2;
}
