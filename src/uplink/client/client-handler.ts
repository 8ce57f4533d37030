/** What the MQTT client (client.ts) asks of the session behind it: the uplink's, or a program's. */
import type { PublishView } from "../../wire/mqtt/publish.ts";
import type { Owed } from "./owed.ts";
import type { SessionPackets } from "./server-packets.ts";

/** The session behind a client. */
export interface ClientHandler extends SessionPackets {
  /** The server's name is known, or needs no look-up: the connection itself begins. Again with each dial of one `open`. */
  onConnecting?(): void;
  /** Something that was sent is not answered; absent = not known. Then silence is noticed by the keep alive alone. */
  readonly awaitsAnswer?: boolean;
  /** CONNACK came; see `client.server`. */
  onConnected(): void;
  /** Offsets in `view` point into `bytes`; both are valid until it returns. `owed` is for `acknowledge`, null at QoS 0. */
  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void;
  /** A PUBLISH larger than `packetBytesMax` was thrown away and acknowledged: before 5.0, in 5.0 none is sent. */
  onOversize(): void;
  /** All that was written is on its way: `writable` may be true again. */
  onWritable(): void;
  /** The end of what `open` began, once. @param why in words; null after `close` */
  onClosed(why: string | null): void;
}
