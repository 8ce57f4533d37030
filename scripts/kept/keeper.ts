/**
 * Runs one program for a parent that may itself be killed: when the parent's end of the IPC channel closes, for
 * whatever reason, the program gets SIGTERM and, if it does not go, SIGKILL. So nothing that a script started outlives
 * the script. The keeper holds the child unreaped until it has reported the end, so a pid never names a stranger.
 *
 *     node keeper.ts FILE [ARGUMENT...]
 *
 * Standard input, output and error are the program's own. To the parent: `{pid}`, then `{code, signal}` or `{error}`.
 * From the parent: `{signal}`.
 */
import { spawn } from "node:child_process";

const GRACE_MS = 3_000;

const [file, ...programArguments] = process.argv.slice(2);
if (file === undefined || process.send === undefined) {
  process.stderr.write("keeper.ts is started by kept-process.ts\n");
  process.exit(2);
}
const child = spawn(file, programArguments, { stdio: "inherit" });

function report(message: object): void {
  if (process.connected) process.send?.(message, () => {});
}

// Ctrl-C and a closing terminal are the parent's business; it tells us.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("message", (message: { signal: NodeJS.Signals }) => child.kill(message.signal));
process.on("disconnect", () => {
  if (child.exitCode !== null || child.signalCode !== null) process.exit(0);
  child.kill("SIGTERM");
  setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
});
child.on("spawn", () => report({ pid: child.pid }));
child.on("error", (error) => {
  report({ error: error.message });
  process.exitCode = 1;
  process.disconnect?.();
});
child.on("exit", (code, signal) => {
  report({ code, signal });
  process.disconnect?.();
  process.exit(0);
});
