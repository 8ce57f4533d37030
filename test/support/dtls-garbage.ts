// Datagrams that no honest peer sends.

/** A DTLS 1.2 record. */
export function record(
  type: number,
  epoch: number,
  sequence: number,
  content: Uint8Array,
  length?: number,
): Buffer<ArrayBuffer> {
  const header = Buffer.alloc(13);
  header.writeUInt8(type);
  header.writeUInt16BE(0xfefd, 1);
  header.writeUInt16BE(epoch, 3);
  header.writeUIntBE(sequence, 5, 6);
  header.writeUInt16BE((length ?? content.length) & 0xffff, 11);
  return Buffer.concat([header, content]);
}

/** A piece of a handshake message: `bytes` at `offset` of a body of `length`. */
export function fragment(
  type: number,
  sequence: number,
  length: number,
  offset: number,
  bytes: Uint8Array,
  claimed = bytes.length,
): Buffer<ArrayBuffer> {
  const header = Buffer.alloc(12);
  header.writeUInt8(type);
  header.writeUIntBE(length, 1, 3);
  header.writeUInt16BE(sequence, 4);
  header.writeUIntBE(offset, 6, 3);
  header.writeUIntBE(claimed, 9, 3);
  return Buffer.concat([header, bytes]);
}

/** Each kind of nonsense once. */
export function garbage(): Buffer[] {
  const bytes = Buffer.alloc(64, 0xa5);
  const out = [
    Buffer.alloc(0),
    Buffer.alloc(1),
    Buffer.alloc(13),
    Buffer.alloc(65_507),
    Buffer.alloc(2_000, 0xff),
    bytes,
  ];
  for (const type of [0, 20, 21, 22, 23, 24, 25, 255]) {
    for (const epoch of [0, 1, 2, 0xffff]) {
      for (const length of [0, 1, 2, 12, 64, 16_384, 16_640, 0xffff]) {
        out.push(record(type, epoch, 0x7fff_0000, bytes.subarray(0, length), length));
        out.push(record(type, epoch, 2 ** 48 - 1, Buffer.alloc(length), length));
      }
    }
  }
  for (const type of [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20, 22, 67, 255]) {
    for (const sequence of [0, 1, 2, 3, 9, 0xffff]) {
      for (const [length, offset, claimed] of [
        [0, 0, 0],
        [1, 0, 1],
        [64, 0, 64],
        [64, 32, 64],
        [64, 65, 1],
        [16_000, 15_990, 64],
        [0xffffff, 0, 64],
        [0xffffff, 0xffffff, 0xffffff],
        [0, 0, 64],
        [100_000, 50_000, 64],
      ] as const)
        out.push(
          record(
            22,
            0,
            out.length + 100,
            fragment(type, sequence, length, offset, bytes.subarray(0, claimed), claimed),
          ),
        );
    }
  }
  return out;
}
