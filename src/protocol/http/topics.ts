/** `/topics/{topic}`: PUT and POST publish the body, GET gives the retained value. */
import { entityTagOf, mediaTypeOf } from "../../core/plain-publish.ts";
import type { Principal } from "../../core/ports.ts";
import { answerNothing, refuse, refuseUnreadable } from "./answer.ts";
import type { Action, HttpExchange } from "./exchange.ts";
import type { HttpParts } from "./parts.ts";
import type { Publishing } from "./publishing.ts";

/** A value is its publisher's, and a browser must not take it for a page of the gateway. */
const VALUE_HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy": "sandbox; default-src 'none'",
  "x-content-type-options": "nosniff",
};

export class PublishTopic implements Action {
  readonly #publishing: Publishing;

  constructor(publishing: Publishing) {
    this.#publishing = publishing;
  }

  onPrincipal(exchange: HttpExchange, _principal: Principal): void {
    if (decodeTopic(exchange) && this.#publishing.mayPublish(exchange) && this.#readOptions(exchange)) {
      exchange.readBody();
    }
  }

  onBody(exchange: HttpExchange, body: Buffer): void {
    if (!this.#readOptions(exchange)) return; // read again: others came between
    const mediaType = exchange.request.headers["content-type"] ?? null;
    if (this.#publishing.publish(exchange, body, mediaType)) this.onSettled(exchange);
  }

  onSettled(exchange: HttpExchange): void {
    answerNothing(exchange.response, 204);
  }

  #readOptions(exchange: HttpExchange): boolean {
    this.#publishing.resetOptions();
    for (const [key, value] of exchange.query) {
      const problem = this.#publishing.options.take(key, value);
      if (problem === null) continue;
      refuse(exchange.response, 400, "query-invalid", problem);
      return false;
    }
    return true;
  }
}

export class ReadTopic implements Action {
  readonly #parts: HttpParts;

  constructor(parts: HttpParts) {
    this.#parts = parts;
  }

  onPrincipal(exchange: HttpExchange, principal: Principal): void {
    if (!decodeTopic(exchange)) return;
    const { request, response, topic } = exchange;
    if (!this.#parts.authority.mayRead(principal, topic)) {
      refuse(response, 403, "not-allowed", "may not read this topic");
      return;
    }
    const message = this.#parts.retained.get(topic);
    if (message === undefined && this.#parts.retained.has(topic)) {
      refuseUnreadable(response);
      return;
    }
    if (message === undefined) {
      refuse(response, 404, "no-retained-value", "nothing is retained for this topic");
      return;
    }
    const etag = `"${entityTagOf(message).toString("hex")}"`;
    const headers = { etag, ...VALUE_HEADERS };
    if (request.headers["if-none-match"]?.split(/\s*,\s*/).includes(etag)) {
      answerNothing(response, 304, headers);
      return;
    }
    response.writeHead(200, {
      ...headers,
      "content-type": mediaTypeOf(message) ?? "application/octet-stream",
      "content-length": message.payload.length,
    });
    response.end(message.payload);
  }

  onBody(): void {}

  onSettled(): void {}
}

/** @returns false when the request has been refused */
function decodeTopic(exchange: HttpExchange): boolean {
  try {
    exchange.topic = decodeURIComponent(exchange.rest);
    return true;
  } catch {
    refuse(exchange.response, 400, "topic-invalid", "the path is not percent-encoded UTF-8");
    return false;
  }
}
