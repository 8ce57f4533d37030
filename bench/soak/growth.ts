/** What there is more of in a later heap snapshot: bytes and objects by class, the largest growth first. */
import { readFileSync } from "node:fs";

interface Snapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly [readonly string[]] };
  };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

interface Held {
  count: number;
  bytes: number;
}

/** Node types whose name is their content: counted by type. */
const UNNAMED = new Set(["string", "concatenated string", "sliced string", "regexp", "number", "symbol", "bigint"]);

/** @returns rows of class, objects and bytes more */
export function growth(before: string, after: string, rows: number): string[][] {
  const old = heldIn(before);
  const grown: [string, Held][] = [];
  for (const [name, { count, bytes }] of heldIn(after)) {
    const was = old.get(name) ?? { count: 0, bytes: 0 };
    if (bytes > was.bytes) grown.push([name, { count: count - was.count, bytes: bytes - was.bytes }]);
  }
  grown.sort(([, a], [, b]) => b.bytes - a.bytes);
  return grown.slice(0, rows).map(([name, { count, bytes }]) => [name, String(count), String(bytes)]);
}

function heldIn(file: string): Map<string, Held> {
  const { snapshot, nodes, strings } = JSON.parse(readFileSync(file, "utf8")) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt, sizeAt] = ["type", "name", "self_size"].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ];
  const held = new Map<string, Held>();
  for (let at = 0; at < nodes.length; at += fields.length) {
    const type = types[0][nodes[at + typeAt] as number] as string;
    const name = UNNAMED.has(type) ? type : `${type} ${(strings[nodes[at + nameAt] as number] ?? "").slice(0, 60)}`;
    const sum = held.get(name) ?? { count: 0, bytes: 0 };
    sum.count++;
    sum.bytes += nodes[at + sizeAt] as number;
    held.set(name, sum);
  }
  return held;
}
