/** The files an uplink's connection is made with: a reload connects anew when what is in one has changed. */
import { readFileSync } from "node:fs";
import { crypto } from "../base/crypto.ts";
import type { UplinkConfig } from "../config/uplinks.ts";

/** By key of the configuration: what is in the file, shortened to compare. */
export type Contents = ReadonlyMap<string, string>;

export function contentsOf({ tls, passwordFile, proxy }: UplinkConfig): Contents {
  const files: [key: string, path: string | null | undefined][] = [
    ["tls.ca", tls?.ca],
    ["tls.cert", tls?.cert],
    ["tls.key", tls?.key],
    ["password_file", passwordFile],
    ["proxy_password_file", proxy?.passwordFile],
  ];
  const contents = new Map<string, string>();
  for (const [key, path] of files) if (path !== null && path !== undefined) contents.set(key, digest(path));
  return contents;
}

/** @returns keys of the files whose contents are others than before; a file that was not there before is none */
export function changedFiles(before: Contents, after: Contents): string[] {
  return [...after].filter(([key, digest]) => before.has(key) && before.get(key) !== digest).map(([key]) => key);
}

/** A file that cannot be read is one of its own kind: the connection will say so in words. */
function digest(path: string): string {
  try {
    return crypto().createHash("sha256").update(readFileSync(path)).digest("base64");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unreadable";
  }
}
