import type { Statement } from "../statement.ts";

export const SECTION_3_11: readonly Statement[] = [];
