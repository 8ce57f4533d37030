// A DTLS 1.2 client by hand, PSK-AES128-CCM8 alone, that has the keys and keeps no rules: whatever a device that was
// taken over may send under them. RFC 6347, RFC 4279, RFC 6655.
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from "node:crypto";
import type { DtlsContext, DtlsSession } from "../../src/native/dtls/binding.ts";
import { fragment, record } from "./dtls-garbage.ts";

const VERSION = 0xfefd;
const SUITE = 0xc0a8;
const TAG_BYTES = 8;
const RECORD_HEADER = 13;
const MESSAGE_HEADER = 12;

const HANDSHAKE = 22;
const CHANGE_CIPHER_SPEC = 20;
const CLIENT_HELLO = 1;
const CLIENT_KEY_EXCHANGE = 16;
const FINISHED = 20;

function prf(secret: Uint8Array, label: string, seed: Uint8Array, length: number): Buffer {
  const labelled = Buffer.concat([Buffer.from(label), seed]);
  const hmac = (bytes: Uint8Array) => createHmac("sha256", secret).update(bytes).digest();
  const out: Buffer[] = [];
  for (let a = hmac(labelled); out.length * 32 < length; a = hmac(a)) out.push(hmac(Buffer.concat([a, labelled])));
  return Buffer.concat(out).subarray(0, length);
}

interface Keys {
  readonly ours: Buffer;
  readonly theirs: Buffer;
  readonly ourIv: Buffer;
  readonly theirIv: Buffer;
}

export interface RawOptions {
  readonly identity: Uint8Array;
  readonly key: Uint8Array;
  /** Of the ClientHello, as they go over the wire. */
  readonly extensions?: Uint8Array;
}

export class RawClient {
  session: DtlsSession | null = null;
  /** What the server's records said, deciphered: their type, and what they hold. */
  readonly heard: { readonly type: number; readonly content: Buffer }[] = [];
  readonly #context: DtlsContext;
  readonly #options: RawOptions;
  readonly #peer = randomBytes(6);
  readonly #random = randomBytes(32);
  readonly #transcript: Buffer[] = [];
  readonly #sequences: [epoch0: number, epoch1: number] = [0, 0];
  #messages = 0;
  #serverRandom: Buffer = Buffer.alloc(32);
  #keys: Keys | null = null;
  #master: Buffer = Buffer.alloc(0);

