import type { Statement } from "../statement.ts";

export const SECTION_3_5: readonly Statement[] = [];
