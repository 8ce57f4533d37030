/** One normative statement of a specification. */
export interface Statement {
  /** Document, section and number in it: "MQTT311-3.1.0-1" is not "MQTT5-3.1.0-1". */
  readonly id: string;
  /** What it asks for, in one sentence of our own. */
  readonly words: string;
  /** The specification says SHOULD; a row because users notice it. Without the mark it says MUST. */
  readonly should?: true;
  /** Why no test from outside the product can show it. A statement has this, `binds`, `unmet` or a test. */
  readonly untestable?: string;
  /** Whom it binds, where that is nobody whom the product acts as. */
  readonly binds?: string;
  /** Why the product does not keep it. */
  readonly unmet?: string;
}

/** A chapter of a specification, as the report prints it. */
export interface Section {
  readonly name: string;
  readonly statements: readonly Statement[];
}

/** What the ids of a table begin with. */
export type Family = "MQTT" | "RFC" | "SN";

/** An id as it stands in a table and, in brackets, in titles. */
export const ID = /^(?:MQTT311|MQTT5|SN12|RFC\d{4})-\d+(?:\.\d+)*-\d+$/;
const IN_TITLE = /\[((?:MQTT|RFC|SN)\d+-\d+(?:\.\d+)*-\d+)\]/g;

/** The ids of a family that a title names. */
export function idsIn(title: string, family: Family): string[] {
  return [...title.matchAll(IN_TITLE)].map((match) => match[1] as string).filter((id) => id.startsWith(family));
}