  constructor(context: DtlsContext, options: RawOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** Up to the point where only CCS and Finished are missing: the server has our ClientKeyExchange. */
  begin(): DtlsSession {
    const challenge = this.#context.hello(this.plain(HANDSHAKE, this.#hello(Buffer.alloc(0))), this.#peer);
    if (!(challenge instanceof Uint8Array)) throw new Error("no HelloVerifyRequest");
    this.#transcript.length = 0;
    const cookie = Buffer.from(challenge).subarray(RECORD_HEADER + MESSAGE_HEADER + 3);
    const session = this.#context.hello(this.plain(HANDSHAKE, this.#hello(cookie)), this.#peer);
    if (session === null || session instanceof Uint8Array) throw new Error(`no session: ${this.#context.refusal}`);
    this.session = session;
    this.hear();
    const identity = Buffer.from(this.#options.identity);
    const length = Buffer.from([identity.length >> 8, identity.length & 255]);
    this.send(this.plain(HANDSHAKE, this.#message(CLIENT_KEY_EXCHANGE, Buffer.concat([length, identity]))));
    this.#derive();
    return session;
  }

  /** The rest of the handshake. @returns the bits of the server */
  finish(): number {
    this.send(this.plain(CHANGE_CIPHER_SPEC, Buffer.from([1])));
    const hash = createHash("sha256").update(Buffer.concat(this.#transcript)).digest();
    const bits = this.send(
      this.sealed(HANDSHAKE, this.#message(FINISHED, prf(this.#master, "client finished", hash, 12))),
    );
    this.hear();
    return bits;
  }

  send(datagram: Uint8Array): number {
    return this.session!.receive(datagram);
  }

  /** Takes what the server sends, into `heard`. */
  hear(): void {
    for (let datagram = this.session!.takeOutput(); datagram !== null; datagram = this.session!.takeOutput()) {
      const bytes = Buffer.from(datagram);
      for (let at = 0; at < bytes.length; ) {
        const end = at + RECORD_HEADER + bytes.readUInt16BE(at + 11);
        this.#hear(bytes.subarray(at, at + RECORD_HEADER), bytes.subarray(at + RECORD_HEADER, end));
        at = end;
      }
    }
  }

  plain(type: number, content: Uint8Array): Buffer {
    return record(type, 0, this.#sequences[0]++, content);
  }

  /** A record that the server takes for honest. */
  sealed(type: number, content: Uint8Array, sequence = this.#sequences[1]++): Buffer {
    const number = record(0, 1, sequence, Buffer.alloc(0)).subarray(3, 11);
    const { ours, ourIv } = this.#keys!;
    const cipher = createCipheriv("aes-128-ccm", ours, Buffer.concat([ourIv, number]), { authTagLength: TAG_BYTES });
    cipher.setAAD(aad(number, type, content.length), { plaintextLength: content.length });
    const body = Buffer.concat([cipher.update(content), cipher.final()]);
    return record(type, 1, sequence, Buffer.concat([number, body, cipher.getAuthTag()]));
  }

  #hear(header: Buffer, content: Buffer): void {
    const type = header[0]!;
    if (header.readUInt16BE(3) === 0) {
      if (type === HANDSHAKE) this.#note(content);
      this.heard.push({ type, content });
      return;
    }
    const number = content.subarray(0, 8);
    const { theirs, theirIv } = this.#keys!;
    const cipher = createDecipheriv("aes-128-ccm", theirs, Buffer.concat([theirIv, number]), {
      authTagLength: TAG_BYTES,
    });
    const length = content.length - 8 - TAG_BYTES;
    cipher.setAuthTag(content.subarray(8 + length));
    cipher.setAAD(aad(number, type, length), { plaintextLength: length });
    this.heard.push({ type, content: cipher.update(content.subarray(8, 8 + length)) });
  }

  /** The server's messages are short: each is whole, several may be in a record. */
  #note(content: Buffer): void {
    for (let at = 0; at < content.length; ) {
      const end = at + MESSAGE_HEADER + content.readUIntBE(at + 1, 3);
      const message = content.subarray(at, end);
      this.#transcript.push(Buffer.from(message));
      if (message[0] === 2) this.#serverRandom = Buffer.from(message.subarray(MESSAGE_HEADER + 2, MESSAGE_HEADER + 34));
      at = end;
    }
  }

  #hello(cookie: Buffer): Buffer {
    const extensions = this.#options.extensions ?? Buffer.alloc(0);
    const tail = Buffer.from([0, 2, SUITE >> 8, SUITE & 255, 1, 0, extensions.length >> 8, extensions.length & 255]);
    const head = Buffer.from([VERSION >> 8, VERSION & 255]);
    const ids = [Buffer.from([0, cookie.length]), cookie];
    return this.#message(CLIENT_HELLO, Buffer.concat([head, this.#random, ...ids, tail, extensions]));
  }

  #message(type: number, body: Buffer): Buffer {
    const message = fragment(type, this.#messages++, body.length, 0, body);
    this.#transcript.push(message);
    return message;
  }

  #derive(): void {
    const key = Buffer.from(this.#options.key);
    const length = Buffer.from([key.length >> 8, key.length & 255]);
    const premaster = Buffer.concat([length, Buffer.alloc(key.length), length, key]);
    this.#master = prf(premaster, "master secret", Buffer.concat([this.#random, this.#serverRandom]), 48);
    const block = prf(this.#master, "key expansion", Buffer.concat([this.#serverRandom, this.#random]), 40);
    this.#keys = {
      ours: block.subarray(0, 16),
      theirs: block.subarray(16, 32),
      ourIv: block.subarray(32, 36),
      theirIv: block.subarray(36, 40),
    };
  }
}

function aad(number: Uint8Array, type: number, length: number): Buffer {
  return Buffer.concat([number, Buffer.from([type, VERSION >> 8, VERSION & 255, length >> 8, length & 255])]);
}
