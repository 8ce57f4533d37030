/**
 * What keeps a message from going round: each gateway that forwards one in 5.0 appends a User Property of its own, and
 * neither forwards nor takes in what has it already.
 *
 *     cloud A ──> gw-1 ──[sluice: gw-1]──> cloud B ──> gw-2 ──[sluice: gw-1][sluice: gw-2]──> cloud A ──> gw-1: stop
 *
 * Before 5.0 a message has no place for it. There, what was sent does not come back over the same connection (No Local,
 * the bridge bit), and that is all: a longer way round has to be kept apart by topics.
 */

import { writeText } from "../../wire/mqtt/primitives.ts";
import { propertyEnd, USER_PROPERTY } from "../../wire/mqtt/property-table.ts";

const NAME = "sluice";

export class LoopMark {
  /** The property as it stands in a block. */
  readonly property: Buffer;

  constructor(node: string) {
    this.property = Buffer.allocUnsafeSlow(1 + 2 + NAME.length + 2 + Buffer.byteLength(node));
    this.property[0] = USER_PROPERTY;
    writeText(this.property, writeText(this.property, 1, NAME), node);
  }

  /** Whether the properties in `bytes[from..end)` hold it. */
  isIn(bytes: Buffer, from: number, end: number): boolean {
    const { length } = this.property;
    // A property is written in one way only, so that its bytes say it all.
    for (let at = from; at + length <= end; ) {
      const next = propertyEnd(bytes, at, end);
      if (next < 0) return false;
      if (next - at === length && bytes[at] === USER_PROPERTY && isSame(this.property, bytes, at)) return true;
      at = next;
    }
    return false;
  }
}

function isSame(property: Buffer, bytes: Buffer, at: number): boolean {
  for (let i = 0; i < property.length; i++) if (property[i] !== bytes[at + i]) return false;
  return true;
}
