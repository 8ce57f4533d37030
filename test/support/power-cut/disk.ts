/**
 * What a disk may hold after a power cut, from a record of what a process did (../store-recorder.c).
 *
 * Per file: what is on the medium for sure, and the operations since. A sync that ended well makes sure what was done
 * before it began. Of the rest each block of 512 or 4096 bytes may show any of its versions. A change of size happens
 * or does not, for the whole file. A name in the directory may have any version since the last sync of the directory.
 * A sync that failed leaves what was done before it in the memory of the machine only: processes read it, the medium
 * never gets it, unless somebody writes into the same page again.
 */
import type { Random } from "../../../src/base/random.ts";

interface Write {
  readonly serial: number;
  readonly offset: number;
  readonly data: Buffer;
}
interface Resize {
  readonly serial: number;
  readonly size: number;
}
type Operation = Write | Resize;

interface DiskFile {
  durable: Buffer;
  pending: Operation[];
  /** What a failed sync has dropped. */
  lost: Write[];
}

const PAGE_BYTES = 4096;

interface Name {
  durable: DiskFile | null;
  pending: { readonly serial: number; readonly file: DiskFile | null }[];
}

export interface Event {
  readonly words: readonly string[];
  readonly data: Buffer;
}

export function parseRecord(record: Buffer): Event[] {
  const events: Event[] = [];
  for (let at = 0; at < record.length; ) {
    const end = record.indexOf(0x0a, at);
    if (end < 0) break;
    const words = record.toString("utf8", at, end).split(" ");
    const length = words[0] === "write" || words[0] === "say" ? Number(words.at(-1)) : 0;
    if (end + 1 + length > record.length) break; // cut by the kill
    if (words[0] === "unknown")
      throw new Error(`the recorded process called ${words[1]}, which the recorder does not model`);
    events.push({ words, data: record.subarray(end + 1, end + 1 + length) });
    at = end + 1 + length;
  }
  return events;
}

/** Ways in which unsynced operations may have reached the medium. */
const SHAPES = ["none", "all", "prefix", "torn", "blocks", "all but one", "only one", "subset"] as const;
/** What a killed process leaves: everything it did. */
export type Cut = "power" | "kill";
type Shape = (typeof SHAPES)[number];

export class Disk {
  #serial = 0;
  readonly #names = new Map<string, Name>();
  readonly #byInode = new Map<string, DiskFile>();
  readonly #begun = new Map<string, { inode: string; serial: number }>();

  /** A disk on which everything is safe. */
  static holding(files: ReadonlyMap<string, Buffer>, inodeOf: (name: string) => string): Disk {
    const disk = new Disk();
    for (const [name, durable] of files) {
      const file: DiskFile = { durable, pending: [], lost: [] };
      disk.#byInode.set(inodeOf(name), file);
      disk.#names.set(name, { durable: file, pending: [] });
    }
    return disk;
  }

  /** Name of the file, as the process sees it now; "" = it has none. */
  nameOf(inode: string): string {
    const file = this.#byInode.get(inode);
    for (const name of this.#names.keys()) if (file !== undefined && this.#current(name) === file) return name;
    return "";
  }

  apply(event: Event): void {
    const [kind, a = "", b = ""] = event.words;
    const serial = ++this.#serial;
    if (kind === "create") {
      const file: DiskFile = { durable: Buffer.alloc(0), pending: [], lost: [] };
      this.#byInode.set(a, file);
      this.#link(b, serial, file);
    } else if (kind === "rename") {
      this.#link(b, serial, this.#current(a));
      this.#link(a, serial, null);
    } else if (kind === "unlink") {
      this.#link(a, serial, null);
    } else if (kind === "write") {
      const file = this.#byInode.get(a);
      if (file !== undefined) write(file, { serial, offset: Number(b), data: event.data });
    } else if (kind === "size") {
      this.#byInode.get(a)?.pending.push({ serial, size: Number(b) });
    } else if (kind === "begin") {
      this.#begun.set(a, { inode: b, serial });
    } else if (kind === "end") {
      const begun = this.#begun.get(a);
      this.#begun.delete(a);
      if (begun !== undefined && b === "0") this.#synced(begun.inode, begun.serial);
      else if (begun !== undefined) this.#notSynced(begun.inode, begun.serial);
    }
  }

  #link(name: string, serial: number, file: DiskFile | null): void {
    let entry = this.#names.get(name);
    if (entry === undefined) {
      entry = { durable: null, pending: [] };
      this.#names.set(name, entry);
    }
    entry.pending.push({ serial, file });
  }

