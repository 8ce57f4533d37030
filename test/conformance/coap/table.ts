/** The normative statements of CoAP, in the order of the documents' chapters. */
import type { Section } from "../statement.ts";
import { RFC6690 } from "./statements/rfc6690.ts";
import { RFC7252_3, RFC7252_4 } from "./statements/rfc7252-3.ts";
import { RFC7252_5_1, RFC7252_5_5, RFC7252_5_10 } from "./statements/rfc7252-5.ts";
import { RFC7252_6 } from "./statements/rfc7252-6.ts";
import { RFC7252_9 } from "./statements/rfc7252-9.ts";
import { RFC7252_10 } from "./statements/rfc7252-10.ts";
import { RFC7641 } from "./statements/rfc7641.ts";
import { RFC7959 } from "./statements/rfc7959.ts";
import { RFC7967, RFC8132 } from "./statements/rfc8132.ts";
import { RFC9175_ECHO, RFC9175_TAG } from "./statements/rfc9175.ts";

export const TABLE: readonly Section[] = [
  { name: "RFC 7252: 3 Message format", statements: RFC7252_3 },
  { name: "RFC 7252: 4 Message transmission", statements: RFC7252_4 },
  { name: "RFC 7252: 5.1-5.4 Requests and responses", statements: RFC7252_5_1 },
  { name: "RFC 7252: 5.5-5.9 Payloads, methods, codes", statements: RFC7252_5_5 },
  { name: "RFC 7252: 5.10 Options", statements: RFC7252_5_10 },
  { name: "RFC 7252: 6-8 URIs, discovery, multicast", statements: RFC7252_6 },
  { name: "RFC 7252: 9 DTLS", statements: RFC7252_9 },
  { name: "RFC 7252: 10-11 Proxying to HTTP, security", statements: RFC7252_10 },
  { name: "RFC 7641: Observe", statements: RFC7641 },
  { name: "RFC 7959: Block-wise transfers", statements: RFC7959 },
  { name: "RFC 6690: Link format", statements: RFC6690 },
  { name: "RFC 7967: No-Response", statements: RFC7967 },
  { name: "RFC 8132: FETCH, PATCH, iPATCH", statements: RFC8132 },
  { name: "RFC 9175: 2, 5-6 Echo", statements: RFC9175_ECHO },
  { name: "RFC 9175: 3-4 Request-Tag, tokens", statements: RFC9175_TAG },
];

/** Rows of each document: none may get lost. */
export const TOTALS: Readonly<Record<string, number>> = {
  RFC7252: 173,
  RFC7641: 39,
  RFC7959: 33,
  RFC6690: 9,
  RFC7967: 4,
  RFC8132: 4,
  RFC9175: 32,
};
