import type { Statement } from "../statement.ts";

export const SECTION_2: readonly Statement[] = [];
