/** "cloud" for priority 0, "cloud#7" for 7: in the store and, behind "uplink:", in the ledger. */
export function className(uplink: string, priority: number): string {
  return priority === 0 ? uplink : `${uplink}#${priority}`;
}
