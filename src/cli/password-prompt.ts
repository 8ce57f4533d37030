/** Passwords from people (no echo) and from scripts (the first line of stdin). */
import type { Readable } from "node:stream";
import { UsageError } from "./arguments.ts";

const LINE_CHARACTERS_MAX = 64 * 1024;

/** Without its line feed. */
export async function readFirstLine(input: Readable): Promise<string> {
  let text = "";
  input.setEncoding("utf8");
  for await (const chunk of input) {
    text += chunk;
    if (text.includes("\n") || text.length > LINE_CHARACTERS_MAX) break;
  }
  return (text.split("\n", 1)[0] ?? "").replace(/\r$/, "");
}

/** Asks on the terminal, which stdin must be. */
export async function promptPassword(question: string): Promise<string> {
  const { stdin, stderr } = process;
  // First, or what is typed early would show.
  stdin.setRawMode(true);
  stdin.setEncoding("utf8");
  stderr.write(question);
  try {
    return await typedLine(stdin);
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write("\n");
  }
}

function typedLine(input: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: string[] = [];
    const onData = (text: string): void => {
      for (const character of text) {
        if (character === "\r" || character === "\n") {
          end(() => resolve(typed.join("")));
          return;
        }
        if (character === "\x03" || character === "\x04") {
          end(() => reject(new UsageError("interrupted")));
          return;
        }
        if (character === "\x7f" || character === "\b") typed.pop();
        else if (character === "\x15") typed = [];
        else if (character >= " ") typed.push(character);
      }
    };
    const onEnd = (): void => end(() => reject(new UsageError("the terminal is gone")));
    const end = (settle: () => void): void => {
      input.off("data", onData);
      input.off("end", onEnd);
      settle();
    };
    input.on("data", onData);
    input.on("end", onEnd);
    input.resume();
  });
}
