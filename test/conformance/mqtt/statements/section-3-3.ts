import type { Statement } from "../statement.ts";

export const SECTION_3_3: readonly Statement[] = [];
