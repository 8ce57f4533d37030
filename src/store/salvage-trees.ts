/**
 * Walks the b-trees of a damaged file and hands out every row that is still on its page. Because it knows which pages
 * belong to which table, a damaged leaf costs the rows of that leaf and no others; and because the keys above a page
 * bound those on it, a page of somewhere else is noticed.
 *
 *     schema (page 1) -> root -> interior -> leaves        walked
 *                                   x -> leaves            orphans: found by reading all pages that nobody owns
 *
 * Orphans are taken only for tables that miss a page, by the shape of their rows, and for the log only with keys that
 * the missing pages would have had. Pages on the free list are nobody's: what lies there was deleted. When the free list
 * itself cannot be read, deleted rows may come back from it; `freeListWhole` says so.
 */
import { INTERIOR_INDEX, INTERIOR_TABLE, LEAF_INDEX, LEAF_TABLE, Page, type Row } from "./salvage-cells.ts";
import type { DamagedFile } from "./salvage-file.ts";
import { PAGE_BYTES } from "./schema.ts";

const DEPTH_MAX = 20;
const TRUNK_LEAVES_MAX = PAGE_BYTES / 4 - 2;
const SCHEMA_ROOT = 1;
/** Pages between looks at the clock. */
const PAGES_PER_LOOK = 64;

/** Takes a row. @returns false when it cannot be one of this table */
export type Emit = (row: Row) => boolean;

/** What a walk did not find. */
export class Loss {
  /** Pages that are not what should be there: damaged, or out of reach behind a damaged one. */
  pages = 0;
  /** Rows that have a place on a page and cannot be read. */
  rows = 0;
  /** Rowids that the missing pages may have held: above `from`, up to `to`. */
  readonly ranges: { from: number; to: number }[] = [];

  covers(rowid: number): boolean {
    return this.ranges.some(({ from, to }) => rowid > from && rowid <= to);
  }
}

export interface Candidate {
  readonly isIndex: boolean;
  readonly loss: Loss;
  /** Whether the row looks like one of this table. */
  readonly matches: (row: Row) => boolean;
  readonly emit: Emit;
}

export class Trees {
  readonly #file: DamagedFile;
  readonly #onProgress: (pages: number) => boolean;
  readonly #owned: Uint8Array;
  readonly #levels: Page[] = [];
  #looked = 0;
  /** Root pages by name of table or index, as far as the schema can be read. */
  readonly roots = new Map<string, number>();
  /** No entry of the schema is lost: what it does not name was not there. */
  readonly schemaWhole: boolean;
  /** Every page that holds nothing is known. */
  readonly freeListWhole: boolean;
  /** The time was up; what comes after is not looked at. */
  stopped = false;

  /** @param onProgress called now and then with the pages read so far; false = stop */
  constructor(file: DamagedFile, onProgress: (pages: number) => boolean) {
    this.#file = file;
    this.#onProgress = onProgress;
    this.#owned = new Uint8Array(Math.ceil((file.pages + 1) / 8));
    this.freeListWhole = this.#readFreeList();
    this.schemaWhole = this.#readSchema();
  }

