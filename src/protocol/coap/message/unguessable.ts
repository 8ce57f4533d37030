/** Numbers that somebody who sends with a forged address cannot know. */
import { crypto } from "../../../base/crypto.ts";

const BATCH_BYTES = 256;
let batch: Buffer = Buffer.alloc(0);
let at = 0;

/** 0 to 65,535. */
export function unguessable16(): number {
  if (at + 2 > batch.length) {
    batch = crypto().randomBytes(BATCH_BYTES);
    at = 0;
  }
  at += 2;
  return batch.readUInt16BE(at - 2);
}
