/** States of a conversation, answers of packet handlers, and the named limits of this room. */

export const WAITING_FOR_CONNECT = 0;
export const LOGGING_IN = 1;
export const CONNECTED = 2;
export const CLOSED = 3;
/** The exchange of enhanced authentication that CONNECT began is under way. */
export const AUTHENTICATING = 4;

/** A handler's answer: the packet stays, and is looked at again after `resumeReading`. */
export const HOLD = -100;
/** A handler's answer: a part of the packet is done, as much as one turn has for it; the packet comes again for the rest. */
export const PART = -101;

/** Bytes of incomplete or held packets of all connections together; beyond them, see input-room.ts. */
export const INPUT_BYTES_MAX = 336 * 1024;
/** Who has not completed a packet, or a login, after so long is closed when others need its room. */
export const STALLED_MS = 1000;
/** Memory of SUBACKs and UNSUBACKs that wait for the store, per connection: 64 small ones; then the next of these packets waits. */
export const SUBACK_BYTES_MAX = 16 * 1024;
/** A part of a packet that is at least so long keeps its connection alive. */
export const SEGMENT_BYTES_MIN = 64;
/** When a paused connection that is past its deadline is looked at again. */
export const PAUSED_RECHECK_MS = 1000;
/** How often a held packet is tried again. */
export const HELD_RETRY_MS = 200;
