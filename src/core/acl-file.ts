/**
 * Access control in Mosquitto's acl_file format:
 *
 *     topic read public/#             # before the first user: for anonymous clients only
 *     user alice
 *     topic readwrite alice/#         # read | write | readwrite | deny; readwrite when absent
 *     topic deny alice/secret/#
 *     pattern write devices/%c/#      # for everybody; %u user name, %c client id
 *
 * What no rule grants is refused. Denials win over grants, whichever kind of line either comes from (in Mosquitto a
 * `topic` that grants wins over a `pattern` that denies; its manual says as we do).
 *
 * A name with `+`, `#` or `/` in it gets nothing by a pattern that inserts it: client "a/b" would reach into the topics
 * of client "a". A pattern that denies is compared literally, and so still holds.
 */
import type { Complaint } from "../config/complaint.ts";
import { isTopicFilter } from "./topic.ts";

/** Access as bits. */
export const READ = 1;
export const WRITE = 2;
const DENY = 0;

export const ACL_RULES_MAX = 10_000;

interface Rule {
  readonly levels: readonly Level[];
  /** READ, WRITE, both, or DENY. */
  readonly access: number;
}

/** One level of a rule's filter: "+", "#", or text with or without %u and %c. */
interface Level {
  readonly text: string;
  readonly inserts: boolean;
}

const ACCESS: Record<string, number> = { read: READ, write: WRITE, readwrite: READ | WRITE, deny: DENY };

export class Acl {
  readonly #anonymous: Rule[] = [];
  readonly #users = new Map<string, Rule[]>();
  readonly #patterns: Rule[] = [];
  /** Rules in all. */
  size = 0;
  /** Whether a client id makes a difference. */
  usesClientId = false;

  /** @param user null = anonymous clients */
  addTopic(user: string | null, filter: string, access: number): void {
    this.#rulesOf(user).push({ levels: filter.split("/").map((text) => ({ text, inserts: false })), access });
    this.size++;
  }

  addPattern(filter: string, access: number): void {
    const levels = filter.split("/").map((text) => ({ text, inserts: /%[uc]/.test(text) }));
    this.#patterns.push({ levels, access });
    if (filter.includes("%c")) this.usesClientId = true;
    this.size++;
  }

  /** @param name "" = anonymous  @returns READ, WRITE, both or 0 */
  accessOf(name: string, clientId: string, topic: string): number {
    const levels = topic.split("/");
    let access = 0;
    for (const rule of (name === "" ? this.#anonymous : this.#users.get(name)) ?? []) {
      if (!matches(rule, levels, name, clientId)) continue;
      if (rule.access === DENY) return 0;
      access |= rule.access;
    }
    for (const rule of this.#patterns) {
      if (!matches(rule, levels, name, clientId)) continue;
      if (rule.access === DENY) return 0;
      access |= rule.access;
    }
    return access;
  }

  #rulesOf(user: string | null): Rule[] {
    if (user === null) return this.#anonymous;
    let rules = this.#users.get(user);
    if (rules === undefined) {
      rules = [];
      this.#users.set(user, rules);
    }
    return rules;
  }
}

function matches(rule: Rule, topic: readonly string[], name: string, clientId: string): boolean {
  const { levels, access } = rule;
  const system = topic[0]?.startsWith("$") === true;
  // [MQTT5-4.7.2-1], and an inserted name must not open $SYS either
  if (system && levels[0]?.text.startsWith("$") !== true) return false;
  let at = 0;
  for (const level of levels) {
    if (level.text === "#") return true;
    if (level.inserts) {
      const next = matchInserted(level.text, topic, at, name, clientId, access === DENY);
      if (next === -1) return false;
      at = next;
      continue;
    }
    if (at === topic.length || (level.text !== "+" && level.text !== topic[at])) return false;
    at++;
  }
  return at === topic.length;
}

/** @returns the index after the topic's levels that `template` matches from `at` on, or -1 */
function matchInserted(
  template: string,
  topic: readonly string[],
  at: number,
  name: string,
  clientId: string,
  denies: boolean,
): number {
  const usesName = template.includes("%u");
  const usesId = template.includes("%c");
  if ((usesName && name === "") || (usesId && clientId === "")) return -1;
  const text = template.replaceAll(/%[uc]/g, (placeholder) => (placeholder === "%u" ? name : clientId));
  if (!denies && ((usesName && !isPlain(name)) || (usesId && !isPlain(clientId)))) return -1;
  const wanted = text.split("/"); // more than one only when a name has a slash
  if (at + wanted.length > topic.length) return -1;
  for (const [i, level] of wanted.entries()) if (topic[at + i] !== level) return -1;
  return at + wanted.length;
}

function isPlain(name: string): boolean {
  return !/[+#/]/.test(name);
}

/** @param file  its name in complaints */
export function parseAclFile(text: string, file: string, complaints: Complaint[]): Acl {
  const acl = new Acl();
  let user: string | null = null;
  for (const [i, raw] of text.split("\n").entries()) {
    const complain = (problem: string, advice: string): void => {
      complaints.push({ file, path: "", line: i + 1, problem, advice });
    };
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const space = line.indexOf(" ");
    const verb = space === -1 ? line : line.slice(0, space);
    const rest = space === -1 ? "" : line.slice(space).trim();
    if (verb === "user") {
      if (rest === "") complain("names no user", "write: user NAME");
      else user = rest;
    } else if (verb === "topic" || verb === "pattern") {
      const rule = parseRule(rest);
      if (typeof rule === "string") complain(rule, `write: ${verb} read|write|readwrite|deny FILTER`);
      else if (acl.size === ACL_RULES_MAX) {
        complain(`has more than ${ACL_RULES_MAX} rules`, "use patterns with %u or %c");
        break;
      } else if (verb === "topic") acl.addTopic(user, rule.filter, rule.access);
      else acl.addPattern(rule.filter, rule.access);
    } else complain(`${JSON.stringify(verb.slice(0, 80))} is no rule`, "a line begins with user, topic or pattern");
  }
  return acl;
}

/** @returns what is wrong, when something is */
function parseRule(text: string): { filter: string; access: number } | string {
  if (text === "") return "names no topic";
  const space = text.indexOf(" ");
  const word = space === -1 ? "" : text.slice(0, space);
  const filter = space === -1 ? text : text.slice(space).trim();
  const access = word === "" ? READ | WRITE : Object.hasOwn(ACCESS, word) ? ACCESS[word] : undefined;
  if (access === undefined) return `${JSON.stringify(word)} is no access`;
  return isTopicFilter(filter) ? { filter, access } : `${JSON.stringify(filter)} is no topic filter`;
}
