/**
 * Who may come in, and who may what: a password file and an ACL file, both reloadable while the gateway runs.
 *
 * A login by password costs a key derivation in libuv's pool. One runs at a time (four would keep the disk waiting for
 * a thread), a bounded queue waits behind it, and beyond that the answer is "busy". Every login by password derives
 * with as many iterations as the costliest user of the file, known user or not, so the time tells nothing. What was
 * verified is remembered under a keyed hash, so that devices that reconnect cost microseconds.
 *
 * Decisions on topics are cached in a table of fixed size: the hash of name, client id and topic chooses a set of four
 * slots, of which the newest decision takes the first and the oldest leaves the last.
 */

import type { KeyObject } from "node:crypto";
import type { Counter, Counters } from "../base/counters.ts";
import { crypto } from "../base/crypto.ts";
import { Semaphore, SemaphoreFull } from "../base/semaphore.ts";
import type { Line } from "../config/budget.ts";
import type { Complaint } from "../config/complaint.ts";
import type { AnonymousPolicy } from "../config/listeners.ts";
import { BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED, SERVER_BUSY, SUCCESS } from "../wire/mqtt/codes.ts";
import { type Acl, parseAclFile, READ, WRITE } from "./acl-file.ts";
import { hashLike, type PasswordRecord, parsePasswordFile, type UserRecord } from "./password-file.ts";
import type { Authority, LoginRequest, LoginWaiter, Principal } from "./ports.ts";
import type { ScramRecord } from "./scram.ts";
import { hasWildcard } from "./topic.ts";

/** The files as they were read; null = not configured. Names are for complaints. */
export interface AuthorityFiles {
  readonly anonymous: AnonymousPolicy;
  readonly passwords: { readonly text: string; readonly file: string } | null;
  readonly acl: { readonly text: string; readonly file: string } | null;
}

/** Logins that wait for the one that derives its key. */
const WAITING_MAX = 128;
/** A password is a word or a token; longer ones are refused unread. */
export const PASSWORD_BYTES_MAX = 1024;
/** Verified logins that are remembered; the oldest goes first. */
const VERIFIED_MAX = 512;
const VERIFIED_BYTES = 256;
const DECISIONS = 1024;
const WAYS = 4;
/** Decisions on longer topics are not cached. */
const DECISION_CHARACTERS_MAX = 128;
/** Slot, topic string of one byte per character, share of the name. */
const DECISION_BYTES = 32 + DECISION_CHARACTERS_MAX;
const USER_BYTES = 512;
const RULE_BYTES = 384;

interface Decision {
  readonly name: string;
  readonly clientId: string;
  readonly topic: string;
  readonly access: number;
}

/** Without users; nobody is asked for a password then. */
const NOBODY: PasswordRecord = { iterations: 0, salt: Buffer.alloc(0), hash: Buffer.alloc(64) };

export class FileAuthority implements Authority {
  generation = 0;
  #anonymous: AnonymousPolicy = "never";
  #users: Map<string, UserRecord> | null = null;
  #acl: Acl | null = null;
  /** Stands in for users that do not exist, and tells how many iterations every login takes. */
  #decoy: PasswordRecord = NOBODY;
  readonly #hashing = new Semaphore(1, WAITING_MAX);
  /** User name to keyed hash of the password that was right. */
  readonly #verified = new Map<string, Buffer>();
  #verifiedKey: KeyObject | null = null;
  readonly #decisions: (Decision | null)[] = new Array<Decision | null>(DECISIONS).fill(null);
  readonly #granted: Counter;
  readonly #refused: Counter;
  readonly #busy: Counter;
  readonly #hashes: Counter;
  readonly #denied: Counter;

  constructor(counters: Counters) {
    this.#granted = counters.counter("auth.granted");
    this.#refused = counters.counter("auth.refused");
    this.#busy = counters.counter("auth.busy");
    this.#hashes = counters.counter("auth.hashes");
    this.#denied = counters.counter("auth.denied");
  }

  get open(): boolean {
    return this.#acl === null;
  }

