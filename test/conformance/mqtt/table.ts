/** All normative statements of MQTT 3.1.1 and 5.0, in the order of the specifications' chapters. */
import type { Section } from "../statement.ts";
import { SECTION_1 } from "./statements/section-1.ts";
import { SECTION_2 } from "./statements/section-2.ts";
import { SECTION_3_1 } from "./statements/section-3-1.ts";
import { SECTION_3_2 } from "./statements/section-3-2.ts";
import { SECTION_3_3 } from "./statements/section-3-3.ts";
import { SECTION_3_4 } from "./statements/section-3-4.ts";
import { SECTION_3_5 } from "./statements/section-3-5.ts";
import { SECTION_3_6 } from "./statements/section-3-6.ts";
import { SECTION_3_7 } from "./statements/section-3-7.ts";
import { SECTION_3_8 } from "./statements/section-3-8.ts";
import { SECTION_3_9 } from "./statements/section-3-9.ts";
import { SECTION_3_10 } from "./statements/section-3-10.ts";
import { SECTION_3_11 } from "./statements/section-3-11.ts";
import { SECTION_3_12 } from "./statements/section-3-12.ts";
import { SECTION_3_14 } from "./statements/section-3-14.ts";
import { SECTION_3_15 } from "./statements/section-3-15.ts";
import { SECTION_4 } from "./statements/section-4.ts";
import { SECTION_4_FLOW } from "./statements/section-4-flow.ts";
import { SECTION_6 } from "./statements/section-6.ts";
import { SECTION_7 } from "./statements/section-7.ts";

/** Statements in appendix B of each specification: none may get lost here. */
export const TOTALS: Readonly<Record<string, number>> = { MQTT311: 141, MQTT5: 251 };

export const TABLE: readonly Section[] = [
  { name: "1 Data representation", statements: SECTION_1 },
  { name: "2 Packet format", statements: SECTION_2 },
  { name: "3.1 CONNECT", statements: SECTION_3_1 },
  { name: "3.2 CONNACK", statements: SECTION_3_2 },
  { name: "3.3 PUBLISH", statements: SECTION_3_3 },
  { name: "3.4 PUBACK", statements: SECTION_3_4 },
  { name: "3.5 PUBREC", statements: SECTION_3_5 },
  { name: "3.6 PUBREL", statements: SECTION_3_6 },
  { name: "3.7 PUBCOMP", statements: SECTION_3_7 },
  { name: "3.8 SUBSCRIBE", statements: SECTION_3_8 },
  { name: "3.9 SUBACK", statements: SECTION_3_9 },
  { name: "3.10 UNSUBSCRIBE", statements: SECTION_3_10 },
  { name: "3.11 UNSUBACK", statements: SECTION_3_11 },
  { name: "3.12 PINGREQ", statements: SECTION_3_12 },
  { name: "3.14 DISCONNECT", statements: SECTION_3_14 },
  { name: "3.15 AUTH", statements: SECTION_3_15 },
  { name: "4.1-4.6 State, QoS, delivery, order", statements: SECTION_4 },
  { name: "4.7-4.13 Topics, flow, authentication, errors", statements: SECTION_4_FLOW },
  { name: "6 WebSocket", statements: SECTION_6 },
  { name: "7 Conformance", statements: SECTION_7 },
];
