import type { Statement } from "../statement.ts";

export const SECTION_3_7: readonly Statement[] = [];
