import type { Statement } from "../statement.ts";

export const SECTION_7: readonly Statement[] = [];
