import type { Message } from "./message.ts";

/**
 * What a publisher hands to the router: offsets into the bytes it arrived in, nothing copied. Each conversation
 * reuses one; the bytes are valid until `Router.publish` returns, and whoever keeps them copies them (`messageOf`).
 */
export class Publication {
  /** The bytes that all offsets below point into. */
  bytes: Buffer = EMPTY;
  topicFrom = 0;
  topicEnd = 0;
  /** The forwardable MQTT 5 property block without its length prefix (no Topic Alias, no Subscription Identifier). */
  propertiesFrom = 0;
  propertiesEnd = 0;
  payloadFrom = 0;
  payloadEnd = 0;
  /** 0 to 2. */
  qos = 0;
  retain = false;
  /** Message Expiry Interval; -1 = never expires. */
  expirySeconds = -1;
  /** Router slot of the publishing session, for No Local; -1 for others. */
  publisher = -1;
  /**
   * A whole MQTT PUBLISH frame with these very fields, for receivers of the same version to copy as it stands:
   * 4 (also serves 3) or 5; 0 when there is none.
   */
  frameVersion = 0;
  frameFrom = 0;
  frameEnd = 0;
  /** `bytes` is what was read, and stays as it is until all that was read is dealt with: the frame may be copied then. */
  lasting = false;
  /** Several receivers may get the frame as it stands, unchanged. The router sets it. */
  shared = false;
  /** What the transport answered to the last of them, for the next; -1 = none has got it. The router resets it. */
  sharedTicket = -1;
  /** The message made of it when somebody has to keep it; made once, shared by all who do. The router resets it. */
  kept: Message | null = null;

  get topic(): string {
    return this.bytes.toString("utf8", this.topicFrom, this.topicEnd);
  }

  /** Bytes a message made of this would own. */
  get length(): number {
    return (
      this.topicEnd - this.topicFrom + this.propertiesEnd - this.propertiesFrom + this.payloadEnd - this.payloadFrom
    );
  }

  /**
   * Sets all fields from parts that do not lie in one frame (HTTP, CoAP, serial, wills): copies them into a fresh
   * buffer. Not for the MQTT packet path.
   */
  setParts(topic: string, payload: Uint8Array, qos: number, retain: boolean, properties: Uint8Array = EMPTY): void {
    const topicLength = Buffer.byteLength(topic);
    const bytes = Buffer.allocUnsafe(topicLength + properties.length + payload.length);
    bytes.write(topic, 0, "utf8");
    bytes.set(properties, topicLength);
    bytes.set(payload, topicLength + properties.length);
    this.setLaidOut(bytes, topicLength, topicLength + properties.length, qos, retain);
  }

  /** As `setParts`, from bytes that are laid out as those of a message; not copied. */
  setLaidOut(bytes: Buffer, topicEnd: number, propertiesEnd: number, qos: number, retain: boolean): void {
    this.bytes = bytes;
    this.topicFrom = 0;
    this.topicEnd = topicEnd;
    this.propertiesFrom = topicEnd;
    this.propertiesEnd = propertiesEnd;
    this.payloadFrom = propertiesEnd;
    this.payloadEnd = bytes.length;
    this.qos = qos;
    this.retain = retain;
    this.expirySeconds = -1;
    this.publisher = -1;
    this.frameVersion = 0;
    this.frameFrom = 0;
    this.frameEnd = 0;
    this.lasting = false;
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
