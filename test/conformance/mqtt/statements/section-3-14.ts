import type { Statement } from "../statement.ts";

export const SECTION_3_14: readonly Statement[] = [];