  #readSchema(): boolean {
    const { rows, pages } = this.walk(SCHEMA_ROOT, false, ({ values }) => {
      const [, name, , root] = values;
      if (typeof name !== "string" || typeof root !== "number") return false;
      this.roots.set(name, root);
      return true;
    });
    return rows + pages === 0;
  }

  /** Hands out the rows of one tree in order of their keys. @param root 0 = not known */
  walk(root: number, isIndex: boolean, emit: Emit): Loss {
    const loss = new Loss();
    this.#visit(root, 0, isIndex, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, loss, emit);
    return loss;
  }

  /** Reads the pages that nobody owns for rows that the candidates miss. */
  orphans(candidates: readonly Candidate[]): void {
    const page = new Page(this.#file);
    for (let number = 2; number <= this.#file.pages; number++) {
      if (this.#isOwned(number) || !this.#look()) continue;
      if (!page.load(number) || page.type === INTERIOR_TABLE || page.type === INTERIOR_INDEX) continue;
      for (let n = 0; n < page.cells; n++) this.#adopt(page, n, candidates);
    }
  }

  #adopt(page: Page, n: number, candidates: readonly Candidate[]): void {
    const row = page.row(n);
    if (row === null) return;
    const isIndex = page.type === LEAF_INDEX;
    const [only, another] = candidates.filter((candidate) => candidate.isIndex === isIndex && candidate.matches(row));
    if (only === undefined || another !== undefined || (!isIndex && !only.loss.covers(row.rowid))) return;
    if (only.emit(row)) this.#own(page.number);
  }

  #visit(number: number, depth: number, isIndex: boolean, from: number, to: number, loss: Loss, emit: Emit): void {
    const page = (this.#levels[depth] ??= new Page(this.#file));
    if (!this.#look()) return;
    if (
      number === 0 ||
      depth === DEPTH_MAX ||
      this.#isOwned(number) ||
      !page.load(number) ||
      isOfIndex(page) !== isIndex
    ) {
      loss.pages++;
      loss.ranges.push({ from, to });
      return;
    }
    if (!page.interior) {
      this.#leaf(page, from, to, loss, emit);
      return;
    }
    this.#own(number);
    let left = from;
    let broken = false;
    for (let n = 0; n <= page.cells && !this.stopped; n++) {
      const last = n === page.cells;
      const key = last || isIndex ? to : page.key(n);
      const fits = key !== null && (isIndex || last ? key === to : key > left && key <= to);
      const child = page.child(n);
      broken ||= !fits || child === 0;
      // A key that cannot be is passed over: the next one bounds the child as well.
      const right = fits ? key : to;
      this.#visit(child, depth + 1, isIndex, left, right, loss, emit);
      if (fits && !isIndex) left = right;
      if (isIndex && !last) this.#one(page, n, loss, emit);
    }
    // Which keys its lost children had, a damaged page does not say.
    if (broken) loss.ranges.push({ from, to });
  }

  #leaf(page: Page, from: number, to: number, loss: Loss, emit: Emit): void {
    const isTable = page.type === LEAF_TABLE;
    let left = from;
    let taken = 0;
    let misplaced = false;
    for (let n = 0; n < page.cells; n++) {
      const row = page.row(n);
      const inPlace = row !== null && (!isTable || (row.rowid > left && row.rowid <= to));
      misplaced ||= row !== null && !inPlace;
      if (row === null || !inPlace || !emit(row)) {
        loss.rows++;
        continue;
      }
      if (isTable) left = row.rowid;
      taken++;
    }
    // Nothing that fits: another table's, that a damaged pointer led to. Something that does not: a damaged key above.
    // Either way the page is looked at once more, as one that nobody owns.
    if (!misplaced && (taken > 0 || page.cells === 0)) this.#own(page.number);
    else loss.ranges.push({ from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY });
  }

  #one(page: Page, n: number, loss: Loss, emit: Emit): void {
    const row = page.row(n);
    if (row === null || !emit(row)) loss.rows++;
  }

  /** @returns false when it is time to stop */
  #look(): boolean {
    if (this.stopped) return false;
    if (this.#looked++ % PAGES_PER_LOOK === 0 && !this.#onProgress(this.#looked)) this.stopped = true;
    return !this.stopped;
  }

  #isOwned(page: number): boolean {
    return ((this.#owned[page >>> 3] ?? 0) & (1 << (page & 7))) !== 0;
  }

  #own(page: number): void {
    this.#owned[page >>> 3] = (this.#owned[page >>> 3] ?? 0) | (1 << (page & 7));
  }

  /** Trunks: next trunk (4), leaves (4), leaf (4) *. @returns whether it is as long as the header says */
  #readFreeList(): boolean {
    const bytes = Buffer.alloc(PAGE_BYTES);
    if (!this.#file.read(SCHEMA_ROOT, bytes) || bytes.toString("latin1", 0, 15) !== "SQLite format 3") return false;
    let trunk = bytes.readUInt32BE(32);
    const total = bytes.readUInt32BE(36);
    const found: number[] = [];
    while (trunk !== 0 && found.length < total && this.#file.read(trunk, bytes)) {
      found.push(trunk);
      const leaves = bytes.readUInt32BE(4);
      if (leaves > TRUNK_LEAVES_MAX) return false;
      for (let n = 0; n < leaves; n++) found.push(bytes.readUInt32BE(8 + 4 * n));
      trunk = bytes.readUInt32BE(0);
    }
    const pages = new Set(found);
    const whole = trunk === 0 && found.length === total && pages.size === total;
    if (whole) for (const page of found) if (page <= this.#file.pages) this.#own(page);
    return whole;
  }
}

function isOfIndex({ type }: Page): boolean {
  return type === INTERIOR_INDEX || type === LEAF_INDEX;
}
