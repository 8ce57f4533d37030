import type { Statement } from "../statement.ts";

export const SECTION_3_15: readonly Statement[] = [];
