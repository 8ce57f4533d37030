/**
 * What lies in the data directory after damage, and how much of it may:
 *
 *     sluice.db.damaged-TIME         the file as it was          sluice.db.damaged-TIME.json   what came out of it
 *     sluice.db.damaged-TIME-wal     its log                     sluice.db-salvage             a salvage is under way
 *
 * The newest is kept always: it may hold what could not be read. Of the older ones at most DAMAGED_KEPT_MAX - 1 are,
 * fewer if they are large or the disk is short.
 */
import fs from "node:fs";
import path from "node:path";
import type { TableCount } from "./salvage-copy.ts";
import type { Syncer } from "./sync.ts";

const DAMAGED_PREFIX = "sluice.db.damaged-";
const MARK_NAME = "sluice.db-salvage";
/** Files set aside that are kept, the newest included. */
export const DAMAGED_KEPT_MAX = 3;
/** Of the older ones together. */
const OLDER_BYTES_MAX = 256 * 2 ** 20;

/** What a salvage found, as it stands beside the file set aside. */
export interface SalvageReport {
  readonly movedTo: string;
  /** Why the file was set aside. */
  readonly reason: string;
  /** Unix ms. */
  readonly wallMs: number;
  /** All that can be read was. */
  readonly complete: boolean;
  /** Why not; "" when it was. */
  readonly problem: string;
  readonly tables: Readonly<Record<string, TableCount>>;
}

/** A salvage that has begun. */
export interface SalvageMark {
  readonly movedTo: string;
  readonly reason: string;
  readonly wallMs: number;
  /** Starts that have tried. */
  readonly attempts: number;
}

export interface DamagedFiles {
  readonly files: number;
  readonly bytes: number;
  /** Of the newest; null when nothing is set aside, or its report is not there. */
  readonly report: SalvageReport | null;
}

/** A name that is not taken. @returns its path, in `directory` */
export function damagedPath(directory: string, wallMs: number): string {
  const time = new Date(wallMs).toISOString().replaceAll(":", "");
  for (let n = 1; ; n++) {
    const file = path.join(directory, `${DAMAGED_PREFIX}${time}${n === 1 ? "" : `-${n}`}`);
    if (!fs.existsSync(file)) return file;
  }
}

export function readMark(directory: string): SalvageMark | null {
  return readJson<SalvageMark>(path.join(directory, MARK_NAME));
}

export function writeMark(directory: string, mark: SalvageMark, syncer: Syncer): void {
  writeDurably(path.join(directory, MARK_NAME), mark, syncer);
}

export function removeMark(directory: string, syncer: Syncer): void {
  fs.rmSync(path.join(directory, MARK_NAME), { force: true });
  syncer.directory(directory);
}

export function writeReport(report: SalvageReport, syncer: Syncer): void {
  writeDurably(`${report.movedTo}.json`, report, syncer);
}

function writeDurably(file: string, content: unknown, syncer: Syncer): void {
  const fresh = `${file}-new`;
  fs.writeFileSync(fresh, `${JSON.stringify(content)}\n`, { mode: 0o600 });
  syncer.file(fresh);
  fs.renameSync(fresh, file);
  syncer.directory(path.dirname(file));
}

function readJson<T>(file: string): T | null {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")) as T;
  } catch {
    return null;
  }
}

/** What is set aside now. */
export function damagedFiles(directory: string): DamagedFiles {
  const found = listed(directory);
  const bytes = found.reduce((sum, file) => sum + file.bytes, 0);
  const newest = found.at(-1);
  return { files: found.length, bytes, report: newest === undefined ? null : readJson(`${newest.path}.json`) };
}

/**
 * Deletes the oldest beyond what is kept. @param roomBytes that the disk should have; older ones go for it
 * @returns what was deleted
 */
export function pruneDamaged(directory: string, roomBytes: number): string[] {
  const older = listed(directory).slice(0, -1);
  const deleted: string[] = [];
  let bytes = older.reduce((sum, file) => sum + file.bytes, 0);
  for (const [n, file] of older.entries()) {
    const { bavail, bsize } = fs.statfsSync(directory);
    const fits = older.length - n < DAMAGED_KEPT_MAX && bytes <= OLDER_BYTES_MAX && bavail * bsize >= roomBytes;
    if (fits) break;
    for (const suffix of ["", "-wal", ".json"]) fs.rmSync(file.path + suffix, { force: true });
    bytes -= file.bytes;
    deleted.push(file.path);
  }
  return deleted;
}

/** [] when nobody can say: that of a stand-in is gone, or the disk fails. */
function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

/** The oldest first. */
function listed(directory: string): { path: string; bytes: number; changedMs: number }[] {
  const names = namesIn(directory).filter((name) => name.startsWith(DAMAGED_PREFIX) && isDatabase(name));
  return names
    .map((name) => {
      const file = path.join(directory, name);
      return { path: file, bytes: sizeOf(file) + sizeOf(`${file}-wal`), changedMs: changedMs(file) };
    })
    .sort((a, b) => a.changedMs - b.changedMs || (a.path < b.path ? -1 : 1));
}

function isDatabase(name: string): boolean {
  return !/(-wal|\.json|\.json-new)$/.test(name);
}

function sizeOf(file: string): number {
  return fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Renaming sets the time of the inode's last change. */
function changedMs(file: string): number {
  return fs.statSync(file, { throwIfNoEntry: false })?.ctimeMs ?? 0;
}
