/**
 * Templates of what a serial line publishes: text with placeholders. `{frame}` is the frame as `format` says, `{time}`
 * when it came (RFC 3339, UTC), `{ms}` the same in milliseconds since 1970, `{line}` the line's name, `{1}` or a name a group of
 * `match`, another name one of `fields`. In a topic a placeholder is one level; `{+name}`, as RFC 6570 has it, may be several.
 */

export interface Placeholder {
  readonly placeholder: string;
  /** What stands for it may contain "/". */
  readonly levels: boolean;
}
export type TemplatePart = { readonly text: string } | Placeholder;
export type Template = readonly TemplatePart[];

/** Placeholders that every template has. */
export const BUILT_IN: readonly string[] = ["frame", "time", "ms", "line"];

/** Braces around anything else are text: a template may be JSON. */
const PLACEHOLDER = /\{(\+?)([A-Za-z_]\w*|[1-9]\d?)\}/g;

export function parseTemplate(source: string): Template {
  const parts: TemplatePart[] = [];
  let at = 0;
  for (const { 0: whole, 1: plus, 2: name, index } of source.matchAll(PLACEHOLDER)) {
    if (index > at) parts.push({ text: source.slice(at, index) });
    parts.push({ placeholder: name as string, levels: plus === "+" });
    at = index + whole.length;
  }
  if (at < source.length) parts.push({ text: source.slice(at) });
  return parts;
}

export function placeholdersOf(template: Template): Placeholder[] {
  return template.flatMap((part) => ("placeholder" in part ? part : []));
}

/** The template with `value` for each placeholder. */
export function filled(template: Template, value: string): string {
  return template.map((part) => ("text" in part ? part.text : value)).join("");
}

/** As it was written. */
export function templateText(template: Template): string {
  return template
    .map((part) => ("text" in part ? part.text : `{${part.levels ? "+" : ""}${part.placeholder}}`))
    .join("");
}
