/**
 * Request bodies in memory: each at most `bodyBytesMax`, all together at most `totalBytesMax`. A body is read only
 * once its sender is known and may publish.
 */
import type { IncomingMessage } from "node:http";

/** All bodies being read at a time; at least two of the largest find room. */
const TOTAL_BYTES = 512 * 1024;

export const BODY_TOO_LARGE = 1;
export const BODIES_FULL = 2;

export interface BodyReader {
  /** The whole body. */
  onBody(body: Buffer): void;
  /** @param reason BODY_TOO_LARGE or BODIES_FULL; what follows of the body is discarded */
  onBodyRefused(reason: number): void;
}

export class Bodies {
  readonly bodyBytesMax: number;
  readonly totalBytesMax: number;
  /** Bytes of bodies that have not come to their end. */
  bytes = 0;

  constructor(bodyBytesMax: number) {
    this.bodyBytesMax = bodyBytesMax;
    this.totalBytesMax = totalBytesMax(bodyBytesMax);
  }

  /** Reads the body of `request`; one of the reader's methods is called once, or none when the client goes away. */
  read(request: IncomingMessage, reader: BodyReader): void {
    const announced = Number(request.headers["content-length"] ?? 0);
    if (announced > this.bodyBytesMax) {
      reader.onBodyRefused(BODY_TOO_LARGE);
      return;
    }
    const chunks: Buffer[] = [];
    let length = 0;
    let done = false;
    const end = (): void => {
      done = true;
      this.bytes -= length;
      length = 0;
    };
    request.on("data", (chunk: Buffer) => {
      if (done) return;
      const reason = this.#refusalOf(length, chunk.length);
      if (reason !== 0) {
        end();
        chunks.length = 0;
        reader.onBodyRefused(reason);
        return;
      }
      chunks.push(chunk);
      length += chunk.length;
      this.bytes += chunk.length;
    });
    request.on("end", () => {
      if (done) return;
      end();
      reader.onBody(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    });
    request.on("close", () => {
      if (!done) end();
    });
  }

  #refusalOf(length: number, chunkLength: number): number {
    if (length + chunkLength > this.bodyBytesMax) return BODY_TOO_LARGE;
    return this.bytes + chunkLength > this.totalBytesMax ? BODIES_FULL : 0;
  }
}

export function totalBytesMax(bodyBytesMax: number): number {
  return Math.max(TOTAL_BYTES, 2 * bodyBytesMax);
}
