/** Names of SenML records. @see RFC 8428 section 4.5.1 */

/** What is not a letter, a digit or one of - : . / _ becomes a `_`; what a name may not begin with is left out. */
export function senmlName(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9\-:./_]/gu, "_").replace(/^[^A-Za-z0-9]+/, "");
}

/**
 * The base name of records with these names: all of it when they are the same, else what they have in common up to a
 * `/` or `:`.
 */
export function baseNameOf(names: readonly string[]): string {
  const [first = ""] = names;
  let length = first.length;
  let same = true;
  for (const name of names) {
    if (name === first) continue;
    same = false;
    let at = 0;
    while (at < length && name.charCodeAt(at) === first.charCodeAt(at)) at++;
    length = at;
  }
  if (same) return first;
  while (length > 0 && first[length - 1] !== "/" && first[length - 1] !== ":") length--;
  return first.slice(0, length);
}
