// Runs a program in our place: its output, its exit code, the signals sent to us.
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** Ends this process the way the program ended: same exit code, or death by the same signal. */
export function runThrough(program, args, env = {}) {
  const child = spawn(program, args, { stdio: "inherit", env: { ...process.env, ...env } });
  // A terminal sends Ctrl-C to its whole foreground group, the child included: passing it on would double it.
  const fromTerminal = process.stdin.isTTY === true;
  const pass = {
    SIGINT: () => fromTerminal || child.kill("SIGINT"),
    SIGTERM: () => child.kill("SIGTERM"),
    SIGHUP: () => child.kill("SIGHUP"),
  };
  for (const [signal, handler] of Object.entries(pass)) process.on(signal, handler);
  child.once("error", (error) => {
    process.stderr.write(`sluice: cannot run ${program}: ${error.message}\n`);
    process.exit(1);
  });
  child.once("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const [name, handler] of Object.entries(pass)) process.off(name, handler);
    process.exitCode = 128 + constants.signals[signal];
    process.kill(process.pid, signal);
  });
}
