/**
 * Links as text, and which of them a query asks for.
 *
 *      </ps>;rt="core.ps";ct=40;obs,</health>;ct=0
 *
 * @see RFC 6690 sections 2 and 4.1, RFC 7252 section 7.2.1 (ct), RFC 7641 section 6 (obs)
 */

export interface Link {
  /** URI-reference, as it stands between < and >: percent-encoded. */
  readonly href: string;
  /** In order; null = an attribute without a value, like obs. Lists are separated by blanks. */
  readonly attributes: readonly (readonly [name: string, value: string | null])[];
}

/** Each word of these is a value of its own (RFC 6690 sections 3.1 to 3.3, RFC 7252 section 7.2.1). */
const LISTS: ReadonlySet<string> = new Set(["rt", "if", "rel", "rev", "ct"]);

/** Numbers stand without quotes (RFC 6690 section 2: cardinal). */
const CARDINAL = /^(0|[1-9][0-9]*)$/;

/** The link as it stands in application/link-format; commas between links are the caller's. */
export function linkText({ href, attributes }: Link): string {
  let text = `<${href}>`;
  for (const [name, value] of attributes) {
    if (value === null) text += `;${name}`;
    else if (CARDINAL.test(value)) text += `;${name}=${value}`;
    else text += `;${name}="${value.replaceAll(/["\\]/g, "\\$&")}"`;
  }
  return text;
}

/** A link's path for a topic or the like: each segment percent-encoded. */
export function hrefOf(prefix: string, segments: readonly string[]): string {
  return `${prefix}/${segments.map(encodeURIComponent).join("/")}`;
}

/**
 * Whether an argument of a query asks for the link: `name=value`, or `name=prefix*`. `href` names the URI-reference,
 * every other name an attribute. An attribute that is not there matches nothing; of a list each word may match.
 * @param argument of Uri-Query, percent-decoded as it comes
 */
export function linkMatches(link: Link, argument: string): boolean {
  const equals = argument.indexOf("=");
  const name = equals === -1 ? argument : argument.slice(0, equals);
  const pattern = equals === -1 ? "*" : argument.slice(equals + 1);
  if (name === "href") return valueMatches(link.href, pattern);
  for (const [attribute, value] of link.attributes) {
    if (attribute !== name) continue;
    if (valueMatches(value ?? "", pattern)) return true;
    if (value !== null && LISTS.has(name) && value.split(" ").some((word) => valueMatches(word, pattern))) return true;
  }
  return false;
}

function valueMatches(value: string, pattern: string): boolean {
  return pattern.endsWith("*") ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}