  /** Takes over the files, all of them or, when there is any complaint, none. */
  reload(files: AuthorityFiles): Complaint[] {
    const complaints: Complaint[] = [];
    const { passwords } = files;
    const users = passwords === null ? null : parsePasswordFile(passwords.text, passwords.file, complaints);
    const acl = files.acl === null ? null : parseAclFile(files.acl.text, files.acl.file, complaints);
    if (complaints.length > 0) return complaints;
    this.#anonymous = files.anonymous;
    this.#users = users;
    this.#acl = acl;
    this.#decoy = users === null ? NOBODY : decoyFor(users);
    this.#verified.clear();
    this.#decisions.fill(null);
    this.generation++;
    return [];
  }

  authenticate(request: LoginRequest, waiter: LoginWaiter): void {
    const { certificateName, clientId, password } = request;
    if (certificateName !== null && certificateName !== "") {
      // Serial ports have names of their own, which no certificate may take.
      if (certificateName.startsWith("serial:")) this.#refuse(waiter, NOT_AUTHORIZED);
      else this.#grant(waiter, certificateName, clientId);
      return;
    }
    // Some clients send an empty user name where they mean none.
    const userName = request.userName === "" ? null : request.userName;
    if (userName === null && password !== null && password.length > 0) {
      this.#refuse(waiter, BAD_USER_NAME_OR_PASSWORD);
    } else if (userName === null || this.#users === null) {
      this.#authenticateAnonymous(request, userName, waiter);
    } else if (password === null || password.length > PASSWORD_BYTES_MAX) {
      this.#refuse(waiter, BAD_USER_NAME_OR_PASSWORD);
    } else if (this.#isRemembered(userName, password)) {
      this.#grant(waiter, userName, clientId);
    } else if (request.admit?.() === false) {
      this.#busy.value++;
      waiter.onLogin(null, SERVER_BUSY);
    } else {
      this.#authenticateByPassword(userName, password, clientId, waiter);
    }
  }

  scramRecord(userName: string): ScramRecord | null {
    return this.#users?.get(userName)?.scram ?? null;
  }

  mayPublish(principal: Principal, topic: string): boolean {
    return this.#may(principal, topic, WRITE);
  }

  mayRead(principal: Principal, topic: string): boolean {
    return this.#may(principal, topic, READ);
  }

  maySubscribe(principal: Principal, filter: string): boolean {
    return hasWildcard(filter) || this.#may(principal, filter, READ);
  }

