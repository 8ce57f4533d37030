/** What is wrong with the dates of our own certificate: a server may just close, or give an alert that says little. */
import { readFileSync } from "node:fs";
import { crypto } from "../../base/crypto.ts";

/** @param path PEM file  @returns null when it is valid at `wallMs`, or cannot be read: the dial says so */
export function certificateWords(path: string, wallMs: number): string | null {
  try {
    const { validFrom, validTo } = new (crypto().X509Certificate)(readFileSync(path));
    if (Date.parse(validTo) < wallMs) return `our certificate has expired: ${path} was valid until ${day(validTo)}`;
    if (Date.parse(validFrom) > wallMs) return `our certificate is not valid yet: ${path} begins on ${day(validFrom)}`;
  } catch {
    // Whatever it is, it has no dates.
  }
  return null;
}

function day(date: string): string {
  return new Date(Date.parse(date)).toISOString().slice(0, 10);
}
