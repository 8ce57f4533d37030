/** Identity and rights where a program that embeds the gateway has its word before the configuration. */
import { NOT_AUTHORIZED, SERVER_BUSY, SUCCESS } from "../wire/mqtt/codes.ts";
import type { Action, HookCalls, Hooks, Verdict } from "./hooks.ts";
import type { Authority, LoginRequest, LoginWaiter, Principal } from "./ports.ts";
import type { ScramRecord } from "./scram.ts";

/** How long `authenticate` may take; then the login is refused. */
export const AUTHENTICATE_MS_MAX = 10_000;
/** Logins that wait for `authenticate`; the next one is told to come again later (0x89). */
export const AUTHENTICATING_MAX = 128;

export class HookAuthority implements Authority {
  readonly #inner: Authority;
  readonly #hooks: Hooks;
  readonly #calls: HookCalls;
  #changes = 0;
  #waiting = 0;

  constructor(inner: Authority, hooks: Hooks, calls: HookCalls) {
    this.#inner = inner;
    this.#hooks = hooks;
    this.#calls = calls;
  }

  get generation(): number {
    return this.#inner.generation + this.#changes;
  }

  get open(): boolean {
    return this.#hooks.authorize === undefined && this.#inner.open;
  }

  /** What `authorize` says may have changed: routes are made anew. */
  rightsChanged(): void {
    this.#changes++;
  }

  authenticate(request: LoginRequest, waiter: LoginWaiter): void {
    const { authenticate } = this.#hooks;
    if (authenticate === undefined) {
      this.#inner.authenticate(request, waiter);
      return;
    }
    if (this.#waiting >= AUTHENTICATING_MAX) {
      waiter.onLogin(null, SERVER_BUSY);
      return;
    }
    let verdict: Verdict | Promise<Verdict>;
    try {
      verdict = authenticate(request);
    } catch (error) {
      this.#calls.failed("authenticate", error);
      waiter.onLogin(null, NOT_AUTHORIZED);
      return;
    }
    if (verdict instanceof Promise) this.#wait(verdict, request, waiter);
    else this.#decide(verdict, request, waiter);
  }

  #wait(verdict: Promise<Verdict>, request: LoginRequest, waiter: LoginWaiter): void {
    this.#waiting++;
    let open = true;
    const end = (): boolean => {
      if (!open) return false;
      open = false;
      this.#waiting--;
      clearTimeout(deadline);
      return true;
    };
    const fail = (error: unknown): void => {
      if (!end()) return;
      this.#calls.failed("authenticate", error);
      waiter.onLogin(null, NOT_AUTHORIZED);
    };
    const deadline = setTimeout(() => fail(new Error(`no answer in ${AUTHENTICATE_MS_MAX} ms`)), AUTHENTICATE_MS_MAX);
    deadline.unref();
    verdict.then((decided) => {
      if (end()) this.#decide(decided, request, waiter);
    }, fail);
  }

  #decide(verdict: Verdict, request: LoginRequest, waiter: LoginWaiter): void {
    this.#calls.worked("authenticate");
    if (verdict === undefined) this.#inner.authenticate(request, waiter);
    else if (verdict === null) waiter.onLogin(null, NOT_AUTHORIZED);
    else waiter.onLogin({ name: verdict.userName, clientId: request.clientId }, SUCCESS);
  }

  scramRecord(userName: string): ScramRecord | null {
    // `authenticate` cannot judge a proof, and there is to be no way past it.
    return this.#hooks.authenticate === undefined ? this.#inner.scramRecord(userName) : null;
  }

  mayPublish(principal: Principal, topic: string): boolean {
    return this.#ask(principal, "publish", topic) ?? this.#inner.mayPublish(principal, topic);
  }

  mayRead(principal: Principal, topic: string): boolean {
    return this.#ask(principal, "read", topic) ?? this.#inner.mayRead(principal, topic);
  }

  maySubscribe(principal: Principal, filter: string): boolean {
    return this.#ask(principal, "subscribe", filter) ?? this.#inner.maySubscribe(principal, filter);
  }

  #ask(principal: Principal, action: Action, topic: string): boolean | undefined {
    const { authorize } = this.#hooks;
    if (authorize === undefined) return undefined;
    this.#calls.running = true;
    try {
      const answer = authorize(principal, action, topic);
      this.#calls.worked("authorize");
      return answer;
    } catch (error) {
      return this.#calls.failed("authorize", error);
    } finally {
      this.#calls.running = false;
    }
  }
}
