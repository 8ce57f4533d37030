/**
 * A configuration file, judged as a whole: its text, the files it names, and what is in the files of passwords, keys and access.
 * Loads the YAML parser, which costs 9 MB: `run` lets a child do it (child-configuration.ts).
 */
import type { Complaint } from "../config/complaint.ts";
import { type Config, defaultConfig } from "../config/config.ts";
import { readSmallFile } from "../config/files.ts";
import { load } from "../config/load.ts";
import { directoryOf } from "../config/names.ts";
import { parsePskFile } from "../config/psk-file.ts";
import { parseAclFile } from "../core/acl-file.ts";
import { parsePasswordFile } from "../core/password-file.ts";

/** What the child prints and the parent reads. */
export interface Configuration {
  /** null when there are complaints. */
  readonly config: Config | null;
  readonly complaints: readonly Complaint[];
}

/** @param file null = no file, all defaults */
export function readConfiguration(file: string | null): Configuration {
  if (file === null) return { config: defaultConfig(), complaints: [] };
  let text: string;
  try {
    text = readSmallFile(file);
  } catch (error) {
    const complaint = { file: null, path: "", line: 0, problem: (error as Error).message, advice: "" };
    return { config: null, complaints: [complaint] };
  }
  return judge(text, directoryOf(file));
}

/** @param text YAML or JSON  @param directory where relative paths in it start */
export function judge(text: string, directory: string): Configuration {
  const { config, complaints } = load(text, { directory });
  if (config === null) return { config, complaints };
  complaintsAboutAuth(config, complaints);
  for (const { coap } of config.listeners) {
    const pskFile = coap?.dtls?.pskFile ?? null;
    if (pskFile !== null) parsePskFile(readSmallFile(pskFile), pskFile, complaints);
  }
  return { config: complaints.length === 0 ? config : null, complaints };
}

function complaintsAboutAuth(config: Config, complaints: Complaint[]): void {
  const { passwordFile, aclFile } = config.auth;
  if (passwordFile !== null) parsePasswordFile(readSmallFile(passwordFile), passwordFile, complaints);
  if (aclFile !== null) parseAclFile(readSmallFile(aclFile), aclFile, complaints);
}
