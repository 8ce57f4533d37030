/** Text of a peer's making must not steer the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[\0-\x1f\x7f-\x9f]/g, "?");
}
