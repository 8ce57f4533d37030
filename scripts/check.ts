// npm run check: types, lint and format, the house. All three run, whatever the first one says.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "./root.mjs";

const CHECKS: readonly (readonly [name: string, program: string, ...args: string[]])[] = [
  ["types", "node_modules/typescript/bin/tsc", "--noEmit"],
  ["lint and format", "node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings"],
  ["house", "scripts/test.ts", "test/house.test.ts"],
];

let failed = 0;
for (const [name, program, ...args] of CHECKS) {
  const { status } = spawnSync(process.execPath, [join(ROOT, program), ...args], { cwd: ROOT, stdio: "inherit" });
  process.stdout.write(`check: ${name} ${status === 0 ? "ok" : "FAILED"}\n`);
  if (status !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
