import type { Statement } from "../statement.ts";

export const SECTION_3_2: readonly Statement[] = [];
