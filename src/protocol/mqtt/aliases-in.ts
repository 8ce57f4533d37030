/**
 * Topic aliases that a client has set on its connection, and the frames without them: an alias belongs to one
 * connection, so what is routed is a whole PUBLISH with the topic's name.
 *
 * @see MQTT 5.0 section 3.3.2.3.4
 */

import type { Allowance } from "../../base/allowance.ts";
import { copyBytes } from "../../base/copy-bytes.ts";
import { OK, PROTOCOL_ERROR, PUBLISH, QUOTA_EXCEEDED, TOPIC_ALIAS_INVALID } from "../../wire/mqtt/codes.ts";
import { frameBytes, writeFrameHeader } from "../../wire/mqtt/frame.ts";
import { writeU16, writeVarint } from "../../wire/mqtt/primitives.ts";
import { copyForwardable, type PublishView, publishLength } from "../../wire/mqtt/publish.ts";
import type { Connection } from "./connection.ts";
import { because } from "./reason-words.ts";

/** Bytes of an entry besides its topic, measured. */
const ENTRY_BYTES = 72;
/** Largest frame that is put together in the buffer that all share; a larger one has its own for the moment. */
export const SCRATCH_BYTES = 4096;
/** The property on the wire: identifier and two bytes. */
const PROPERTY_BYTES = 3;

/** Topics by alias. */
export class AliasesIn {
  readonly #memory: Allowance;
  /** The bytes of a topic as a string of bytes: the smallest thing there is to keep them in. */
  readonly #topics = new Map<number, string>();
  #bytes = 0;

  /** @param memory of the aliases of all connections */
  constructor(memory: Allowance) {
    this.#memory = memory;
  }

  /** [MQTT5-3.3.2-8]'s mapping: sets or changes it. @returns false when there is no memory left */
  set(alias: number, bytes: Buffer, from: number, end: number): boolean {
    const old = this.#topics.get(alias);
    const before = old === undefined ? 0 : ENTRY_BYTES + old.length;
    const more = ENTRY_BYTES + end - from - before;
    if (more > 0 && !this.#memory.take(more)) return false;
    if (more < 0) this.#memory.give(-more);
    this.#bytes += more;
    this.#topics.set(alias, bytes.toString("latin1", from, end));
    return true;
  }

  get(alias: number): string | undefined {
    return this.#topics.get(alias);
  }

  /** They end with the connection ([MQTT5-3.3.2-7]). */
  end(): void {
    this.#memory.give(this.#bytes);
    this.#bytes = 0;
    this.#topics.clear();
  }
}

/** Puts frames together, one at a time: the bytes are valid until the next. */
export class AliasFrame {
  length = 0;
  readonly #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #bytes = this.#scratch;

  /** The frame from index 0; a large one is kept by nobody else. */
  take(): Buffer {
    const bytes = this.#bytes;
    this.#bytes = this.#scratch;
    return bytes;
  }

  /**
   * The PUBLISH of `view` with its topic and without the alias. `view` then says where things are in the new frame.
   * @param topic  null: it stands in the frame
   */
  build(frame: Buffer, view: PublishView, topic: string | null): void {
    const topicLength = topic === null ? view.topicLength : topic.length;
    const size = sizeOf(view, topicLength);
    const out = size > SCRATCH_BYTES ? Buffer.allocUnsafeSlow(size) : this.#scratch;
    const { qos, retain, propertiesLength } = view;
    const blockLength = propertiesLength - PROPERTY_BYTES;
    const firstByte = (PUBLISH << 4) | (qos << 1) | (retain ? 1 : 0);
    let at = writeFrameHeader(out, 0, firstByte, publishLength(5, topicLength, blockLength, view.payloadLength, qos));
    at = writeU16(out, at, topicLength);
    if (topic === null) copyBytes(frame, view.topicAt, topicLength, out, at);
    else out.write(topic, at, topicLength, "latin1");
    view.topicAt = at;
    view.topicLength = topicLength;
    at += topicLength;
    if (qos !== 0) at = writeU16(out, at, view.packetId);
    at = writeVarint(out, at, blockLength);
    copyForwardable(frame, view.propertiesAt, propertiesLength, out, at);
    view.propertiesAt = at;
    view.propertiesLength = blockLength;
    at += blockLength;
    copyBytes(frame, view.payloadAt, view.payloadLength, out, at);
    view.payloadAt = at;
    this.#bytes = out;
    this.length = size;
  }
}

/** Bytes of the buffer that the frame needs for itself; 0 when it fits in the shared one. */
function ownBytes(view: PublishView, topicLength: number): number {
  const size = sizeOf(view, topicLength);
  return size > SCRATCH_BYTES ? size : 0;
}

function sizeOf(view: PublishView, topicLength: number): number {
  const blockLength = view.propertiesLength - PROPERTY_BYTES;
  return frameBytes(publishLength(5, topicLength, blockLength, view.payloadLength, view.qos));
}

/**
 * The topic of a PUBLISH with an alias. On OK `server.aliasFrame` has the frame to be routed, and `view` points into it.
 * @returns OK, or the reason to close with
 */
export function resolveAlias(connection: Connection, frame: Buffer, view: PublishView): number {
  const { server } = connection;
  const { aliasesAnnounced } = connection;
  if (view.topicAlias > aliasesAnnounced) {
    const words = `topic alias ${view.topicAlias}, the maximum announced is ${aliasesAnnounced}`;
    return because(server, TOPIC_ALIAS_INVALID, words); // [MQTT5-3.3.2-9]
  }
  connection.aliasesIn ??= new AliasesIn(server.aliasMemory);
  const aliases = connection.aliasesIn;
  let topic: string | null = null;
  if (view.topicLength === 0) {
    topic = aliases.get(view.topicAlias) ?? null;
    if (topic === null) return because(server, PROTOCOL_ERROR, `topic alias ${view.topicAlias} was not set`);
  } else if (!aliases.set(view.topicAlias, frame, view.topicAt, view.topicAt + view.topicLength)) {
    server.aliasesFull.value++;
    return because(server, QUOTA_EXCEEDED, "no memory is left for topic aliases");
  }
  const bytes = ownBytes(view, topic === null ? view.topicLength : topic.length);
  if (bytes > 0 && !server.input.has(bytes, server.parts.time.nowMs())) return QUOTA_EXCEEDED;
  server.aliasFrame.build(frame, view, topic);
  return OK;
}
