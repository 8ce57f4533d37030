/**
 * What every uplink needs, loaded in one piece with the first of them: each import of its own would cut what the pieces
 * share into files of their own, and each file costs time and memory at the start.
 */
export { createDial } from "../transport/dialer.ts";
export { systemNetwork as network } from "../transport/network.ts";
export { hasAggregation, writesCbor } from "../uplink/aggregate/rules.ts";
export { budget as uplinkBudget } from "../uplink/budget.ts";
export { isMetered } from "../uplink/link/uplink-connection.ts";
export { needsAnyOrder } from "../uplink/out/queue-order.ts";
export { Uplink } from "../uplink/uplink.ts";
