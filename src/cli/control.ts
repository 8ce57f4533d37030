/**
 * The control socket: one JSON line each way, several per connection if need be.
 *
 *     -> {"verb":"status","drops":true}
 *     <- {"progress":{...}} *                 for what takes long
 *     <- {"ok":true,"result":{...}}          or {"ok":false,"error":"..."}
 *
 * Its file mode (0600, in a folder of 0700) is its only lock.
 */
import { rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";

export interface ControlRequest {
  readonly verb: string;
  readonly [option: string]: unknown;
}

/** Who asked. */
export interface Asker {
  /** Still there. */
  readonly present: boolean;
  /** Tells how far it is; also what keeps the connection from counting as idle. */
  progress(value: unknown): void;
}

/** @returns what goes into "result"  @throws Error whose message goes into "error" */
export type ControlHandler = (request: ControlRequest, asker: Asker) => unknown;

const CONNECTIONS_MAX = 8;
const REQUEST_BYTES_MAX = 64 * 1024;
const ANSWER_BYTES_MAX = 16 * 2 ** 20;
/** A connection that says nothing for so long is closed. */
const IDLE_MS = 10_000;

export class ControlServer {
  readonly #path: string;
  readonly #handle: ControlHandler;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(path: string, handle: ControlHandler) {
    this.#path = path;
    this.#handle = handle;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Takes the place of a socket that an earlier gateway left behind; the caller holds the data directory's lock. */
  listen(): Promise<void> {
    rmSync(this.#path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      // bind() happens within listen(), so there is no moment at which others could connect.
      const umask = process.umask(0o177);
      try {
        this.#server.listen(this.#path, () => {
          this.#server.off("error", reject);
          resolve();
        });
      } finally {
        process.umask(umask);
      }
    });
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    readLines(socket, REQUEST_BYTES_MAX, (line) => {
      if (line === null) socket.end(failure("the request is too long"));
      else void this.#answer(line, askerOf(socket)).then((answer) => socket.write(answer));
    });
  }

  async #answer(line: string, asker: Asker): Promise<string> {
    try {
      const request: unknown = JSON.parse(line);
      if (!isRequest(request)) return failure('a request is {"verb": ...}');
      return `${JSON.stringify({ ok: true, result: await this.#handle(request, asker) })}\n`;
    } catch (error) {
      return failure(error instanceof SyntaxError ? "the request is no JSON" : (error as Error).message);
    }
  }
}

function askerOf(socket: Socket): Asker {
  return {
    get present() {
      return !socket.destroyed;
    },
    progress: (value) => {
      if (!socket.destroyed) socket.write(`${JSON.stringify({ progress: value })}\n`);
    },
  };
}

function isRequest(value: unknown): value is ControlRequest {
  return typeof value === "object" && value !== null && "verb" in value && typeof value.verb === "string";
}

function failure(error: string): string {
  return `${JSON.stringify({ ok: false, error })}\n`;
}

/** Calls `onLine` for each line, with null once when one is too long. */
function readLines(socket: Socket, bytesMax: number, onLine: (line: string | null) => void): void {
  let text = "";
  let tooLong = false;
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    if (tooLong) return;
    text += chunk;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      onLine(line);
    }
    if (text.length <= bytesMax) return;
    tooLong = true;
    onLine(null);
  });
}

/** Nobody listens on the socket. */
export class NoGatewayError extends Error {
  override readonly name = "NoGatewayError";
}

/** Asks the gateway behind the socket at `path`. @throws NoGatewayError, or an Error with the gateway's words */
export function askControl(
  path: string,
  request: ControlRequest,
  onProgress: (value: unknown) => void = () => {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(IDLE_MS, () => fail(new Error(`the gateway did not answer within ${IDLE_MS / 1000} s`)));
    socket.on("error", (error: NodeJS.ErrnoException) => fail(connectError(path, error)));
    socket.on("close", () => reject(new Error("the gateway closed the connection without an answer")));
    socket.on("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    readLines(socket, ANSWER_BYTES_MAX, (line) => {
      if (line === null) return fail(new Error("the gateway's answer is too long"));
      const answer = JSON.parse(line) as { ok: boolean; result?: unknown; error?: string; progress?: unknown };
      if (answer.progress !== undefined) return onProgress(answer.progress);
      if (answer.ok) resolve(answer.result);
      else reject(new Error(answer.error ?? "the gateway refused"));
      socket.destroy();
    });
  });
}

function connectError(path: string, error: NodeJS.ErrnoException): Error {
  if (error.code === "ENOENT" || error.code === "ECONNREFUSED")
    return new NoGatewayError(`no gateway is running (${path})`);
  if (error.code === "EACCES") return new Error(`${path}: permission denied; ask as the gateway's user, or as root`);
  return error;
}
