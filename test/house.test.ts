// The house: floors, doors, cycles, file sizes. It reads the imports of src/**/*.ts; the drawing is in src/README.md.
//
//   6  main.ts cli/ · index.ts client.ts     3  store/               0  base/
//   5  gateway/  client/                     2  core/  transport/
//   4  protocol/*  uplink/  web/             1  config/  wire/*  native/*
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "node:test";

const FLOORS: Readonly<Record<string, number>> = {
  base: 0,
  config: 1,
  wire: 1,
  native: 1,
  core: 2,
  transport: 2,
  store: 3,
  protocol: 4,
  uplink: 4,
  web: 4,
  gateway: 5,
  client: 5,
  command: 6,
  library: 6,
};

/** The one place that may import a dependency: a file, or a folder with all in it. */
const DOORS: Readonly<Record<string, string>> = {
  ws: "transport/ws.ts",
  serialport: "transport/serial/binding.ts",
  socks: "transport/proxy/socks.ts",
  "coap-packet": "wire/coap/",
  cborg: "wire/senml/cbor.ts",
  "better-sqlite3": "store/",
  yaml: "config/",
};

/** Folders that only one other room may enter: all files whose path begins so. */
const DOORS_OF_FOLDERS: Readonly<Record<string, string>> = {
  "native/dtls/": "transport/dtls/",
  "native/tty/": "transport/serial/",
};

const LINES_MAX = 400;
/** Files over LINES_MAX that stay whole, each with the reason. */
const LONG_FILES: Readonly<Record<string, string>> = {};

interface Import {
  readonly target: string;
  readonly erased: boolean;
}

