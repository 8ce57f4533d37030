import type { Statement } from "../statement.ts";

export const SECTION_3_8: readonly Statement[] = [];
