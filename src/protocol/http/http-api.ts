/**
 * What an HTTP listener serves: paths to actions. `onRequest` is node:http's callback; headers, time-outs and the
 * number of connections are the transport's business.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Counter } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { PlainLimits } from "../../core/plain-publish.ts";
import { answerJson, refuse } from "./answer.ts";
import { Bodies, totalBytesMax } from "./body.ts";
import { loginOf } from "./credentials.ts";
import { type Action, HttpExchange } from "./exchange.ts";
import type { HttpListenerOptions, HttpParts } from "./parts.ts";
import { PublishJson } from "./publish.ts";
import { Publishing } from "./publishing.ts";
import { PublishTopic, ReadTopic } from "./topics.ts";

const TOPICS = "/topics/";

export class HttpApi {
  readonly #parts: HttpParts;
  readonly #options: HttpListenerOptions;
  readonly #bodies: Bodies;
  readonly #topics: ReadonlyMap<string, Action>;
  readonly #publish: ReadonlyMap<string, Action>;
  readonly #requests: Counter;

  constructor(parts: HttpParts, options: HttpListenerOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#bodies = new Bodies(parts.limits.maxPacketBytes);
    this.#requests = parts.counters.counter("http.requests");
    const publishing = new Publishing(parts);
    const publishTopic = new PublishTopic(publishing);
    const readTopic = new ReadTopic(parts);
    this.#topics = new Map<string, Action>([
      ["GET", readTopic],
      ["HEAD", readTopic],
      ["PUT", publishTopic],
      ["POST", publishTopic],
    ]);
    this.#publish = new Map<string, Action>([["POST", new PublishJson(publishing)]]);
  }

  readonly onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    this.#requests.value++;
    request.on("error", ignore);
    response.on("error", ignore); // the client is gone
    const url = request.url ?? "/";
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    const query = mark < 0 ? "" : url.slice(mark + 1);
    if (path.startsWith(TOPICS)) this.#guarded(this.#topics, request, response, path.slice(TOPICS.length), query);
    else if (path === "/publish") this.#guarded(this.#publish, request, response, "", query);
    else if (path === "/health") this.#health(request, response);
    else refuse(response, 404, "no-such-path", "there are /topics/{topic}, /publish and /health");
  };

  #guarded(
    actions: ReadonlyMap<string, Action>,
    request: IncomingMessage,
    response: ServerResponse,
    rest: string,
    query: string,
  ): void {
    const action = actions.get(request.method ?? "");
    if (action === undefined) {
      refuseMethod(response, [...actions.keys()].join(", "));
    } else if (isFromAnotherSite(request)) {
      refuse(response, 403, "origin-not-allowed", "a page of another site may not use this gateway");
    } else {
      const exchange = new HttpExchange(request, response, rest, new URLSearchParams(query), action, this.#bodies);
      const { authority, admitLogin } = this.#parts;
      authority.authenticate(loginOf(request, this.#options.anonymous, admitLogin), exchange);
    }
  }

  #health(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== "GET" && request.method !== "HEAD") {
      refuseMethod(response, "GET, HEAD");
      return;
    }
    const health = this.#parts.health();
    const headers = { "cache-control": "no-store" };
    if (health === "ok") answerJson(response, 200, { status: "healthy" }, headers);
    else if (health !== "failed") answerJson(response, 200, { status: "degraded", reason: `store-${health}` }, headers);
    else answerJson(response, 503, { status: "failed", reason: "store-failed" }, headers);
  }
}

function refuseMethod(response: ServerResponse, allow: string): void {
  refuse(response, 405, "method-not-allowed", `this path takes ${allow}`, { allow });
}

/**
 * Browsers name the page's origin; other clients send none. Without this, any page open in a browser on the loopback
 * side could publish as whoever the gateway takes that browser for.
 */
function isFromAnotherSite(request: IncomingMessage): boolean {
  const origin = request.headers.origin;
  if (origin === undefined) return false;
  return origin !== `http://${request.headers.host}` && origin !== `https://${request.headers.host}`;
}

function ignore(): void {}

/** Worst case of `listeners` HTTP listeners, without their sockets. */
export function budget(limits: PlainLimits, listeners: number): Line[] {
  if (listeners === 0) return [];
  const total = totalBytesMax(limits.maxPacketBytes);
  return [{ owner: "http bodies", bytes: listeners * total, how: `${listeners} listeners x ${total} B of bodies` }];
}
