/** Compresses in libuv's pool. Loaded with the first payload that is to be. */
import { gzip } from "node:zlib";

export function gzipped(payload: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    gzip(payload, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
