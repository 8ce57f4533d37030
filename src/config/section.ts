/**
 * Reads one mapping of the configuration, key by key. Whatever is wrong becomes a complaint and the default is
 * returned, so that one pass finds everything. Keys that were asked for are the known ones; `finish` complains about
 * the others.
 */
import { isIP } from "node:net";
import { resolve } from "node:path";
import type { Complaint } from "./complaint.ts";
import { nearest } from "./nearest.ts";
import { EMPTY_MAPPING, lineOf, type MappingNode, type Node, type ScalarNode } from "./node.ts";
import { bytesText, durationText, parseBytes, parseDuration } from "./units.ts";

/** What all sections of one configuration share. */
export interface Reading {
  readonly root: MappingNode;
  /** Relative paths start here: the folder of the configuration file. */
  readonly directory: string;
  readonly complaints: Complaint[];
}

export class Section {
  readonly path: string;
  readonly #reading: Reading;
  readonly #node: MappingNode;
  readonly #known = new Set<string>();

  constructor(reading: Reading, node: MappingNode, path: string) {
    this.#reading = reading;
    this.#node = node;
    this.path = path;
  }

  /** Relative paths start here. */
  get directory(): string {
    return this.#reading.directory;
  }

  has(key: string): boolean {
    this.#known.add(key);
    return this.#node.entries.has(key);
  }

