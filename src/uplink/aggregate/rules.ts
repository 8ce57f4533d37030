/** Which rules gather, and what their receivers are called in the store. Loaded with every uplink: keep it small. */
import type { ForwardRule } from "../../config/uplink-rules.ts";
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { Store } from "../../core/ports.ts";

/** Kind of the receivers. */
export const AGGREGATE = "aggregate";

type Names = Pick<ForwardRule, "match" | "to">;

export function aggregates({ batch, reduce, onChange }: ForwardRule): boolean {
  return batch !== null || reduce !== null || onChange !== null;
}

/** Receivers of an uplink begin with its name and a #. */
export function receiverName(uplink: string, { match, to }: Names, number: number): string {
  return `${uplink}#${number === 0 ? "" : number}${JSON.stringify([match, to])}`;
}

export function namesOf(receiver: string): Names {
  const [match, to] = JSON.parse(receiver.slice(receiver.indexOf("["))) as [string, string];
  return { match, to };
}

export function receiversOf(store: Store, uplink: string): string[] {
  const names: string[] = [];
  store.deleteOthers(AGGREGATE, (name) => {
    if (name.startsWith(`${uplink}#`)) names.push(name);
    return true;
  });
  return names;
}

/** Whether a rule writes CBOR. */
export function writesCbor({ forward }: UplinkConfig): boolean {
  return forward.some(({ batch }) => batch?.format === "senml-cbor");
}

/** Whether an uplink has something to gather, or something that was gathered under an earlier configuration. */
export function hasAggregation({ name, forward }: UplinkConfig, store: Store): boolean {
  return forward.some(aggregates) || receiversOf(store, name).length > 0;
}
