import type { Statement } from "../statement.ts";

export const SECTION_3_10: readonly Statement[] = [];
