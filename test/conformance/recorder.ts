/**
 * Stands in for node:test while the coverage script loads the test files: a test that would run gives its title, nothing
 * runs. So the titles are the real ones, however they are put together.
 */
interface Options {
  readonly skip?: boolean | string;
  readonly todo?: boolean | string;
}

/** Titles since the last `takeTitles`. */
let titles: string[] = [];

export function takeTitles(): string[] {
  const taken = titles;
  titles = [];
  return taken;
}

/** As node:test takes them: a title, then maybe options, then maybe a function. */
function testOf(title: unknown, ...rest: unknown[]): void {
  const options = (rest.find((part) => typeof part === "object" && part !== null) ?? {}) as Options;
  const runs = rest.some((part) => typeof part === "function");
  // A missing peer skips a test on a developer's machine and fails it in CI: a reason in words still counts.
  if (typeof title === "string" && runs && options.todo === undefined && options.skip !== true) titles.push(title);
}

/** Its tests are registered at once, as node:test does it; its own title covers nothing. */
function suiteOf(_title: unknown, ...rest: unknown[]): void {
  const body = rest.find((part) => typeof part === "function") as (() => void) | undefined;
  body?.();
}

const nothing = (): void => {};

export const test = Object.assign(testOf, { skip: nothing, todo: nothing, only: testOf });
export const it = test;
export const describe = Object.assign(suiteOf, { skip: nothing, todo: nothing, only: suiteOf });
export const suite = describe;
export const before = nothing;
export const after = nothing;
export const beforeEach = nothing;
export const afterEach = nothing;

/** `import test from "node:test"`. */
export default test;
