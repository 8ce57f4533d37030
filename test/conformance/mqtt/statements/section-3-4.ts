import type { Statement } from "../statement.ts";

export const SECTION_3_4: readonly Statement[] = [];
