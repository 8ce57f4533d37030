/**
 * The door to the `yaml` package, and the only file that imports it: it costs the process about 9 MB, so the gateway
 * itself never does (see cli/child-configuration.ts). YAML 1.2, core schema, one document; anchors, aliases, tags and
 * directives are refused: nothing here needs them, and aliases can make a kilobyte into gigabytes.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from "yaml";
import type { Complaint } from "./complaint.ts";
import { EMPTY_MAPPING, type Entry, type MappingNode, type Node } from "./node.ts";

/** A configuration is a page or two; beyond this it is something else. */
export const CONFIG_BYTES_MAX = 256 * 1024;
/** The first mistakes are the ones to correct; those after them may follow from them. */
const SYNTAX_COMPLAINTS_MAX = 10;
/** The contract nests to five. */
const DEPTH_MAX = 16;

/** @returns the tree, or an empty one with complaints when `text` is no YAML mapping */
export function parseYaml(text: string, complaints: Complaint[]): MappingNode {
  if (Buffer.byteLength(text) > CONFIG_BYTES_MAX) {
    const problem = `is longer than ${CONFIG_BYTES_MAX / 1024} KiB`;
    complaints.push({ file: null, path: "", line: 0, problem, advice: "is it the right file?" });
    return EMPTY_MAPPING;
  }
  const lines = new LineCounter();
  const document = parse(text, lines, complaints);
  if (document === null) return EMPTY_MAPPING;
  const converter = new Converter(lines, complaints);
  if (document.contents === null) return EMPTY_MAPPING;
  const root = converter.convert(document.contents, "", 0);
  if (root?.kind === "mapping") return root;
  if (root?.kind === "scalar" && root.value === null) return EMPTY_MAPPING;
  if (root !== null) {
    const problem = `is ${root.kind === "list" ? "a list" : "a single value"} where keys are expected`;
    complaints.push({
      file: null,
      path: "",
      line: root.line,
      problem,
      advice: 'write lines like "data_dir: /var/lib/sluice"',
    });
  }
  return EMPTY_MAPPING;
}

function parse(text: string, lines: LineCounter, complaints: Complaint[]): Document.Parsed | null {
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false, // the converter complains about them with their path
      version: "1.2",
      schema: "core",
      logLevel: "error",
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    complaints.push({ file: null, path: "", line: 0, problem: TOO_DEEP, advice: "is it the right file?" });
    return null;
  }
  complainAboutSyntax(document, lines, complaints);
  if (document.errors.length > 0) return null;
  if (document.directives.yaml.explicit === true && document.directives.yaml.version !== "1.2") {
    const problem = `%YAML ${document.directives.yaml.version} changes what words mean`;
    complaints.push({ file: null, path: "", line: 1, problem, advice: "remove the line; this is YAML 1.2" });
  }
  return document;
}

/** One per line: an open bracket makes the parser complain about every line after it. */
function complainAboutSyntax(document: Document.Parsed, lines: LineCounter, complaints: Complaint[]): void {
  const blamed = new Set<number>();
  // The converter complains about tags, with their path.
  const warnings = document.warnings.filter(({ code }) => code !== "TAG_RESOLVE_FAILED");
  for (const { code, message, pos } of [...document.errors, ...warnings]) {
    const line = lines.linePos(pos[0]).line;
    if (blamed.has(line) || blamed.size === SYNTAX_COMPLAINTS_MAX) continue;
    blamed.add(line);
    const problem = PROBLEM[code] ?? (/stack/i.test(message) ? TOO_DEEP : `not YAML: ${firstLine(message)}`);
    complaints.push({ file: null, path: "", line, problem, advice: ADVICE[code] ?? "" });
  }
}

const TOO_DEEP = "is nested too deeply to be read";
const PROBLEM: Record<string, string> = { MULTIPLE_DOCS: "a second document begins here" };
const ADVICE: Record<string, string> = {
  MULTIPLE_DOCS: "a configuration is one document",
  TAB_AS_INDENT: "indent with spaces",
  BAD_INDENT: "indent the keys of one section alike, with spaces",
  MISSING_CHAR: "is a quote or bracket not closed?",
};

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
}

class Converter {
  readonly #lines: LineCounter;
  readonly #complaints: Complaint[];

  constructor(lines: LineCounter, complaints: Complaint[]) {
    this.#lines = lines;
    this.#complaints = complaints;
  }

  /** @returns null when it was complained about */
  convert(node: ParsedNode, path: string, depth: number): Node | null {
    const line = this.#lines.linePos(node.range[0]).line;
    if (isAlias(node)) return this.#refuse(line, path, "refers to another place", "write the value out");
    if (node.anchor !== undefined) return this.#refuse(line, path, "has an anchor", "remove the &; write values out");
    if (node.tag !== undefined) return this.#refuse(line, path, `has the tag ${node.tag}`, "remove the tag");
    if (depth > DEPTH_MAX) return this.#refuse(line, path, "is nested too deeply", "is it the right file?");
    if (isMap(node)) return this.#mapping(node, line, path, depth);
    if (isSeq(node)) {
      const items = node.items.map((item, i) => this.convert(item as ParsedNode, `${path}[${i}]`, depth + 1));
      return { kind: "list", line, items: items.filter((item) => item !== null) };
    }
    const value: unknown = node.value;
    const plain =
      value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    if (!plain) return this.#refuse(line, path, "is no value we know", "");
    return { kind: "scalar", line, value, source: typeof value === "string" ? value : (node.source ?? "") };
  }

  #mapping(
    node: ParsedNode & { items: { key: unknown; value: unknown }[] },
    line: number,
    path: string,
    depth: number,
  ): Node {
    const entries = new Map<string, Entry>();
    for (const pair of node.items) {
      const keyNode = pair.key as ParsedNode;
      const keyLine = this.#lines.linePos(keyNode.range[0]).line;
      const key = isScalar(keyNode) ? keyText(keyNode.value) : null;
      if (key === null) {
        this.#refuse(keyLine, path, "has a key that is not a word", "");
        continue;
      }
      const at = path === "" ? key : `${path}.${key}`;
      if (keyNode.anchor !== undefined) this.#refuse(keyLine, at, "has an anchor", "remove the &; write values out");
      const earlier = entries.get(key);
      if (earlier !== undefined) {
        this.#refuse(keyLine, at, `is given twice, first in line ${earlier.line}`, "remove one of them");
        continue;
      }
      const valueNode = pair.value as ParsedNode | null;
      const value: Node | null =
        valueNode === null
          ? { kind: "scalar", line: keyLine, value: null, source: "" }
          : this.convert(valueNode, at, depth + 1);
      if (value !== null) entries.set(key, { line: keyLine, node: value });
    }
    return { kind: "mapping", line, entries };
  }

  #refuse(line: number, path: string, problem: string, advice: string): null {
    this.#complaints.push({ file: null, path, line, problem, advice });
    return null;
  }
}

/** A word, or the number that names something: a topic id. */
function keyText(value: unknown): string | null {
  if (typeof value === "string") return value;
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? String(value) : null;
}