/** All complaints about a tree, as sentences; `files` maps paths below src/ to their text. */
function complaints(files: ReadonlyMap<string, string>): string[] {
  const out: string[] = [];
  const sources = [...files].filter(([path]) => path.endsWith(".ts"));
  for (const [path, text] of sources) {
    const lines = text.split("\n").length - 1;
    if (lines > LINES_MAX && LONG_FILES[path] === undefined) {
      out.push(`${path} has ${lines} lines: split it, or name it in LONG_FILES with the reason`);
    }
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
    if (/\b(TODO|FIXME)\b/.test(text)) out.push(`${path} has a TODO or FIXME: do it, or write down the limit`);
    if (/(:|\bas|<)\s*any\b/.test(code)) out.push(`${path} uses any: say what it is, or unknown`);
    if (/\bimport\(\s*[^"'\s]/.test(code)) out.push(`${path} imports a computed name: use a string literal`);
    for (const { target } of importsOf(code)) out.push(...judge(path, target, files));
  }
  for (const folder of new Set(sources.map(([path]) => posix.dirname(path)))) {
    const readme = posix.join(folder, "README.md");
    if (!files.has(readme)) out.push(`${readme} is missing: purpose, files in reading order, what it does not do`);
  }
  for (const cycle of cycles(sources)) out.push(`import cycle: ${cycle.join(" -> ")}`);
  return out;
}

function judge(path: string, target: string, files: ReadonlyMap<string, string>): string[] {
  const room = roomOf(path);
  const floor = floorOf(room);
  if (floor === undefined) return [`${path} is in no room of the house`];
  if (target.startsWith("node:")) return [];
  if (!target.startsWith(".")) return doorComplaints(path, target);
  const to = posix.join(posix.dirname(path), target);
  if (!files.has(to)) return [`${path} imports ${target}, which is not a file of src/`];
  const toRoom = roomOf(to);
  const toFloor = floorOf(toRoom);
  if (toRoom === room || toFloor === undefined) return [];
  for (const [folder, door] of Object.entries(DOORS_OF_FOLDERS)) {
    if (to.startsWith(folder) && !path.startsWith(door)) return [`${path} imports ${to}: its door is ${door}`];
  }
  if (toFloor > floor) return [`${path} imports up: ${to} is on floor ${toFloor}, it is on ${floor}`];
  if (toFloor === floor) return [`${path} imports its neighbour ${to}: share through a lower floor or core/ports.ts`];
  return [];
}

function doorComplaints(path: string, target: string): string[] {
  const name = target.split("/", target.startsWith("@") ? 2 : 1).join("/");
  const door = DOORS[name];
  if (door === undefined) return [`${path} imports ${name}, which has no door: name one in DOORS or use node:`];
  return path === door || (door.endsWith("/") && path.startsWith(door))
    ? []
    : [`${path} imports ${name}: its door is ${door}`];
}

/** wire/* and protocol/* are a room per folder; main.ts belongs to cli/, the two doors of the library to each other. */
function roomOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  if (first === "main.ts" || first === "cli") return "command";
  if (first === "index.ts" || first === "client.ts" || first === "library") return "library";
  return first === "wire" || first === "protocol" ? `${first}/${second}` : first;
}

function floorOf(room: string): number | undefined {
  const [first = "", second] = room.split("/");
  return second?.endsWith(".ts") ? undefined : FLOORS[first];
}

function importsOf(code: string): Import[] {
  const found: Import[] = [];
  for (const [, kind, target] of code.matchAll(
    /(?:^|[;\n])\s*(import\s*|(?:import|export)\b[^"'`;=()]*\bfrom\s*)["']([^"']+)["']/g,
  )) {
    found.push({ target: target!, erased: /^(import|export)\s+type\b/.test(kind!) });
  }
  for (const [, target] of code.matchAll(/\bimport\(\s*["']([^"']+)["']/g))
    found.push({ target: target!, erased: false });
  return found;
}

/** Cycles that exist when the program runs: `import type` is erased, and a lazy import closes a circle all the same. */
function cycles(sources: readonly (readonly [string, string])[]): string[][] {
  const edges = new Map(
    sources.map(([path, text]) => [
      path,
      importsOf(text)
        .filter(({ target, erased }) => !erased && target.startsWith("."))
        .map(({ target }) => posix.join(posix.dirname(path), target)),
    ]),
  );
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: string[]) => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push([...trail.slice(at), path]);
    if (at >= 0 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}

function readTree(root: string): Map<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" });
  return new Map(
    names.filter((name) => /\.(ts|md)$/.test(name)).map((name) => [name, readFileSync(join(root, name), "utf8")]),
  );
}

test("src/ keeps to floors, doors and sizes, without cycles", () => {
  const root = join(dirname(import.meta.dirname), "src");
  assert.ok(existsSync(root));
  const found = complaints(readTree(root));
  assert.equal(found.length, 0, `the house has ${found.length} complaints:\n  ${found.join("\n  ")}`);
});

/** A tree that is fine but for the given files. */
function complaintsAbout(files: Record<string, string>): string[] {
  const tree = new Map(Object.entries({ "base/clock.ts": "export const now = 0;\n", ...files }));
  for (const path of [...tree.keys()]) tree.set(posix.join(posix.dirname(path), "README.md"), "");
  return complaints(tree);
}

const SYNTHETIC: readonly (readonly [title: string, files: Record<string, string>, complaint: RegExp | undefined])[] = [
  ["down", { "core/router.ts": 'import { now } from "../base/clock.ts";\nimport fs from "node:fs";' }, undefined],
  [
    "up",
    { "base/a.ts": 'import type { X } from "../core/b.ts";', "core/b.ts": "" },
    /base\/a.ts imports up: core\/b.ts/,
  ],
  ["up, lazily", { "core/b.ts": 'await import("../store/c.ts");', "store/c.ts": "" }, /core\/b.ts imports up/],
  ["up, re-exported", { "core/b.ts": 'export * from "../store/c.ts";', "store/c.ts": "" }, /core\/b.ts imports up/],
  ["up, over lines", { "core/b.ts": 'import {\n  a,\n  b,\n} from "../store/c.ts";', "store/c.ts": "" }, /imports up/],
  ["sideways", { "core/b.ts": 'import "../transport/t.ts";', "transport/t.ts": "" }, /its neighbour transport\/t.ts/],
  [
    "sideways in protocol/",
    { "protocol/mqtt/a.ts": 'import "../coap/b.ts";', "protocol/coap/b.ts": "" },
    /its neighbour/,
  ],
  ["sideways in wire/", { "wire/mqtt/a.ts": 'import "../coap/b.ts";', "wire/coap/b.ts": "" }, /its neighbour/],
  ["own room", { "uplink/a.ts": 'import "./deep/b.ts";', "uplink/deep/b.ts": "" }, undefined],
  [
    "main and its verbs",
    { "main.ts": 'import "./cli/run.ts";', "cli/run.ts": 'import "../gateway/gateway.ts";', "gateway/gateway.ts": "" },
    undefined,
  ],
  ["the library and the command", { "index.ts": 'import "./cli/run.ts";', "cli/run.ts": "" }, /its neighbour cli/],
  [
    "a room's door",
    { "transport/dtls/session.ts": 'import "../../native/dtls/a.ts";', "native/dtls/a.ts": "" },
    undefined,
  ],
  [
    "past a room's door",
    { "gateway/x.ts": 'import type { A } from "../native/dtls/a.ts";', "native/dtls/a.ts": "" },
    /imports native\/dtls\/a.ts: its door is transport\/dtls/,
  ],
  ["no room", { "wire/x.ts": 'import "../base/clock.ts";' }, /wire\/x.ts is in no room/],
  ["a door", { "store/open.ts": 'import Database from "better-sqlite3";' }, undefined],
  ["past a door", { "core/x.ts": 'import { parse } from "yaml";' }, /imports yaml: its door is config\//],
  ["past a door, lazily", { "gateway/gateway.ts": 'await import("ws");' }, /imports ws: its door is transport\/ws.ts/],
  ["no door", { "core/x.ts": 'import _ from "@scope/name/deep";' }, /imports @scope\/name, which has no door/],
  ["a built-in without node:", { "base/x.ts": 'import fs from "fs";' }, /imports fs, which has no door/],
  ["a computed name", { "core/x.ts": "await import(name);" }, /imports a computed name/],
  ["a file that is not there", { "core/x.ts": 'import "./y.ts";' }, /not a file of src/],
  [
    "a cycle",
    { "core/x.ts": 'import "./y.ts";', "core/y.ts": 'import "./x.ts";' },
    /cycle: core\/x.ts -> core\/y.ts -> core\/x.ts/,
  ],
  ["a cycle of types", { "core/x.ts": 'import "./y.ts";', "core/y.ts": 'import type { X } from "./x.ts";' }, undefined],
  [
    "a comment",
    { "core/x.ts": '// import "../gateway/gateway.ts";\n/* import "./z.ts"; */\n// of any kind: any\n' },
    undefined,
  ],
  ["a string in a type", { "core/x.ts": 'export interface X {\n  readonly kind: "x";\n}' }, undefined],
  ["any", { "core/x.ts": "export let x: any;" }, /uses any/],
  ["a note to self", { "core/x.ts": `// ${"TO"}${"DO"}: later` }, /do it, or write down the limit/],
  ["400 lines", { "core/x.ts": "\n".repeat(400) }, undefined],
  ["401 lines", { "core/x.ts": "\n".repeat(401) }, /has 401 lines/],
];

for (const [title, files, complaint] of SYNTHETIC) {
  test(`${complaint === undefined ? "allows" : "complains about"}: ${title}`, () => {
    const found = complaintsAbout(files);
    if (complaint === undefined) assert.deepEqual(found, []);
    else assert.match(found.join("\n"), complaint);
  });
}

test("complains about: a folder without README.md", () => {
  assert.match(complaints(new Map([["core/x.ts", ""]])).join(), /core\/README.md is missing/);
});
