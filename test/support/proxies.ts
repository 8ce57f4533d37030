// Proxies of ours on loopback: an HTTP proxy (CONNECT), a SOCKS 5 proxy, and one that says what a test wants.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export interface TestProxy {
  readonly port: number;
  /** "host:port" of what was asked for, in order; with ` as user:password` behind it where given. */
  readonly asked: string[];
  close(): Promise<void>;
}

export interface ProxyOptions {
  /** "user:password" that it wants. */
  readonly login?: string;
  /** Where names lead to; others go to 127.0.0.1. */
  readonly hosts?: Readonly<Record<string, string>>;
}

/** CONNECT alone. */
export function httpProxy(options: ProxyOptions = {}): Promise<TestProxy> {
  return listen((socket, asked) => {
    whole(socket, /\r\n\r\n/, (header) => {
      const [, server = ""] = /^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(header) ?? [];
      const [, basic = ""] = /^proxy-authorization: basic (\S+)/im.exec(header) ?? [];
      const login = Buffer.from(basic, "base64").toString();
      asked.push(login === "" ? server : `${server} as ${login}`);
      if (options.login !== undefined && login !== options.login) {
        socket.end(
          "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        );
        return;
      }
      const at = server.lastIndexOf(":");
      const ready = "HTTP/1.1 200 Connection established\r\n\r\n";
      const refused = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
      pass(socket, hostOf(server.slice(0, at), options), Number(server.slice(at + 1)), ready, refused);
    });
  });
}

/** @see RFC 1928, RFC 1929 */
export function socksProxy(options: ProxyOptions = {}): Promise<TestProxy> {
  return listen((socket, asked) => {
    let stage = 0;
    let login = "";
    socket.on("data", (chunk: Buffer) => {
      // Clients wait for each answer, so that each chunk is one message.
      if (stage === 0) {
        const wanted = options.login === undefined ? 0 : 2;
        const offered = chunk.subarray(2, 2 + (chunk[1] ?? 0)).includes(wanted);
        socket.write(Buffer.from([5, offered ? wanted : 0xff]));
        stage = wanted === 0 ? 2 : 1;
      } else if (stage === 1) {
        const nameEnd = 2 + (chunk[1] ?? 0);
        login = `${chunk.toString("utf8", 2, nameEnd)}:${chunk.toString("utf8", nameEnd + 1)}`;
        socket.write(Buffer.from([1, login === options.login ? 0 : 1]));
        stage = 2;
      } else {
        socket.removeAllListeners("data");
        const kind = chunk[3];
        const end = kind === 1 ? 8 : kind === 4 ? 20 : 5 + (chunk[4] ?? 0);
        const host =
          kind === 1 ? [...chunk.subarray(4, 8)].join(".") : kind === 3 ? chunk.toString("latin1", 5, end) : "::1";
        const port = chunk.readUInt16BE(end);
        asked.push(login === "" ? `${host}:${port}` : `${host}:${port} as ${login}`);
        const reply = (code: number) => Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 0]);
        pass(socket, hostOf(host, options), port, reply(0), reply(5));
      }
    });
  });
}

/** Answers whatever comes first with `answer`; closes behind it when `closes`. */
export function scriptedProxy(answer: Buffer | string, closes = false): Promise<TestProxy> {
  return listen((socket) => {
    socket.once("data", () => {
      if (closes) socket.end(answer);
      else socket.write(answer);
    });
  });
}

function hostOf(name: string, { hosts }: ProxyOptions): string {
  return hosts?.[name] ?? "127.0.0.1";
}

function whole(socket: Socket, end: RegExp, then: (text: string) => void): void {
  let text = "";
  const onData = (chunk: Buffer): void => {
    text += chunk.toString("latin1");
    if (!end.test(text)) return;
    socket.off("data", onData);
    then(text);
  };
  socket.on("data", onData);
}

function pass(socket: Socket, host: string, port: number, ready: Buffer | string, refused: Buffer | string): void {
  const onward = connect(port, host);
  onward.on("error", () => socket.end(refused));
  socket.on("close", () => onward.destroy());
  onward.once("connect", () => {
    onward.removeAllListeners("error");
    onward.on("error", () => socket.destroy());
    onward.on("close", () => socket.destroy());
    socket.write(ready);
    onward.pipe(socket);
    socket.pipe(onward);
  });
}

async function listen(onSocket: (socket: Socket, asked: string[]) => void): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onSocket(socket, asked);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return {
    port,
    asked,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
