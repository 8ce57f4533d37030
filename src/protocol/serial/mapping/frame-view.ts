/**
 * One frame as the entries of a mapping look at it: its text, its JSON, its columns, each made when it is first asked
 * for and once for all of them. Reused; between frames it holds none, but the names of columns that one of them gave.
 */
import { isUtf8 } from "node:buffer";
import { parseExact } from "./exact-json.ts";

const EMPTY = Buffer.alloc(0);
/** JSON.parse gives none of it. */
const NOT_READ = Symbol("not read");
export const NOT_JSON = Symbol("not JSON");

export class FrameView {
  bytes: Buffer = EMPTY;
  /** When its last byte was read. */
  readMs = 0;
  #isText: boolean | null = null;
  #text: string | null = null;
  #json: unknown = NOT_READ;
  /** By separator. */
  readonly #columns = new Map<string, readonly string[]>();
  /** What names the columns of the frames to come. */
  #header = "";
  /** By separator; made when first asked for. */
  readonly #names = new Map<string, readonly string[]>();

  /** @param bytes valid until `close` */
  open(bytes: Buffer): void {
    this.bytes = bytes;
  }

  close(): void {
    this.bytes = EMPTY;
    this.#isText = null;
    this.#text = null;
    this.#json = NOT_READ;
    this.#columns.clear();
  }

  /** The frame says what the columns of those behind it are. */
  keepHeader(): void {
    this.#header = this.text;
    this.#names.clear();
  }

  get isText(): boolean {
    this.#isText ??= isUtf8(this.bytes);
    return this.#isText;
  }

  /** Of bytes that are not UTF-8 each is one character, so that \xFF in a pattern means the byte. */
  get text(): string {
    this.#text ??= this.bytes.toString(this.isText ? "utf8" : "latin1");
    return this.#text;
  }

  /** NOT_JSON when it is none. */
  get json(): unknown {
    if (this.#json !== NOT_READ) return this.#json;
    this.#json = NOT_JSON;
    try {
      if (this.isText) this.#json = parseExact(this.text);
    } catch {
      // It stays NOT_JSON.
    }
    return this.#json;
  }

  /** The values between separators (RFC 4180 quotes; spaces around a value are not part of it). */
  columns(separator: string): readonly string[] {
    return split(this.#columns, this.text, separator);
  }

  /** @returns index of the column that the header calls so, -1 when there is none */
  columnNamed(name: string, separator: string): number {
    return split(this.#names, this.#header, separator).indexOf(name);
  }
}

function split(known: Map<string, readonly string[]>, text: string, separator: string): readonly string[] {
  let columns = known.get(separator);
  if (columns === undefined) {
    columns = splitColumns(text, separator);
    known.set(separator, columns);
  }
  return columns;
}

/** More columns than a field can name stay together in the last one. */
const COLUMNS_MAX = 257;

function splitColumns(text: string, separator: string): string[] {
  const columns: string[] = [];
  let at = 0;
  while (columns.length < COLUMNS_MAX) {
    let from = at;
    while (text[from] === " ") from++;
    let closing = text[from] === '"' ? from : -1;
    if (closing >= 0) {
      do closing = text.indexOf('"', closing + 1);
      while (closing >= 0 && text[closing + 1] === '"' && ++closing > 0);
    }
    let end = text.indexOf(separator, Math.max(closing, at));
    if (end < 0) end = text.length;
    if (closing >= 0) columns.push(text.slice(from + 1, closing).replaceAll('""', '"'));
    else columns.push(text.slice(at, end).trim());
    if (end === text.length) return columns;
    at = end + 1;
  }
  return columns;
}
