/** The configuration as a tree that knows its lines; what `yaml.ts` makes and `section.ts` reads. */
export type Node = MappingNode | ListNode | ScalarNode;

export interface MappingNode {
  readonly kind: "mapping";
  readonly line: number;
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface Entry {
  /** Line of the key. */
  readonly line: number;
  readonly node: Node;
}

export interface ListNode {
  readonly kind: "list";
  readonly line: number;
  readonly items: readonly Node[];
}

export interface ScalarNode {
  readonly kind: "scalar";
  readonly line: number;
  readonly value: string | number | boolean | null;
  /** As written, without quotes. */
  readonly source: string;
}

export const EMPTY_MAPPING: MappingNode = { kind: "mapping", line: 0, entries: new Map() };

/** Line of the deepest part of `path` ("listeners[1].tls.cert") that exists; 0 when nothing of it does. */
export function lineOf(root: Node, path: string): number {
  let node: Node = root;
  let line = 0;
  for (const step of path.split(/[.[]/)) {
    if (node.kind === "mapping") {
      const entry: Entry | undefined = node.entries.get(step);
      if (entry === undefined) break;
      line = entry.line;
      node = entry.node;
    } else if (node.kind === "list") {
      const item: Node | undefined = node.items[Number.parseInt(step, 10)];
      if (item === undefined) break;
      line = item.line;
      node = item;
    } else break;
  }
  return line;
}
