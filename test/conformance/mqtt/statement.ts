/** One normative statement of a specification of MQTT. */
export interface Statement {
  /** With the version: "MQTT311-3.1.0-1" is not "MQTT5-3.1.0-1". */
  readonly id: string;
  /** What it asks for, in one sentence of our own. */
  readonly words: string;
  /** Why no test from outside the product can show it. A statement has this or a test, never both. */
  readonly untestable?: string;
}

/** A chapter of the specification, as the report prints it. */
export interface Section {
  readonly name: string;
  readonly statements: readonly Statement[];
}

/** An id as it stands in the table and, in brackets, in titles. */
export const ID = /^MQTT(?:311|5)-\d+(?:\.\d+)+-\d+$/;
const IN_TITLE = /\[(MQTT(?:311|5)-\d+(?:\.\d+)+-\d+)\]/g;

/** The ids that a title names. */
export function idsIn(title: string): string[] {
  return [...title.matchAll(IN_TITLE)].map((match) => match[1] as string);
}
