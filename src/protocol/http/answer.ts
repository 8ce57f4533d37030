/** Every answer that is not a retained value: status, stable error code, words. */
import type { ServerResponse } from "node:http";
import { RETRY_AFTER_SECONDS } from "../../core/plain-publish.ts";
import {
  BAD_USER_NAME_OR_PASSWORD,
  IMPLEMENTATION_SPECIFIC_ERROR,
  NOT_AUTHORIZED,
  QUOTA_EXCEEDED,
} from "../../wire/mqtt/codes.ts";

/** Clients may depend on these. */
export type ErrorCode =
  | "body-too-large"
  | "body-invalid"
  | "busy"
  | "full"
  | "login-required"
  | "method-not-allowed"
  | "not-allowed"
  | "no-retained-value"
  | "no-such-path"
  | "origin-not-allowed"
  | "query-invalid"
  | "store-failed"
  | "topic-invalid";

type Headers = Record<string, string | number>;

export function answerJson(response: ServerResponse, status: number, body: object, headers: Headers = {}): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length, ...headers });
  response.end(bytes);
}

export function answerNothing(response: ServerResponse, status: number, headers: Headers = {}): void {
  response.writeHead(status, headers);
  response.end();
}

export function refuse(
  response: ServerResponse,
  status: number,
  error: ErrorCode,
  detail: string,
  headers: Headers = {},
): void {
  answerJson(response, status, { error, detail }, headers);
}

/** 503, to be tried again soon. */
export function refuseBusy(response: ServerResponse, detail: string): void {
  refuse(response, 503, "busy", detail, { "retry-after": RETRY_AFTER_SECONDS });
}

/** @param reason from `Router.publish` or `onStored`: nobody has the message */
export function refuseStored(response: ServerResponse, reason: number): void {
  const headers = { "retry-after": RETRY_AFTER_SECONDS };
  if (reason === QUOTA_EXCEEDED) {
    refuse(response, 507, "full", "a receiver that must have it, or the store, takes no more", headers);
  } else if (reason === NOT_AUTHORIZED) {
    refuse(response, 403, "not-allowed", "this message is not let through");
  } else if (reason === IMPLEMENTATION_SPECIFIC_ERROR) {
    refuse(response, 503, "store-failed", "the store cannot write", headers);
  } else {
    refuseBusy(response, "not taken");
  }
}

/** A value that is there, in a store that has failed. */
export function refuseUnreadable(response: ServerResponse): void {
  refuse(response, 503, "store-failed", "the store cannot be read", { "retry-after": RETRY_AFTER_SECONDS });
}

/** @param reason from `onLogin` */
export function refuseLogin(response: ServerResponse, reason: number): void {
  if (reason === BAD_USER_NAME_OR_PASSWORD || reason === NOT_AUTHORIZED) {
    refuse(response, 401, "login-required", "give a user name and password that this gateway knows", {
      "www-authenticate": 'Basic realm="sluice", charset="UTF-8"',
    });
  } else {
    refuseBusy(response, "too many logins under way");
  }
}
