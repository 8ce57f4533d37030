/** Names in the store of what is kept for each server of an uplink that has several. */

/** Kinds of receivers; see server-sessions.ts. */
export const SERVER_KINDS = ["server", "server-sent"] as const;

export function serverRecordName(uplink: string, url: string): string {
  return `${uplink} ${url}`;
}

/** The uplink that a name is of. */
export function uplinkOfRecord(name: string): string {
  return name.slice(0, name.indexOf(" "));
}