  /** All that are there, for mappings whose keys are names. */
  keys(): string[] {
    return [...this.#node.entries.keys()];
  }

  /** Complains about `key`; "" = about the section as a whole. */
  complain(key: string, problem: string, advice: string): void {
    const path = key === "" ? this.path : this.#pathOf(key);
    const line = lineOf(this.#reading.root, path);
    this.#reading.complaints.push({ file: null, path, line, problem, advice });
  }

  text<T extends string | null>(key: string, fallback: T): string | T {
    const scalar = this.#scalar(key);
    if (scalar === null) return fallback;
    if (typeof scalar.value === "string" && scalar.value !== "") return scalar.value;
    if (scalar.value === "" || scalar.value === null) this.complain(key, "is empty", "give a value or remove the key");
    else
      this.complain(
        key,
        `${scalar.source} is a ${typeof scalar.value}, not a text`,
        `put it in quotes: "${scalar.source}"`,
      );
    return fallback;
  }

  /** A text that may stand in a topic, a file name and a log line. */
  name(key: string, fallback: string): string {
    const name = this.text(key, fallback);
    if (/^[\w.:@-]{1,64}$/.test(name)) return name;
    if (this.has(key))
      this.complain(key, `${JSON.stringify(name)} is no name`, "use up to 64 of A-Z a-z 0-9 _ . : @ -");
    return name.replaceAll(/[^\w.:@-]/g, "-").slice(0, 64);
  }

  /** An IP address. */
  address<T extends string | null>(key: string, fallback: T): string | T {
    const address = this.text(key, null);
    if (address === null) return fallback;
    if (isIP(address) !== 0) return address;
    this.complain(key, `${JSON.stringify(address)} is no IP address`, "give one of this machine's addresses");
    return fallback;
  }

  /** A single value as it is written, for keys with a notation of their own; null when absent or not a single value. */
  source(key: string): string | null {
    this.#known.add(key);
    const node = this.#node.entries.get(key)?.node;
    return node?.kind === "scalar" ? node.source : null;
  }

  /** A single value, whatever it is; undefined when absent. */
  value(key: string): string | number | boolean | null | undefined {
    return this.#scalar(key)?.value;
  }

  oneOf<T extends string | number>(key: string, values: readonly T[], fallback: T): T {
    const scalar = this.#scalar(key);
    if (scalar === null) return fallback;
    const found = values.find((value) => value === scalar.value);
    if (found !== undefined) return found;
    const near = nearest(scalar.source, values.map(String));
    const guess = near === null ? "" : near === scalar.source ? "remove the quotes; " : `did you mean ${near}? `;
    this.complain(key, `${quoted(scalar)} is not possible`, `${guess}possible: ${values.join(", ")}`);
    return fallback;
  }

  /** true or false. */
  flag(key: string, fallback: boolean): boolean {
    const scalar = this.#scalar(key);
    if (scalar === null) return fallback;
    if (typeof scalar.value === "boolean") return scalar.value;
    this.complain(key, `${quoted(scalar)} is neither true nor false`, "write true or false");
    return fallback;
  }

  /** A whole number from `min` to `max`. */
  count(key: string, fallback: number, min: number, max: number): number {
    const scalar = this.#scalar(key);
    if (scalar === null) return fallback;
    const value = scalar.value;
    if (typeof value !== "number" || !Number.isSafeInteger(value)) {
      this.complain(key, `${quoted(scalar)} is no whole number`, `give one from ${min} to ${max}`);
      return fallback;
    }
    return this.#inRange(key, value, min, max, fallback, String);
  }

  /** A number from `min` to `max`, whole or not. */
  number(key: string, fallback: number, min: number, max: number): number {
    const scalar = this.#scalar(key);
    if (scalar === null) return fallback;
    const value = scalar.value;
    if (typeof value !== "number" || !Number.isFinite(value)) {
      this.complain(key, `${quoted(scalar)} is no number`, `give one from ${min} to ${max}`);
      return fallback;
    }
    return this.#inRange(key, value, min, max, fallback, String);
  }

  /** Bytes: "64KiB", "30TB"; a bare number is bytes. */
  bytes(key: string, fallback: number, min: number, max: number): number;
  /** Or the word `word`. */
  bytes<T extends string>(key: string, fallback: number | T, min: number, max: number, word: T): number | T;
  bytes(key: string, fallback: number | string, min: number, max: number, word?: string): number | string {
    const scalar = this.#scalar(key);
    if (scalar === null) return fallback;
    if (word !== undefined && scalar.value === word) return word;
    const value = parseBytes(scalar.source);
    if (value === null) {
      const or = word === undefined ? "" : `, or ${word}`;
      this.complain(key, `${quoted(scalar)} is no size`, `write it like 64KiB, 16MiB or 30TB${or}`);
      return fallback;
    }
    return this.#inRange(key, value, min, max, fallback, bytesText);
  }

  /** Milliseconds: "250ms", "10s", "5m", "12h", "7d". */
  duration(key: string, fallback: number, min: number, max: number): number;
  /** Or the word `word`. */
  duration<T extends string>(key: string, fallback: number | T, min: number, max: number, word: T): number | T;
  duration(key: string, fallback: number | string, min: number, max: number, word?: string): number | string {
    const scalar = this.#scalar(key);
    if (scalar === null) return fallback;
    if (word !== undefined && scalar.value === word) return word;
    const value = parseDuration(scalar.source);
    if (value === null) {
      const or = word === undefined ? "" : `, or ${word}`;
      this.complain(key, `${quoted(scalar)} is no duration`, `write it like 250ms, 10s, 5m, 12h or 7d${or}`);
      return fallback;
    }
    return this.#inRange(key, value, min, max, fallback, durationText);
  }

  /** A path, made absolute. */
  file<T extends string | null>(key: string, fallback: T): string | T {
    const path = this.text(key, null);
    return path === null ? fallback : resolve(this.#reading.directory, path);
  }

  /** A list of texts; null when absent. */
  texts(key: string): string[] | null {
    const list = this.#list(key);
    if (list === null) return null;
    const texts: string[] = [];
    for (const [i, item] of list.entries()) {
      if (item.kind === "scalar" && typeof item.value === "string" && item.value !== "") texts.push(item.value);
      else this.complain(`${key}[${i}]`, "is no text", "put it in quotes");
    }
    return texts;
  }

  /** The mapping under `key`; null when absent. */
  section(key: string): Section | null {
    const node = this.#take(key);
    if (node === null) return null;
    if (node.kind === "mapping") return new Section(this.#reading, node, this.#pathOf(key));
    this.complain(key, `is ${kindText(node)} where keys are expected`, "write {key: value, ...} or indented lines");
    return null;
  }

  /** As `section`; an empty one when absent, for sections whose keys all have defaults. */
  sectionOrEmpty(key: string): Section {
    return this.section(key) ?? new Section(this.#reading, EMPTY_MAPPING, this.#pathOf(key));
  }

  /** The mappings in the list under `key`; null when absent. */
  sections(key: string): Section[] | null {
    const list = this.#list(key);
    if (list === null) return null;
    const sections: Section[] = [];
    for (const [i, item] of list.entries()) {
      const at = `${key}[${i}]`;
      if (item.kind === "mapping") sections.push(new Section(this.#reading, item, this.#pathOf(at)));
      else this.complain(at, `is ${kindText(item)} where keys are expected`, "write - {key: value, ...}");
    }
    return sections;
  }

  /** The mappings in the mapping under `key`, with the names that the user gave them; null when absent. */
  namedSections(key: string): [string, Section][] | null {
    const inner = this.section(key);
    if (inner === null) return null;
    const named: [string, Section][] = [];
    for (const name of inner.#node.entries.keys()) {
      const section = inner.section(name);
      if (section !== null) named.push([name, section]);
    }
    return named;
  }

  /** A key of the contract whose part this version does not have. */
  notBuilt(key: string, advice: string): void {
    if (this.#take(key) !== null) this.complain(key, "not built yet", advice);
  }

  /** Whether `key` holds a list; for keys that may be one. */
  isList(key: string): boolean {
    return this.#node.entries.get(key)?.node.kind === "list";
  }

  /** Complains about keys that nobody asked for. */
  finish(): void {
    for (const key of this.#node.entries.keys()) {
      if (this.#known.has(key)) continue;
      const near = nearest(key, this.#known);
      const advice = near === null ? `known keys: ${[...this.#known].join(", ")}` : `did you mean ${near}?`;
      this.complain(key, "unknown key", advice);
    }
  }

  #pathOf(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`;
  }

  #take(key: string): Node | null {
    this.#known.add(key);
    return this.#node.entries.get(key)?.node ?? null;
  }

  #scalar(key: string): ScalarNode | null {
    const node = this.#take(key);
    if (node === null || node.kind === "scalar") return node;
    this.complain(key, `is ${kindText(node)} where one value is expected`, "is a quote missing?");
    return null;
  }

  #list(key: string): readonly Node[] | null {
    const node = this.#take(key);
    if (node === null) return null;
    if (node.kind === "list") return node.items;
    this.complain(key, `is ${kindText(node)} where a list is expected`, "begin each item with a dash");
    return null;
  }

  #inRange<T>(
    key: string,
    value: number,
    min: number,
    max: number,
    fallback: T,
    text: (n: number) => string,
  ): number | T {
    if (value >= min && value <= max) return value;
    const zero = value === 0 ? " (0 does not mean unlimited)" : "";
    this.complain(key, `${text(value)} is out of range${zero}`, `from ${text(min)} to ${text(max)}`);
    return fallback;
  }
}

function kindText(node: Node): string {
  if (node.kind === "mapping") return "a mapping";
  if (node.kind === "list") return "a list";
  return node.value === null ? "empty" : "a single value";
}

function quoted(scalar: ScalarNode): string {
  return scalar.value === null ? "nothing" : JSON.stringify(scalar.source.slice(0, 80));
}
