/** `POST /publish` with FluxMQ's JSON: {"topic": "a/b", "payload": "<base64>", "qos": 1, "retain": false}. */
import type { Principal } from "../../core/ports.ts";
import { answerJson, refuse } from "./answer.ts";
import type { Action, HttpExchange } from "./exchange.ts";
import type { Publishing } from "./publishing.ts";

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export class PublishJson implements Action {
  readonly #publishing: Publishing;

  constructor(publishing: Publishing) {
    this.#publishing = publishing;
  }

  onPrincipal(exchange: HttpExchange, _principal: Principal): void {
    exchange.readBody();
  }

  onBody(exchange: HttpExchange, body: Buffer): void {
    const fields = parse(body);
    const problem = fields === null ? "the body is not a JSON object" : this.#take(exchange, fields);
    if (problem !== null) {
      refuse(exchange.response, 400, "body-invalid", problem);
      return;
    }
    if (!this.#publishing.mayPublish(exchange)) return;
    const payload = Buffer.from((fields as Record<string, string | undefined>)["payload"] ?? "", "base64");
    if (this.#publishing.publish(exchange, payload, null)) this.onSettled(exchange);
  }

  onSettled(exchange: HttpExchange): void {
    answerJson(exchange.response, 200, { status: "ok" });
  }

  /** @returns what is wrong in words, null when nothing is */
  #take(exchange: HttpExchange, fields: Record<string, unknown>): string | null {
    const { topic, payload = "", qos, retain = false } = fields;
    if (typeof topic !== "string") return "topic is a string";
    if (typeof payload !== "string" || !BASE64.test(payload)) return "payload is a string in base64";
    if (qos !== undefined && qos !== 0 && qos !== 1 && qos !== 2) return "qos is 0, 1 or 2";
    if (typeof retain !== "boolean") return "retain is true or false";
    this.#publishing.resetOptions();
    if (qos !== undefined) this.#publishing.options.qos = qos;
    this.#publishing.options.retain = retain;
    exchange.topic = topic;
    return null;
  }
}

function parse(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
