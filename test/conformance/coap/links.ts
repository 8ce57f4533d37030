/** The CoRE Link Format (RFC 6690 section 2), read strictly: what is not of its grammar throws. */
export interface Link {
  readonly href: string;
  /** Names and values, quotes taken off; null where there is no value. */
  readonly attributes: readonly (readonly [name: string, value: string | null])[];
}

const LINK = /<([^>]*)>((?:;[^;,="<>\s]+(?:=(?:"(?:[^"\\]|\\.)*"|[^;,"\s]+))?)*)/y;
const ATTRIBUTE = /;([^;,="<>\s]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]+)))?/g;

export function parseLinks(text: string): Link[] {
  const links: Link[] = [];
  if (text === "") return links;
  LINK.lastIndex = 0;
  for (;;) {
    const match = LINK.exec(text);
    if (match === null) throw new Error(`no link in ${JSON.stringify(text)} behind ${links.length} links`);
    const [, href = "", rest = ""] = match;
    const attributes = [...rest.matchAll(ATTRIBUTE)].map(
      ([, name = "", quoted, plain]) => [name, quoted ?? plain ?? null] as const,
    );
    links.push({ href, attributes });
    const end = match.index + match[0].length;
    if (end === text.length) return links;
    if (text[end] !== ",") throw new Error(`${JSON.stringify(text.slice(end))} is neither a link nor the end`);
    LINK.lastIndex = end + 1;
  }
}

/** Values of an attribute of a link. */
export function valuesIn({ attributes }: Link, name: string): (string | null)[] {
  return attributes.filter(([one]) => one === name).map(([, value]) => value);
}
