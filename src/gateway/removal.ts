/** Receivers that a reload replaces or removes: what waited for those that are no more is given up, counted and told. */
import { topicAt } from "../core/ports.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** What waited for a receiver that is no more. */
export interface GivenUp {
  readonly messages: number;
  readonly bytes: number;
}

/** Those of one section of the configuration. */
export interface Removable {
  /** For ledger and log. */
  readonly word: "uplink" | "serial";
  /** Of their receivers in the store. */
  readonly kinds: readonly string[];
  /** Name of its entry in the configuration, by the receiver's. */
  nameOf(receiver: string): string;
}

/** Resolves when everything that was entered in the store is stored, or never will be. */
export function settled({ store }: Pick<Rooms, "store">): Promise<void> {
  return new Promise((resolve) => store.barrier({ onStored: () => resolve() }, 0));
}

/** Deletes the receivers of the entries for whose name `keep` says no. */
export function giveUp(
  { store, ledger }: Pick<Rooms, "store" | "ledger">,
  { log, clock }: Pick<Ground, "log" | "clock">,
  { word, kinds, nameOf }: Removable,
  keep: (name: string) => boolean,
): GivenUp {
  const sums = new Map<string, GivenUp>();
  const isKept = (kind: string, receiver: string): boolean => {
    const name = nameOf(receiver);
    if (keep(name)) return true;
    const record = store.loadReceiver(kind, receiver);
    const { count = 0, bytes = 0 } = record ?? {};
    if (record !== null && count > 0) {
      const topic = (): string => topicAt(store, record.id, record.headSeq);
      ledger.record(`${word}:${name}`, topic, "removed", clock.wallMs(), count);
    }
    const sum = sums.get(name) ?? { messages: 0, bytes: 0 };
    sums.set(name, { messages: sum.messages + count, bytes: sum.bytes + bytes });
    return false;
  };
  for (const kind of kinds) store.deleteOthers(kind, (receiver) => isKept(kind, receiver));
  let all: GivenUp = { messages: 0, bytes: 0 };
  for (const [name, { messages, bytes }] of sums) {
    all = { messages: all.messages + messages, bytes: all.bytes + bytes };
    const say = messages > 0 ? log.warn : log.info;
    say.call(log, `${word}-removed`, { [word]: name, messagesGivenUp: messages, bytesGivenUp: bytes });
  }
  return all;
}
