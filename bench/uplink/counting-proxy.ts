/** A TCP proxy on 127.0.0.1 that counts what passes: bytes, and the segments that a link of 1,400 bytes would make of them. */
import { connect, createServer, type Socket } from "node:net";

const SEGMENT_BYTES = 1400;

export interface Passed {
  readonly bytes: number;
  readonly segments: number;
}

export interface CountingProxy {
  readonly port: number;
  /** To the server, and from it. */
  passed(): { readonly up: Passed; readonly down: Passed };
  close(): void;
}

export function startCountingProxy(serverPort: number): Promise<CountingProxy> {
  const up = { bytes: 0, segments: 0 };
  const down = { bytes: 0, segments: 0 };
  const sockets = new Set<Socket>();
  const carry = (from: Socket, to: Socket, counts: { bytes: number; segments: number }): void => {
    sockets.add(from);
    from.setNoDelay(true);
    from.on("data", (chunk) => {
      counts.bytes += chunk.length;
      counts.segments += Math.ceil(chunk.length / SEGMENT_BYTES);
      to.write(chunk);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const server = createServer((client) => {
    const remote = connect(serverPort, "127.0.0.1");
    carry(client, remote, up);
    carry(remote, client, down);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : 0,
        passed: () => ({ up: { ...up }, down: { ...down } }),
        close: () => {
          server.close();
          for (const socket of sockets) socket.destroy();
        },
      });
    });
  });
}
