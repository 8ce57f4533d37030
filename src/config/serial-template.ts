/**
 * Templates of what a serial line publishes: text with placeholders. `{frame}` is the frame as `format` says, `{time}`
 * when it came (ISO 8601, UTC), `{ms}` the same in milliseconds since 1970, `{1}` or a name a group of `match`, another
 * name one of `fields`.
 */

export type TemplatePart = { readonly text: string } | { readonly placeholder: string };
export type Template = readonly TemplatePart[];

/** Placeholders that every template has. */
export const BUILT_IN: readonly string[] = ["frame", "time", "ms"];

/** Braces around anything else are text: a template may be JSON. */
const PLACEHOLDER = /\{([A-Za-z_]\w*|[1-9]\d?)\}/g;

export function parseTemplate(source: string): Template {
  const parts: TemplatePart[] = [];
  let at = 0;
  for (const match of source.matchAll(PLACEHOLDER)) {
    if (match.index > at) parts.push({ text: source.slice(at, match.index) });
    parts.push({ placeholder: match[1] as string });
    at = match.index + match[0].length;
  }
  if (at < source.length) parts.push({ text: source.slice(at) });
  return parts;
}

export function placeholdersOf(template: Template): string[] {
  return template.flatMap((part) => ("placeholder" in part ? [part.placeholder] : []));
}

/** The template with `value` for each placeholder. */
export function filled(template: Template, value: string): string {
  return template.map((part) => ("text" in part ? part.text : value)).join("");
}
