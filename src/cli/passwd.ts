/** `sluice passwd FILE USER`: sets or deletes one user's lines and leaves the others as they are. */
import { type BigIntStats, readFileSync, realpathSync, statSync } from "node:fs";
import { PASSWORD_BYTES_MAX } from "../core/authority.ts";
import { ITERATIONS_DEFAULT, ITERATIONS_MAX, passwordLine, scramLine } from "../core/password-file.ts";
import { FAILED, OK, parse, say, sayError, UsageError, wholeNumber } from "./arguments.ts";
import { promptPassword, readFirstLine } from "./password-prompt.ts";
import { replaceFile } from "./replace-file.ts";

const USER_BYTES_MAX = 1024;
/** A new file is for the gateway's user alone. */
const NEW_MODE = 0o600;

export async function passwd(args: string[]): Promise<number> {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      delete: { type: "boolean", short: "D", default: false },
      stdin: { type: "boolean", default: false },
      iterations: { type: "string", default: String(ITERATIONS_DEFAULT) },
      json: { type: "boolean", default: false },
    },
  });
  const [file, user, ...more] = positionals;
  if (file === undefined || user === undefined || more.length > 0) throw new UsageError("passwd takes FILE and USER");
  const problem = userProblem(user);
  if (problem !== null) throw new UsageError(`the user name ${problem}`);
  const iterations = wholeNumber("--iterations", values.iterations, 1, ITERATIONS_MAX);
  try {
    const existing = readExisting(file);
    const lines = values.delete ? [] : await linesOf(user, await askPassword(user, values.stdin), iterations);
    const { text, found } = withUser(existing.text, user, lines);
    if (values.delete && !found) throw new Error(`${file} has no user ${user}`);
    replaceFile(existing.path, text, existing.stat === null ? { mode: NEW_MODE } : ownerAndMode(existing.stat));
    const done = values.delete ? "deleted" : found ? "changed" : "added";
    say(values.json ? JSON.stringify({ event: done, file, user }) : `${user} ${done}`);
    return OK;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    sayError((error as Error).message);
    return FAILED;
  }
}

function userProblem(user: string): string | null {
  if (user === "") return "is empty";
  if (user.includes(":")) return "has a colon, which ends it in the file";
  if (user.startsWith("#")) return "begins with #, which makes the line a comment";
  if (user !== user.trim()) return "begins or ends with a space";
  if (/[\0-\x1f\x7f]/.test(user) || !user.isWellFormed()) return "has a control character";
  return Buffer.byteLength(user) > USER_BYTES_MAX ? `is longer than ${USER_BYTES_MAX} bytes` : null;
}

/** For a login with user name and password, and for one by SCRAM. Mosquitto reads the first and passes over the second. */
async function linesOf(user: string, password: string, iterations: number): Promise<string[]> {
  return [await passwordLine(user, Buffer.from(password), iterations), scramLine(user, password, iterations)];
}

async function askPassword(user: string, fromStdin: boolean): Promise<string> {
  const password = fromStdin ? await readFirstLine(process.stdin) : await promptTwice(user);
  if (password === "") throw new UsageError("the password is empty");
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX)
    throw new UsageError(`the password is longer than ${PASSWORD_BYTES_MAX} bytes`);
  // RFC 4013, which SCRAM follows, has none of them.
  if (/[\0-\x1f\x7f]/.test(password)) throw new UsageError("the password has a control character");
  return password;
}

async function promptTwice(user: string): Promise<string> {
  if (!process.stdin.isTTY) throw new UsageError("there is no terminal to ask on; use --stdin");
  const password = await promptPassword(`Password for ${user}: `);
  if (password !== (await promptPassword("Once more: "))) throw new UsageError("the two passwords differ");
  return password;
}

interface Existing {
  /** Behind links, so that a link stays one. */
  readonly path: string;
  readonly text: string;
  /** null = there is none yet. */
  readonly stat: BigIntStats | null;
}

function readExisting(file: string): Existing {
  try {
    const path = realpathSync(file);
    return { path, text: readFileSync(path, "utf8"), stat: statSync(path, { bigint: true }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return { path: file, text: "", stat: null };
  }
}

/** The gateway's user must still be able to read it; the rest of the world never. */
function ownerAndMode(stat: BigIntStats): { mode: number; uid: number; gid: number } {
  return { mode: Number(stat.mode) & 0o660, uid: Number(stat.uid), gid: Number(stat.gid) };
}

/** @param entries the user's new lines; none delete it */
function withUser(text: string, user: string, entries: readonly string[]): { text: string; found: boolean } {
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  const at = lines.findIndex((candidate) => candidate.startsWith(`${user}:`));
  const kept = lines.filter((candidate) => !candidate.startsWith(`${user}:`));
  kept.splice(at === -1 ? kept.length : at, 0, ...entries);
  return { text: kept.map((each) => `${each}\n`).join(""), found: at !== -1 };
}