  /** Without a password file nobody can prove a name, so a name counts for nothing. */
  #authenticateAnonymous(request: LoginRequest, userName: string | null, waiter: LoginWaiter): void {
    const policy = request.anonymous ?? this.#anonymous;
    if (policy === "always" || (policy === "loopback" && request.loopback)) this.#grant(waiter, "", request.clientId);
    else this.#refuse(waiter, userName === null ? NOT_AUTHORIZED : BAD_USER_NAME_OR_PASSWORD);
  }

  #authenticateByPassword(userName: string, password: Buffer, clientId: string, waiter: LoginWaiter): void {
    this.#hashing
      .run(() => this.#isRight(userName, password))
      .then(
        (right) => {
          if (right) this.#grant(waiter, userName, clientId);
          else this.#refuse(waiter, BAD_USER_NAME_OR_PASSWORD);
        },
        (error: unknown) => {
          if (!(error instanceof SemaphoreFull)) throw error;
          this.#busy.value++;
          waiter.onLogin(null, SERVER_BUSY);
        },
      );
  }

  /** A reload in between holds: it begins again. */
  async #isRight(userName: string, password: Buffer): Promise<boolean> {
    this.#hashes.value++;
    const users = this.#users;
    const decoy = this.#decoy;
    const known = users?.get(userName)?.password ?? null;
    const record = known ?? decoy;
    const hash = await hashLike(record, password);
    const missing = decoy.iterations - record.iterations;
    if (missing > 0) await hashLike({ ...decoy, iterations: missing }, password);
    if (this.#users !== users) return this.#isRight(userName, password);
    if (!crypto().timingSafeEqual(hash, record.hash) || known === null) return false;
    this.#remember(userName, password);
    return true;
  }

  #isRemembered(userName: string, password: Buffer): boolean {
    const verified = this.#verified.get(userName);
    return verified !== undefined && crypto().timingSafeEqual(verified, this.#keyedHash(password));
  }

  #remember(userName: string, password: Buffer): void {
    const oldest = this.#verified.keys().next();
    if (this.#verified.size >= VERIFIED_MAX && oldest.done !== true) this.#verified.delete(oldest.value);
    this.#verified.set(userName, this.#keyedHash(password));
  }

  #keyedHash(password: Buffer): Buffer {
    // As an object: node makes one of a Buffer with each HMAC, which takes four times as long as the HMAC.
    this.#verifiedKey ??= crypto().createSecretKey(crypto().randomBytes(32));
    return crypto().createHmac("sha256", this.#verifiedKey).update(password).digest();
  }

  #grant(waiter: LoginWaiter, name: string, clientId: string): void {
    this.#granted.value++;
    waiter.onLogin({ name, clientId }, SUCCESS);
  }

  #refuse(waiter: LoginWaiter, reason: number): void {
    this.#refused.value++;
    waiter.onLogin(null, reason);
  }

  #may(principal: Principal, topic: string, access: number): boolean {
    const acl = this.#acl;
    if (acl === null) return true;
    const { name } = principal;
    const clientId = acl.usesClientId ? principal.clientId : "";
    const set = setOf(name, clientId, topic);
    let decision: Decision | null = null;
    for (let slot = set; slot < set + WAYS && decision === null; slot++) {
      const candidate = this.#decisions[slot] ?? null;
      if (candidate?.topic === topic && candidate.name === name && candidate.clientId === clientId)
        decision = candidate;
    }
    if (decision === null) {
      decision = { name, clientId, topic, access: acl.accessOf(name, clientId, topic) };
      if (topic.length <= DECISION_CHARACTERS_MAX) {
        this.#decisions.copyWithin(set + 1, set, set + WAYS - 1);
        this.#decisions[set] = decision;
      }
    }
    const may = (decision.access & access) !== 0;
    if (!may) this.#denied.value++;
    return may;
  }
}

/** FNV-1a over the topic and the ends of the names, where device names differ. */
function setOf(name: string, clientId: string, topic: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < topic.length; i++) hash = Math.imul(hash ^ topic.charCodeAt(i), 0x01000193);
  for (let i = Math.max(0, name.length - 8); i < name.length; i++)
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  for (let i = Math.max(0, clientId.length - 8); i < clientId.length; i++)
    hash = Math.imul(hash ^ clientId.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & (DECISIONS - WAYS);
}

function decoyFor(users: ReadonlyMap<string, UserRecord>): PasswordRecord {
  let iterations = 0;
  for (const { password } of users.values()) iterations = Math.max(iterations, password?.iterations ?? 0);
  return { iterations, salt: crypto().randomBytes(16), hash: crypto().randomBytes(64) };
}

/** Worst case of an authority over files with so many `users` and `rules`; null = no such file. */
export function budget(users: number | null, rules: number | null): Line[] {
  const lines: Line[] = [];
  if (users !== null) {
    lines.push({
      owner: "auth: users and their logins",
      bytes: users * USER_BYTES + WAITING_MAX * PASSWORD_BYTES_MAX + VERIFIED_MAX * VERIFIED_BYTES,
      how: `${users} users x ${USER_BYTES} B + ${WAITING_MAX} waiting x ${PASSWORD_BYTES_MAX} B + ${VERIFIED_MAX} verified x ${VERIFIED_BYTES} B`,
    });
  }
  if (rules !== null) {
    lines.push({
      owner: "auth: rules and decisions",
      bytes: rules * RULE_BYTES + DECISIONS * DECISION_BYTES,
      how: `${rules} rules x ${RULE_BYTES} B + ${DECISIONS} decisions x ${DECISION_BYTES} B`,
    });
  }
  return lines;
}