  #current(name: string): DiskFile | null {
    const entry = this.#names.get(name);
    const newest = entry?.pending.at(-1);
    return newest === undefined ? (entry?.durable ?? null) : newest.file;
  }

  #synced(inode: string, before: number): void {
    const file = this.#byInode.get(inode);
    if (file === undefined) {
      // A directory: the only one there is.
      for (const entry of this.#names.values()) {
        const done = entry.pending.filter((version) => version.serial < before);
        entry.durable = done.at(-1)?.file ?? (done.length > 0 ? null : entry.durable);
        entry.pending = entry.pending.filter((version) => version.serial >= before);
      }
      return;
    }
    const done = file.pending.filter((operation) => operation.serial < before);
    file.durable = applied(file.durable, done);
    file.pending = file.pending.filter((operation) => operation.serial >= before);
  }

  #notSynced(inode: string, before: number): void {
    const file = this.#byInode.get(inode);
    if (file === undefined) return;
    for (const operation of file.pending)
      if (operation.serial < before && "data" in operation) file.lost.push(operation);
    // A change of size is the directory's, not a page's.
    file.pending = file.pending.filter((operation) => operation.serial >= before || "size" in operation);
  }

  /** What is there now, for whoever starts next without a power cut. */
  killed(): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    for (const name of this.#names.keys()) {
      const file = this.#current(name);
      if (file === null) continue;
      const operations = [...file.lost, ...file.pending].sort((a, b) => a.serial - b.serial);
      files.set(name, applied(file.durable, operations));
    }
    return files;
  }

  /** One of the states that a power cut now could leave, by name. */
  crash(random: Random): Map<string, Buffer> {
    const files = new Map<string, Buffer>();
    const shapes = new Map<DiskFile, Shape>();
    const one = random() < 0.2 ? pick(["sluice.db", "sluice.db-wal"], random) : null;
    for (const [name, entry] of this.#names) {
      const versions = [entry.durable, ...entry.pending.map((version) => version.file)];
      const file = (random() < 0.5 ? versions.at(-1) : pick(versions, random)) ?? null;
      if (file === null) continue;
      // Only the database, or only its log, got anything of what was not synced.
      if (one !== null) shapes.set(file, name === one ? "all" : "none");
      files.set(name, crashed(file, shapes.get(file) ?? pick(SHAPES, random), random));
    }
    return files;
  }
}

/** A page of which something was lost is written with all it holds in memory when somebody writes into it. */
function write(file: DiskFile, operation: Write): void {
  const { lost } = file;
  const from = Math.floor(operation.offset / PAGE_BYTES) * PAGE_BYTES;
  const end = Math.ceil((operation.offset + operation.data.length) / PAGE_BYTES) * PAGE_BYTES;
  const again: Write[] = [];
  for (const { serial, offset, data } of lost) {
    const start = Math.max(offset, from);
    const stop = Math.min(offset + data.length, end);
    if (start < stop) again.push({ serial, offset: start, data: data.subarray(start - offset, stop - offset) });
  }
  // Oldest first: what was written since lies over it.
  file.pending.unshift(...again);
  file.pending.push(operation);
}

function crashed(file: DiskFile, shape: Shape, random: Random): Buffer {
  const { durable, pending } = file;
  const half = Math.floor(random() * (pending.length + 1));
  if (shape === "none" || pending.length === 0) return durable;
  if (shape === "all") return applied(durable, pending);
  if (shape === "prefix") return applied(durable, pending.slice(0, half));
  if (shape === "torn") return torn(durable, pending.slice(0, half), random);
  if (shape === "subset") {
    const share = pick([0.05, 0.5, 0.95], random);
    return applied(
      durable,
      pending.filter(() => random() < share),
    );
  }
  return mixed(durable, pending, shape, random);
}

/** The last write reached the medium in part. */
function torn(durable: Buffer, operations: readonly Operation[], random: Random): Buffer {
  const last = operations.at(-1);
  if (last === undefined || !("data" in last)) return applied(durable, operations);
  const unit = pick([512, 4096], random);
  const end = last.offset + Math.floor(random() * last.data.length);
  const length = Math.max(0, Math.floor(end / unit) * unit - last.offset);
  const part: Write = { serial: last.serial, offset: last.offset, data: last.data.subarray(0, length) };
  return applied(durable, [...operations.slice(0, -1), part]);
}

/** Every block has one of its versions. A change of size happened, or nothing after it did. */
function mixed(durable: Buffer, pending: readonly Operation[], shape: Shape, random: Random): Buffer {
  const resizes = pending.flatMap((operation, i) => ("size" in operation ? [i] : []));
  const last = pick([-1, ...resizes], random);
  const next = resizes.find((i) => i > last) ?? pending.length;
  // The size may be on the medium before what was written in place, also before it was changed.
  const sizes = pending.slice(0, last + 1).filter((operation) => "size" in operation);
  const base = applied(durable, sizes);
  const unit = pick([512, 4096], random);
  const newest = applied(durable, pending.slice(0, next));
  const out = Buffer.alloc(newest.length);
  const blocks = Math.ceil(newest.length / unit);
  const single = Math.floor(random() * blocks);
  const share = pick([0.05, 0.5, 0.95], random);
  // Images after some of the writes, for blocks that were written more than once.
  const between = applied(durable, pending.slice(0, last + 1 + Math.floor(random() * (next - last))));
  for (let block = 0; block < blocks; block++) {
    let isNew = random() < share;
    if (shape === "all but one") isNew = block !== single;
    if (shape === "only one") isNew = block === single;
    const source = isNew ? (random() < 0.8 ? newest : between) : base;
    const at = block * unit;
    if (at < source.length) source.copy(out, at, at, Math.min(at + unit, source.length));
  }
  return out;
}

function applied(image: Buffer, operations: readonly Operation[]): Buffer {
  if (operations.length === 0) return image;
  let size = image.length;
  let sizeMax = size;
  for (const operation of operations) {
    size = "data" in operation ? Math.max(size, operation.offset + operation.data.length) : operation.size;
    sizeMax = Math.max(sizeMax, size);
  }
  const out = Buffer.alloc(sizeMax);
  image.copy(out);
  for (const operation of operations) {
    if ("data" in operation) operation.data.copy(out, operation.offset);
    else out.fill(0, operation.size);
  }
  return out.subarray(0, size);
}

function pick<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random() * values.length)] as T;
}
