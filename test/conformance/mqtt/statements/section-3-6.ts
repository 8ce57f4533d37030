import type { Statement } from "../statement.ts";

export const SECTION_3_6: readonly Statement[] = [];
